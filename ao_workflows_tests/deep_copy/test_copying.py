"""Works copied into a bucket of moto's S3: whole, by what changed, by the archive's present tool, and taken back."""

from __future__ import annotations

import os
import shutil
import uuid
from itertools import count
from pathlib import Path

import pytest

from ao_workflows.bags.admission import Terms
from ao_workflows.bags.debagging import debag
from ao_workflows.deep_copy.part_layout import part_of_file
from ao_workflows.errors import DeepCopyError, PartRefused
from ao_workflows_tests.support.deep_copies import CopySite, payload_of, tree_of, write_work
from ao_workflows_tests.support.folder_sites import killed_before_step
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.peers import copy_by_theirs

RID = "W1NLM4700"
PARTS = [RID, f"{RID}-0002", f"{RID}-I1NLM4700_001"]
FILES = {
    f"images/{RID}-I1NLM4700_001/0001.jpg": b"page 1",
    f"images/{RID}-I1NLM4700_001/0002.jpg": b"page 2",
    f"archive/{RID}-I1NLM4700_001/0001.tif": b"scan 1" * 1000,
    f"images/{RID}-0002/0001.jpg": b"other group",
    "sources/catalogue/notes.txt": b"notes",
    f"eBooks/{RID}.txt": b"",
}


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> CopySite:
    made = CopySite(aws, tmp_path, aws.make_bucket(versioned=True))
    write_work(made.place, FILES)
    return made


def taken_back(site: CopySite, into: Path) -> dict[str, tuple[bytes, int]]:
    """The tree that our debag makes of all parts in the bucket; the later part over the earlier."""
    listed = site.aws.s3.list_objects_v2(Bucket=site.bucket)["Contents"]
    tree: dict[str, tuple[bytes, int]] = {}
    # moto counts whole seconds.
    for each in sorted(listed, key=lambda each: (each["LastModified"], "inventory" in each["Key"])):
        name = each["Key"].rpartition("/")[2].removesuffix(".bag.zip")
        zipped = into / f"{name}.bag.zip"
        zipped.write_bytes(site.fetch(name))
        folder = into / uuid.uuid4().hex
        done = debag(zipped, folder, terms=Terms(site.rid, name=name))
        assert done.works[0].proven
        # Of a payload that is the work itself, the bag's own files go into the archive, too.
        bags = f"{site.rid}.bag/"
        tree |= {path: file for path, file in tree_of(folder / site.rid).items() if not path.startswith(bags)}
        shutil.rmtree(folder)
    return tree


def test_a_work_that_was_copied_and_removed_comes_back_as_it_was(site: CopySite, tmp_path: Path) -> None:
    """What the deep archive is for: each byte and each time."""
    write_work(site.place, {"top.txt": b"at the top"})
    before = tree_of(site.place)
    done = site.copy()
    assert [made.part for made in done.objects] == [f"{RID}-0002", f"{RID}-I1NLM4700_001", RID]
    assert (done.unproven, done.inventory) == (0, None)
    shutil.rmtree(site.place)
    (tmp_path / "back").mkdir()
    assert taken_back(site, tmp_path / "back") == before


def test_objects_have_the_class_the_tags_and_the_checksum(site: CopySite) -> None:
    """By the class they cost what they should, by the tags somebody pays for them, by the checksum they are proven."""
    (made, *_) = site.copy().objects
    head = site.head(made.part)
    assert (head["StorageClass"], head["ChecksumType"], head["ContentLength"]) == (
        "STANDARD_IA",
        "FULL_OBJECT",
        made.size,
    )
    tags = site.aws.s3.get_object_tagging(Bucket=site.bucket, Key=made.key)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"owner": "ao", "project": "NLM"}
    assert made.version_id == head["VersionId"]
    site.storage_class, site.rid = "DEEP_ARCHIVE", "W12800"
    write_work(site.place, {"sources/a": b"a"})
    site.copy()
    assert site.head("W12800")["StorageClass"] == "DEEP_ARCHIVE"


