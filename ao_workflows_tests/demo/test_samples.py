"""The demo's samples: what they claim of themselves is so, judged by bagit, zipfile and Pillow alone."""

from __future__ import annotations

import hashlib
import io
import unicodedata
import zipfile
from pathlib import Path, PurePosixPath

import bagit
import pytest
from PIL import Image

from ao_workflows.archive.places import archive_place
from ao_workflows.demo.samples import Sample, make_samples
from ao_workflows.works.rids import rid_of_key


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return make_samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module")
def good(samples: list[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.wrong is None and not sample.parts]


def spoilt(samples: list[Sample], wrong: str) -> Sample:
    (sample,) = [sample for sample in samples if sample.wrong == wrong]
    return sample


def unzip(sample: Sample, into: Path) -> dict[str, Path]:
    """The folder of each bag in the zip, by its work's RID."""
    with zipfile.ZipFile(sample.zip) as archive:
        assert archive.testzip() is None, f"{sample.rid}: a CRC is wrong"
        archive.extractall(into)
    return {bag.name.removesuffix(".bag"): bag for bag in into.iterdir()}


def payload_digests(bag: Path) -> dict[str, str]:
    data = bag / "data"
    return {
        path.relative_to(data).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in data.rglob("*")
        if path.is_file()
    }


def complaints(bag: bagit.Bag) -> list[bagit.ManifestErrorDetail]:
    with pytest.raises(bagit.BagValidationError) as refusal:
        bag.validate()
    return list(refusal.value.details)


def zip_of(samples: list[Sample], title: str) -> Sample:
    (sample,) = [sample for sample in samples if title in sample.title]
    return sample


def test_every_good_sample_is_valid_and_holds_exactly_what_it_says(good: list[Sample], tmp_path: Path) -> None:
    """A sample that was bad by mistake would make the demo fail on a platform that is right to refuse it."""
    for sample in good:
        bags = unzip(sample, tmp_path / sample.rid)
        assert bags.keys() == sample.works.keys()
        for rid, bag in bags.items():
            bagit.Bag(str(bag)).validate()
            assert payload_digests(bag) == sample.works[rid], rid
        payload = [path for bag in bags.values() for path in (bag / "data").rglob("*") if path.is_file()]
        assert (sample.files, sample.bytes) == (len(payload), sum(path.stat().st_size for path in payload))
        assert sample.bad_path is None


def test_a_flipped_byte_is_all_that_is_wrong_with_the_checksum_sample(samples: list[Sample], tmp_path: Path) -> None:
    """Were the zip's CRC wrong too, the demo would prove that zips are checked, and nothing of digests."""
    sample = spoilt(samples, "checksum")
    bags = unzip(sample, tmp_path)
    bag = bags[sample.rid]
    (complaint,) = complaints(bagit.Bag(str(bag)))
    assert isinstance(complaint, bagit.ChecksumMismatch)
    assert complaint.path == f"data/{sample.bad_path}"
    bagged, found = sample.works[sample.rid], payload_digests(bag)
    assert {path for path in bagged.keys() | found.keys() if bagged.get(path) != found.get(path)} == {sample.bad_path}

    page = bag / complaint.path
    content = bytearray(page.read_bytes())
    content[len(content) // 2] ^= 1
    page.write_bytes(content)
    bagit.Bag(str(bag)).validate()


def test_an_absent_page_is_all_that_is_wrong_with_the_missing_sample(samples: list[Sample], tmp_path: Path) -> None:
    """A second fault would let the demo pass on a platform that saw only that one."""
    sample = spoilt(samples, "missing")
    folder = unzip(sample, tmp_path)[sample.rid]
    bag = bagit.Bag(str(folder))
    assert bag.info["Payload-Oxum"] == f"{sample.bytes}.{sample.files}", "what was bagged, the missing page included"
    # bagit looks no further than an Oxum that does not fit, which follows from the missing page.
    del bag.info["Payload-Oxum"]
    (complaint,) = complaints(bag)
    assert isinstance(complaint, bagit.FileMissing)
    assert complaint.path == f"data/{sample.bad_path}"
    bagged = sample.works[sample.rid]
    assert payload_digests(folder) == {path: digest for path, digest in bagged.items() if path != sample.bad_path}


def test_the_zip_that_is_no_bag_is_a_sound_zip_that_nobody_could_take_for_a_work(
    samples: list[Sample],
) -> None:
    """A folder named like a work's would make it a zip of works without a bag, which may be taken."""
    sample = spoilt(samples, "no bag")
    with zipfile.ZipFile(sample.zip) as archive:
        assert archive.testzip() is None
        names = [PurePosixPath(name) for name in archive.namelist()]
        files = [entry for entry in archive.infolist() if not entry.is_dir()]
    parts = {part for name in names for part in name.parts}
    assert not parts & {"bagit.txt", "data", "archive", "sources", "images", "eBooks", "sync-inventory"}
    assert not any(part.endswith(".bag") or "-I" in part for part in parts)
    assert (sample.files, sample.bytes) == (len(files), sum(entry.file_size for entry in files))
    assert (sample.works, sample.bad_path) == ({}, None)


def test_there_are_a_dozen_good_samples_and_one_of_each_bad_kind(samples: list[Sample], good: list[Sample]) -> None:
    """The demo's claims are only as wide as its samples."""
    assert len(good) == 11
    assert len([sample for sample in samples if sample.parts]) == 1
    assert sorted(sample.wrong for sample in samples if sample.wrong) == ["checksum", "missing", "no bag"]


def test_every_zip_is_named_by_a_rid_of_its_own(samples: list[Sample]) -> None:
    """Two samples of one RID would be one partition, and the demo would wait for a run that never comes."""
    for sample in samples:
        assert rid_of_key(sample.zip.name) == sample.rid
    rids = [rid for sample in samples for rid in sample.works or {sample.rid: {}}]
    assert len(set(rids)) == len(rids)


def test_the_works_fall_into_all_four_shares_of_the_archive(good: list[Sample]) -> None:
    """With one share unused, a wrong rule for the share could pass."""
    shares = {archive_place(Path("/mnt/Archive"), rid).parts[2] for sample in good for rid in sample.works}
    assert shares == {"Archive0", "Archive1", "Archive2", "Archive3"}


def test_one_work_has_over_1000_pages_and_no_two_alike(good: list[Sample]) -> None:
    """Equal pages would hide one that was written in another's place."""
    sample = zip_of(good, "over 1,000 pages")
    (work,) = sample.works.values()
    for tree in ("archive", "images"):
        digests = [digest for path, digest in work.items() if path.startswith(f"{tree}/")]
        assert len(digests) > 1000
        assert len(set(digests)) == len(digests)


def test_one_work_has_tibetan_file_names_that_normalisation_leaves_alone(good: list[Sample]) -> None:
    """A name that NFC changes would test normalisation, and differ from one file system to another."""
    (work,) = zip_of(good, "Tibetan").works.values()
    names = [PurePosixPath(path).name for path in work]
    assert all(name.startswith("ཤེར་ཕྱིན་") for name in names)
    assert all(unicodedata.normalize(form, name) == name for form in ("NFC", "NFD") for name in names)


def test_one_bag_has_two_algorithms_and_each_manifest_lists_every_file(good: list[Sample]) -> None:
    """RFC 8493, section 2.1.3: each payload manifest is complete by itself."""
    sample = zip_of(good, "sha256 and sha512")
    (work,) = sample.works.values()
    with zipfile.ZipFile(sample.zip) as archive:
        for algorithm in ("sha256", "sha512"):
            manifest = archive.read(f"{sample.rid}.bag/manifest-{algorithm}.txt").decode()
            assert {line.split("  ", 1)[1] for line in manifest.splitlines()} == {f"data/{path}" for path in work}
            assert f"{sample.rid}.bag/tagmanifest-{algorithm}.txt" in archive.namelist()


def test_one_zip_holds_two_works(good: list[Sample]) -> None:
    """The second work of a zip has no event of its own, so nothing else would miss it."""
    assert [len(sample.works) for sample in good].count(2) == 1


def test_some_zips_are_deflated_and_most_are_stored(good: list[Sample]) -> None:
    """The archive's zips are stored; those that are not are read by another path."""
    methods = []
    for sample in good:
        with zipfile.ZipFile(sample.zip) as archive:
            (method,) = {entry.compress_type for entry in archive.infolist() if not entry.is_dir()}
            methods.append(method)
    assert 2 <= methods.count(zipfile.ZIP_DEFLATED) < methods.count(zipfile.ZIP_STORED)


def test_every_folder_has_an_entry_before_what_is_in_it(samples: list[Sample]) -> None:
    """The archive's present tool knows a bag by its folder's entry, so a real zip always has it."""
    for sample in samples:
        seen = {"."}
        with zipfile.ZipFile(sample.zip) as archive:
            for entry in archive.infolist():
                assert str(PurePosixPath(entry.filename).parent) in seen, f"{sample.rid}: {entry.filename}"
                if entry.is_dir():
                    seen.add(entry.filename.rstrip("/"))
        assert all(f"{rid}.bag" in seen for rid in sample.works)


def test_the_pages_are_jpegs_and_the_originals_are_the_larger(good: list[Sample]) -> None:
    """Bytes that are no pictures would be worth nothing to one who opens the demo's archive to look."""
    for sample in good:
        rid, work = next(iter(sample.works.items()))
        page = next(path.removeprefix("images/") for path in work if path.startswith("images/"))
        sizes = {}
        with zipfile.ZipFile(sample.zip) as archive:
            for tree in ("archive", "images"):
                with Image.open(io.BytesIO(archive.read(f"{rid}.bag/data/{tree}/{page}"))) as picture:
                    picture.load()
                    assert picture.format == "JPEG"
                    sizes[tree] = picture.width
        assert sizes["archive"] > sizes["images"]


def test_making_them_again_makes_the_same_bytes_and_tells_of_each_in_order(
    samples: list[Sample], tmp_path: Path
) -> None:
    """A failure that one demo shows can be looked into with the next one's samples."""
    told: list[Sample] = []
    again = make_samples(tmp_path / "made" / "where missing", told.append)
    assert told == again
    assert [sample.rid for sample in again] == [sample.rid for sample in samples]
    for first, second in zip(samples, again, strict=True):
        assert first.zip.read_bytes() == second.zip.read_bytes(), first.rid
        assert first.works == second.works


def test_all_of_them_stay_within_what_a_demo_may_cost(samples: list[Sample]) -> None:
    """They are made, uploaded, downloaded, unpacked and synced on a visitor's disk, each time."""
    assert sum(sample.zip.stat().st_size for sample in samples) < 130_000_000
