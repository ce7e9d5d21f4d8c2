"""What the sync of a part asks and notes: whether it is all of the work, and what stays as a newer part has it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ao_workflows.archive.part_writes import read_writes
from ao_workflows.archive.places import archive_place
from ao_workflows.defs.restore.own_part import OwnPart, tree_without, whole_written
from ao_workflows.errors import OtherStructure
from ao_workflows.fixity.trees import FileFixity, write_fixity
from ao_workflows.status.deliveries import Delivery, SyncedDelivery
from ao_workflows.works.parts import Part

OLD, NEW = "2025-01-01T00:00:00Z", "2025-03-02T00:00:00Z"


def own(folder: Path, name: str, *paths: str, written: str = OLD) -> OwnPart:
    fixity = folder / f"{name}.jsonl"
    write_fixity(fixity, (FileFixity("W1", path, 1, {"sha256": "0"}) for path in paths))
    return OwnPart(Part("W1", name), written, f"event of {name}", folder / "Archive", fixity)


def in_archive(folder: Path, path: str) -> None:
    file = archive_place(folder / "Archive", "W1") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")


def test_only_a_zip_named_as_the_work_may_be_all_of_it(tmp_path: Path) -> None:
    """A replacement by less than the whole removes the rest."""
    whole = own(tmp_path, "W1", "images/W1-I1/1.jpg", "sources/n")
    assert not whole.is_only_a_part
    assert own(tmp_path, "W1-I1", "images/W1-I1/1.jpg").is_only_a_part
    whole.note()
    assert not whole.is_only_a_part, "its own note makes no part of it"
    own(tmp_path, "W9", "images/W1-I1/1.jpg").note_beside("W1")
    assert not whole.is_only_a_part, "nor does another work's zip, which brought it too"
    own(tmp_path, "W1-I2", "images/W1-I2/1.jpg").note()
    assert own(tmp_path, "W1", "images/W1-I1/1.jpg").is_only_a_part, "another part has come"


def test_a_work_without_images_is_all_of_it_unless_the_archive_has_some(tmp_path: Path) -> None:
    """What deep-archive leaves for the zip of the work's name looks like a small work."""
    assert not own(tmp_path, "W1", "sources/n").is_only_a_part
    (archive_place(tmp_path / "Archive", "W1") / "images/W1-I1").mkdir(parents=True)
    assert own(tmp_path, "W1", "sources/n").is_only_a_part


def test_what_a_newer_part_wrote_is_left_to_it_and_said(tmp_path: Path) -> None:
    """A person who misses a file in the run must learn which part has it."""
    archive_place(tmp_path / "Archive", "W1").mkdir(parents=True)
    own(tmp_path, "W1-2025-inventory", "sources/n", written=NEW).note()
    said: list[str] = []
    rest = own(tmp_path, "W1", "sources/n", "sources/m")
    assert rest.left_to_newer(said.append) == {}, "what the archive lacks is brought"
    in_archive(tmp_path, "sources/n")
    assert rest.left_to_newer(said.append) == {"sources/n": "W1-2025-inventory"}
    assert said == ["W1: 1 of its files stay as W1-2025-inventory has them, which was written later"]


def test_a_part_in_the_other_structure_is_refused(tmp_path: Path) -> None:
    """The two are never mixed."""
    group = own(tmp_path, "W1-I1", "images/W1-I1/1.jpg")
    group.check_structure()
    (archive_place(tmp_path / "Archive", "W1") / "W1-I2/images").mkdir(parents=True)
    with pytest.raises(OtherStructure, match="ao reprocess W1 --part W1-I1 --from debagged_work --fresh"):
        group.check_structure()
    own(tmp_path, "W1-I3", "W1-I3/images/1.jpg").check_structure()


def test_the_tree_without_files_is_gone_afterwards(tmp_path: Path) -> None:
    """Each would stay on the scratch disk."""
    tree = tmp_path / "W1"
    tree.mkdir()
    for name in ("a", "b"):
        (tree / name).write_text(name)
    with tree_without(tree, {}, tmp_path / ".tmp") as same:
        assert same == tree
    with tree_without(tree, {"a": "W1-I1"}, tmp_path / ".tmp") as less:
        assert less.name == "W1", "the script takes the RID from it"
        assert [path.name for path in less.iterdir()] == ["b"]
    assert not (tmp_path / ".tmp").exists()


