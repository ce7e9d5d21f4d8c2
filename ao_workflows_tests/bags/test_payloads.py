"""Which works a bag's payload is, and whether a zip is the part that its name says; with parts that theirs made."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ao_workflows.bags.admission import Terms
from ao_workflows.bags.debagging import debag
from ao_workflows.bags.payloads import FoundWork, folder_of, works_of_payload
from ao_workflows.errors import ZipRefused
from ao_workflows.works.parts import Part
from ao_workflows_tests.support.zip_bytes import Entry, bag_files, entries_of, tree, write_zip

RID, GROUP = "W1NLM4700", "W1NLM4700-I1NLM4700_001"
WORK = Part("W1", "W1")


def taken(folder: Path, name: str, *bags: tuple[str, dict[str, bytes]], terms: Terms) -> dict[str, bytes | None]:
    """The files of the work that a zip of these bags becomes."""
    entries = [entry for bag, files in bags for entry in entries_of(bag_files(files), f"{bag}.bag")]
    debag(write_zip(folder / f"{name}.bag.zip", entries), folder / "out", terms=terms)
    return {path: data for path, data in tree(folder / "out/W1").items() if data is not None}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (GROUP, {f"{kind}/{GROUP}/I1NLM4700_001000{page}.jpg" for kind in ("images", "archive") for page in (1, 2, 3)}),
        (RID, {"eBooks/W1NLM4700.txt", "sources/catalogue/notes.txt"}),
        (f"{RID}-2025-03-02-inventory", {"sources/catalogue/notes.txt"}),
    ],
)
def test_a_part_that_their_tool_made_comes_out_as_the_work_has_it(
    shared_data: Path, tmp_path: Path, name: str, expected: set[str]
) -> None:
    """Each was taken for a work of its own, and the rest went into a folder within the work: green, and wrong."""
    path = shared_data / f"parts/{name}.bag.zip"
    done = debag(path, tmp_path / "out", terms=Terms(RID, name=name))
    assert {path for path, data in tree(tmp_path / f"out/{RID}").items() if data is not None} == expected
    assert {(file.work, file.path) for file in done.files} == {(RID, path) for path in expected}
    (work,) = done.works
    assert (work.rid, work.files, work.tags, work.proven) == (RID, len(expected), "", True)
    with zipfile.ZipFile(path) as archive:
        sizes = sum(info.file_size for info in archive.infolist() if "/data/" in info.filename)
    assert work.bytes == sizes


def test_by_hand_a_part_is_known_by_its_name(shared_data: Path, tmp_path: Path) -> None:
    """Who looks at a part by hand has only its zip."""
    done = debag(shared_data / f"parts/{GROUP}.bag.zip", tmp_path / "out")
    assert [work.rid for work in done.works] == [RID]
    assert not done.warnings


def test_where_the_archive_has_groups_inverted_they_come_out_so(shared_data: Path, tmp_path: Path) -> None:
    """A work in both structures has half of its pages where nobody looks."""
    terms = Terms(RID, name=GROUP, inverted=True)
    debag(shared_data / f"parts/{GROUP}.bag.zip", tmp_path / "out", terms=terms)
    assert sorted(path.name for path in (tmp_path / "out" / RID).iterdir()) == [GROUP]
    whole = {"images/W1-I1/1.jpg": b"1", "sources/n.txt": b"n"}
    other = tmp_path / "other"
    other.mkdir()
    files = taken(other, "W1", ("W1", whole), terms=Terms("W1", inverted=True))
    assert {path for path in files if not path.startswith("W1.bag")} == {"W1-I1/images/1.jpg", "sources/n.txt"}


@pytest.mark.parametrize(
    ("names", "bag", "expected"),
    [
        (["images/a"], "W1", {"": FoundWork("W1")}),
        (["W1/sources/a"], "W1", {"W1/": FoundWork("W1")}),
        (["W1/config/a"], "W1-2025-inventory", {"W1/": FoundWork("W1")}),
        (["W1-I1/images/a", "W1-I2/images/a"], "W1", {"": FoundWork("W1")}),
        (["W1-I1/images/a"], "W1-I1", {"W1-I1/": FoundWork("W1", "W1-I1")}),
        (["images/a"], "W1-I1", {"": FoundWork("W1", "W1-I1")}),
        (["box/W1/images/a", "box/W2/archive/a"], "box", {"box/W1/": FoundWork("W1"), "box/W2/": FoundWork("W2")}),
        (["a", "W1/b"], "W1", {"": FoundWork("W1")}),
        (["a", "W2/images/b"], "W1", {"": FoundWork("W1")}),
        (["a", "W1/images/b"], "W1", {"W1/": FoundWork("W1")}),
        ([], "W1", {"": FoundWork("W1")}),
    ],
)
def test_works_are_found_as_the_archives_system_finds_them(
    names: list[str], bag: str, expected: dict[str, FoundWork]
) -> None:
    """A payload is a work, or a folder of works; what looks like neither is the work that the bag is named after."""
    assert works_of_payload(names, bag, WORK) == expected


def test_a_file_beside_the_works_of_a_payload_is_in_none_of_them() -> None:
    """It would go with the zip."""
    assert folder_of("W1/a", {"W1/": FoundWork("W1")}) == "W1/"
    assert folder_of("box/W1/a", {"box/W1/": FoundWork("W1")}) == "box/W1/"
    assert folder_of("readme", {"W1/": FoundWork("W1")}) is None


@pytest.mark.parametrize(
    ("name", "bag", "files", "reason"),
    [
        ("W1-I1", "W1-I1", {"W2-I1/images/a": b"1"}, "holds W2-I1"),
        ("W1-I1", "W1-I2", {"W1-I2/images/a": b"1"}, "its bag is W1-I2"),
        ("W1-I1", "W1-I1", {"W1-I2/images/a": b"1"}, "holds images/W1-I2/a, which is not in that group"),
        ("W1-I1", "W1-I1", {"W1/images/W1-I1/a": b"1", "W1/sources/n": b"1"}, "holds sources/n"),
        ("W1-I1", "W1", {"images/W1-I1/a": b"1"}, "its bag is W1"),
        ("W1-2025-inventory", "W1", {"W1/images/W1-I1/a": b"1"}, "its bag is W1"),
        ("W1-2025-inventory", "W1-2025-inventory", {"images/W1-I1/a": b"1"}, "holds W1-2025-inventory"),
        ("W1-2025-inventory", "W1-2025-inventory", {"W2/sources/n": b"1"}, "holds W2"),
        ("W1", "W1-I1", {"W1-I1/images/a": b"1"}, "its bag is W1-I1"),
        ("W1", "W1", {"W1/images/a": b"1", "readme": b"1"}, "beside the works W1"),
        ("W1", "W1", {"W1/images/W1-I1/a": b"1", "W1/W1-I1/images/a": b"2"}, "two members"),
    ],
)
def test_a_zip_that_is_not_the_part_that_it_was_sent_as_is_refused(
    tmp_path: Path, name: str, bag: str, files: dict[str, bytes], reason: str
) -> None:
    """One upload under a wrong name would put one work's pages into another, or an old group over a new one."""
    with pytest.raises(ZipRefused) as refused:
        taken(tmp_path, name, (bag, files), terms=Terms("W1", name=name))
    assert reason in str(refused.value)
    assert "zips = " not in str(refused.value), "the setting is layout"
    assert not (tmp_path / "out").exists()