def test_the_archives_present_tool_makes_the_same_objects(site: CopySite, tmp_path: Path) -> None:
    """A site that switches has works of both in one bucket, and takes both back alike."""
    site.copy()
    theirs = CopySite(site.aws, tmp_path, site.aws.make_bucket())
    copy_by_theirs(site.aws, theirs.bucket, RID, site.place, PARTS[1:])
    assert site.names() == theirs.names() == PARTS
    for name in PARTS:
        found = payload_of(theirs.fetch(name), name)
        # Of a work that is copied whole, their tool has in this part what is in the folder, and not the folder: whoever
        # takes it back finds the work in both.
        turned = {f"{RID}/{path}": content for path, content in found.items()} if name == RID else found
        assert turned == payload_of(site.fetch(name), name)
    (tmp_path / "back").mkdir()
    before = {path: (content, at // 2) for path, (content, at) in tree_of(site.place).items()}
    back = taken_back(theirs, tmp_path / "back")
    assert {path: (content, at // 2) for path, (content, at) in back.items()} == before


def test_what_the_present_tool_made_of_a_work_is_what_ours_makes(
    site: CopySite, shared_data: Path, tmp_path: Path
) -> None:
    """The parts that are in the archive's bucket are what a part is, whatever the tool's text says."""
    sample = {name: (shared_data / "parts" / f"{name}.bag.zip").read_bytes() for name in (RID, *_SAMPLE_GROUPS)}
    theirs = {name: payload_of(content, name) for name, content in sample.items()}
    shutil.rmtree(site.place)
    for name, payload in theirs.items():
        turned = {_turned_back(name, path): content for path, content in payload.items()}
        write_work(site.place, turned)
    site.copy()
    assert {name: payload_of(site.fetch(name), name) for name in site.names()} == theirs


_SAMPLE_GROUPS = (f"{RID}-I1NLM4700_001", f"{RID}-I1NLM4700_002")


def _turned_back(name: str, path: str) -> str:
    if name == RID:
        return path.removeprefix(f"{RID}/")
    group, medium, page = path.split("/")
    return f"{medium}/{group}/{page}"


def test_a_work_that_the_archive_keeps_turned_round_makes_the_same_parts(site: CopySite) -> None:
    """The archive has such works, and their groups are restored by the same names."""
    site.copy()
    before = {name: payload_of(site.fetch(name), name) for name in PARTS}
    shutil.rmtree(site.place)
    write_work(site.place, {part_of_file(RID, path)[1].removeprefix(f"{RID}/"): data for path, data in FILES.items()})
    assert (site.place / f"{RID}-0002" / "images" / "0001.jpg").exists()
    site.copy(day=2)
    assert {name: payload_of(site.fetch(name), name) for name in PARTS} == before


def test_over_what_the_present_tool_has_copied_ours_writes_versions(site: CopySite) -> None:
    """It is the same work, and nothing that the tool has made is lost."""
    copy_by_theirs(site.aws, site.bucket, RID, site.place, PARTS[1:])
    site.copy()
    assert [site.versions(name) for name in PARTS] == [2, 2, 2]


def test_later_only_what_changed_is_copied(site: CopySite, tmp_path: Path) -> None:
    """The whole of a large work each time would cost the archive its budget."""
    site.copy()
    assert site.copy(day=2).objects == ()
    page, notes = f"images/{RID}-I1NLM4700_001/0002.jpg", "sources/catalogue/notes.txt"
    write_work(site.place, {page: b"page 2, corrected", notes: b"more notes", "top.txt": b"new"})
    done = site.copy(day=3)
    inventory = f"{RID}-2026-11-03T101500-inventory"
    assert [made.part for made in done.objects] == [f"{RID}-I1NLM4700_001", inventory]
    assert payload_of(site.fetch(inventory), inventory).keys() == {f"{RID}/{notes}", f"{RID}/top.txt"}
    assert done.inventory
    assert done.inventory.read_text() == f"{RID}/{page}\n{RID}/{notes}\n{RID}/./top.txt\n"
    assert [site.versions(name) for name in PARTS] == [1, 1, 2]
    (tmp_path / "back").mkdir()
    assert taken_back(site, tmp_path / "back") == tree_of(site.place)
    assert site.copy(day=3).objects == ()


def test_where_the_bucket_keeps_no_versions_nothing_is_written_over(site: CopySite) -> None:
    """The zip that is there may be the only copy of what is in it."""
    site.bucket = site.aws.make_bucket()
    site.copy()
    before = site.fetch(f"{RID}-I1NLM4700_001")
    write_work(site.place, {f"images/{RID}-I1NLM4700_001/0002.jpg": b"page 2, corrected"})
    with pytest.raises(PartRefused, match="keeps no versions"):
        site.copy(day=2)
    assert site.fetch(f"{RID}-I1NLM4700_001") == before
    assert site.open_uploads() == []


def test_when_the_records_are_lost_what_is_there_is_known_again(site: CopySite) -> None:
    """After a disk was renewed, every work would be copied once more, and every object kept twice."""
    first = site.copy()
    shutil.rmtree(site.records)
    assert site.copy(day=2).objects == first.objects
    assert [site.versions(name) for name in PARTS] == [1, 1, 1]
    assert site.copy(day=3).objects == ()


def test_killed_at_any_step_a_copy_that_is_run_again_ends_right(site: CopySite) -> None:
    """Each part must be there once, and be known to be; what is left of an upload costs money for good."""
    for number in count(1):
        site.bucket = site.aws.make_bucket(versioned=True)
        shutil.rmtree(site.records, ignore_errors=True)
        if not killed_before_step(number, [site.records], site.copy, renames_only=True).killed:
            break
        site.copy()
        assert site.names() == PARTS
        assert [site.versions(name) for name in PARTS] == [1, 1, 1]
        assert (site.open_uploads(), list(site.records.glob("*.journal"))) == ([], [])
        assert site.copy().objects == ()
    assert number > 9


def test_what_rotted_since_it_was_copied_ends_the_copy(site: CopySite) -> None:
    """The page that did not change goes with its group, and the good copy of it is in the deep archive alone."""
    site.copy()
    rotten = site.place / f"archive/{RID}-I1NLM4700_001/0001.tif"
    before = rotten.stat()
    rotten.write_bytes(b"scam 1" * 1000)
    os.utime(rotten, ns=(before.st_atime_ns, before.st_mtime_ns))
    brought = f"images/{RID}-I1NLM4700_001/0001.jpg"
    write_work(site.place, {brought: b"page 1, corrected"})
    with pytest.raises(DeepCopyError, match=r"0001\.tif: has another sha512 than was proven"):
        site.copy({brought: {"sha1": "23d6a7b55dc0ce19cdadfcbe8ddc1c9c2ed2ea5c"}}, day=2)
    assert site.versions(f"{RID}-I1NLM4700_001") == 1
    assert site.open_uploads() == []
    assert not list(site.records.glob("*.journal"))


def test_a_file_that_is_gone_since_its_sync_ends_the_copy(site: CopySite) -> None:
    """Without it the copy would say that it is whole."""
    with pytest.raises(DeepCopyError, match="images/lost: was proven by the last sync, and is not there"):
        site.copy({"images/lost": {"md5": "0"}})
    assert site.names() == []


def test_what_nobody_proved_is_copied_and_counted(site: CopySite) -> None:
    """A work that came before the platform has files that no list names; left out, they would be in no copy."""
    done = site.copy({f"eBooks/{RID}.txt": {"md5": "d41d8cd98f00b204e9800998ecf8427e"}})
    assert done.unproven == len(FILES) - 1
    assert len(done.objects) == 3