def test_what_was_noted_of_a_work_that_the_archive_has_no_more_counts_no_more(tmp_path: Path) -> None:
    """A work that is brought again would miss whatever a part that is not there any more had written."""
    in_archive(tmp_path, "sources/n")
    own(tmp_path, "W1-2025-inventory", "sources/n", written=NEW).note()
    shutil.rmtree(archive_place(tmp_path / "Archive", "W1"))
    rest = own(tmp_path, "W1", "sources/n")
    rest.note()
    assert [each.name for each in read_writes(rest.parent, "W1")] == ["W1"]


def test_a_whole_work_is_noted_by_its_folders_and_keeps_out_what_is_older(tmp_path: Path) -> None:
    """A group that was written before went over the newer pages of the whole work."""
    own(tmp_path, "W1", "images/W1-I1/1.jpg", "sources/n", "top", written=NEW).note()
    (note,) = read_writes(tmp_path / "Archive", "W1")
    assert (note.folders, note.files) == (("images/", "sources/"), ("top",)), "200,000 pages are a small note"
    in_archive(tmp_path, "images/W1-I1/1.jpg")
    older = own(tmp_path, "W1-I1", "images/W1-I1/1.jpg", "images/W1-I1/2.jpg")
    assert set(older.left_to_newer([].append)) == {"images/W1-I1/1.jpg", "images/W1-I1/2.jpg"}
    assert not own(tmp_path, "W1-I1", "images/W1-I1/1.jpg", written="2026-01-01T00:00:00Z").left_to_newer([].append)


def test_a_work_that_came_in_another_works_zip_keeps_out_what_is_older(tmp_path: Path) -> None:
    """Its group was written before that zip, and has the older pages."""
    fixity = tmp_path / "W9.jsonl"
    write_fixity(fixity, [FileFixity("W1", "images/W1-I1/1.jpg", 1, {"sha256": "0"})])
    OwnPart(Part("W9", "W9"), NEW, "event", tmp_path / "Archive", fixity).note_beside("W1")
    in_archive(tmp_path, "images/W1-I1/1.jpg")
    left = own(tmp_path, "W1-I1", "images/W1-I1/1.jpg").left_to_newer([].append)
    assert left == {"images/W1-I1/1.jpg": "W9"}
    assert own(tmp_path, "W1", "images/W1-I1/1.jpg", written=OLD).left_to_newer([].append), "the work's own zip, too"


def test_a_dropped_work_is_not_noted(tmp_path: Path) -> None:
    """The time at which a person chose it says nothing of how old its pages are."""
    replace(own(tmp_path, "W1", "images/W1-I1/1.jpg"), is_object=False).note()
    assert read_writes(tmp_path / "Archive", "W1") == []


def test_what_drs_says_of_a_whole_work_counts_where_no_note_is(tmp_path: Path) -> None:
    """The works of a site that had the platform before parts were taken; and what they lack may be added."""
    page = archive_place(tmp_path / "Archive", "W1") / "images/W1-I1/1.jpg"
    group = own(tmp_path, "W1-I1", "images/W1-I1/1.jpg", "images/W1-I1/2.jpg")
    known = replace(group, whole_before=lambda: NEW)
    assert not known.left_to_newer([].append), "the archive has nothing of it"
    page.parent.mkdir(parents=True)
    page.touch()
    assert known.left_to_newer([].append) == {"images/W1-I1/1.jpg": "W1"}
    assert not replace(group, whole_before=lambda: OLD).left_to_newer([].append)
    assert not group.left_to_newer([].append)


def test_when_the_newest_whole_zip_was_written_its_deliveries_say() -> None:
    """The last that was synced may be an older one, by a person's word."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    found = [SyncedDelivery(Delivery("e", "n", OLD, bucket="b", modified=each), at) for each in (NEW, OLD, "")]
    assert whole_written(found) == NEW
    assert whole_written([found[0]._replace(itself=False)]) == ""
    assert whole_written([]) == ""


def test_pages_that_the_newer_group_lacks_are_told(tmp_path: Path) -> None:
    """They stay, since nothing is removed without a person's word, and stayed unsaid."""
    place = archive_place(tmp_path / "Archive", "W1")
    for path in ("images/W1-I1/1.jpg", "images/W1-I1/9.jpg", "images/W1-I1/new.jpg", "images/W1-I2/1.jpg", "sources/n"):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).touch()
    own(tmp_path, "W1-2026-inventory", "images/W1-I1/new.jpg", written="2026-01-01T00:00:00Z").note()
    group = own(tmp_path, "W1-I1", "images/W1-I1/1.jpg", written=NEW)
    assert list(group.extra()) == ["images/W1-I1/9.jpg"]