def test_a_group_without_a_bag_is_turned_back_too(tmp_path: Path) -> None:
    """The oldest zips are none, and the archive's system takes them alike."""
    for name, entries in {
        "below": [Entry("W1-I1/images/a", b"1")],
        "top": [Entry("images/a", b"1")],
    }.items():
        (tmp_path / name).mkdir()
        path = write_zip(tmp_path / name / "W1-I1.zip", entries)
        debag(path, tmp_path / name / "out", terms=Terms("W1", name="W1-I1"))
        assert (tmp_path / name / "out/W1/images/W1-I1/a").read_bytes() == b"1"


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("bagged", [True, False])
def test_a_group_whose_zip_has_it_as_the_work_has_it_lands_where_it_belongs(
    tmp_path: Path, *, bagged: bool, inverted: bool
) -> None:
    """Taken for inverted it went into a folder of its own name within itself: green, and wrong."""
    files = {"images/W1-I1/1.jpg": b"1", "archive/W1-I1/sub/1.tif": b"2"}
    entries = entries_of(bag_files(files), "W1-I1.bag") if bagged else [Entry(*each) for each in files.items()]
    zipped = write_zip(tmp_path / ("W1-I1.bag.zip" if bagged else "W1-I1.zip"), entries)
    done = debag(zipped, tmp_path / "out", terms=Terms("W1", name="W1-I1", inverted=inverted))
    upright = {"images/W1-I1/1.jpg": b"1", "archive/W1-I1/sub/1.tif": b"2"}
    turned = {"W1-I1/images/1.jpg": b"1", "W1-I1/archive/sub/1.tif": b"2"}
    found = {path: data for path, data in tree(tmp_path / "out/W1").items() if data is not None}
    assert found == (turned if inverted else upright)
    assert {file.path for file in done.files} == set(found)


@pytest.mark.parametrize("terms", [True, False], ids=["sent", "by hand"])
@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("W1-I1", ["images/W1-I2/1.jpg"]),
        ("W1-I1", ["images/W1-I1/1.jpg", "images/2.jpg"]),
        ("W1-I1", ["images/W1-I1/1.jpg", "W1-I1/images/2.jpg"]),
        ("W1-I1", ["images/W1-I1/1.jpg", "sources/n"]),
        ("W1-I1", ["images/W1-I1/W1-I1/1.jpg"]),
        ("W1-I1", ["images/W1-I1/images/1.jpg"]),
        ("W1-I1", ["W1-I1/images/W1-I1/1.jpg"]),
        ("W1-I1", ["W1-I1/images/1.jpg", "W1-I1/archive/W1-I1/1.tif"]),
        ("W1-I1", ["W1/W1-I1/images/W1-I1/1.jpg"]),
        ("W1", ["W1-I1/images/W1-I1/1.jpg"]),
        ("W1", ["W1-I1/images/W1-I2/1.jpg"]),
    ],
)
@pytest.mark.parametrize("bagged", [True, False])
def test_a_group_of_which_nobody_can_tell_how_it_lies_is_refused(
    tmp_path: Path, name: str, files: list[str], *, bagged: bool, terms: bool
) -> None:
    """Upright in part, or twice in itself: whichever way it were taken, some page might be where nobody looks."""
    contents = dict.fromkeys(files, b"1")
    entries = entries_of(bag_files(contents), f"{name}.bag") if bagged else [Entry(*each) for each in contents.items()]
    zipped = write_zip(tmp_path / (f"{name}.bag.zip" if bagged else f"{name}.zip"), entries)
    with pytest.raises(ZipRefused):
        debag(zipped, tmp_path / "out", terms=Terms("W1", name=name) if terms else None)
    assert not (tmp_path / "out").exists()


def test_what_proved_a_group_goes_with_its_zip(tmp_path: Path) -> None:
    """Beside the work's folders it was one more folder for each group, with manifests of paths that are elsewhere."""
    files = taken(tmp_path, "W1-I1", ("W1-I1", {"images/1.jpg": b"1"}), terms=Terms("W1", name="W1-I1"))
    assert files == {"images/W1-I1/1.jpg": b"1"}


def test_several_works_in_one_payload_are_each_counted(tmp_path: Path) -> None:
    """The list of what was unpacked is whole only if it has as many files of each work as the manifests name."""
    path = write_zip(
        tmp_path / "W1.bag.zip", entries_of(bag_files({"W1/images/a": b"1", "W2/images/b": b"22"}), "box.bag")
    )
    done = debag(path, tmp_path / "out", terms=Terms("W1"))
    assert [(work.rid, work.files, work.bytes) for work in done.works] == [("W1", 1, 1), ("W2", 1, 2)]
    assert {(file.work, file.path) for file in done.files} == {("W1", "images/a"), ("W2", "images/b")}
