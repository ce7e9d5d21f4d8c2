"""The notes of what each part has written, on the work's share, and a tree without some of its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.archive.part_order import PartWrites
from ao_workflows.archive.part_writes import forget_writes, linked_without, note_writes, read_writes
from ao_workflows.archive.shares import parts_folder
from ao_workflows.errors import StagingError

GROUP = PartWrites("W1-I1", "2025-03-02T00:00:00+00:00", "e", folders=("images/W1-I1/",))


def test_each_part_has_a_note_of_its_own(tmp_path: Path) -> None:
    """A work may have a thousand parts: the note of one is not to be written anew for each."""
    parent = tmp_path / "Archive"
    assert read_writes(parent, "W1") == []
    other = PartWrites("W1-I2", GROUP.written, "o", files=("sources/n",))
    for writes in (other, GROUP, GROUP):
        note_writes(parent, "W1", writes)
    assert read_writes(parent, "W1") == [GROUP, other]
    assert parts_folder(parent, "W1").is_relative_to(tmp_path / "Archive0" / ".ao-archive")


def test_a_note_that_cannot_be_read_stops_the_sync_and_is_named(tmp_path: Path) -> None:
    """Passed over, an older part would go over a newer one, and the run would be green."""
    note_writes(tmp_path / "Archive", "W1", GROUP)
    path = parts_folder(tmp_path / "Archive", "W1") / "W1-I1.json"
    path.write_text("{")
    with pytest.raises(StagingError, match="Remove it, then reprocess the part") as refused:
        read_writes(tmp_path / "Archive", "W1")
    assert refused.value.path == path


def test_a_tree_without_some_files_shares_the_others(tmp_path: Path) -> None:
    """300 GB are not copied for one page that stays; and the tree that was proven stays whole."""
    tree = tmp_path / "W1"
    (tree / "a").mkdir(parents=True)
    for name in ("a/1", "a/2", "b"):
        (tree / name).write_text(name)
    into = linked_without(tree, {"a/1", "b"}, tmp_path / "new/W1")
    assert [path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()] == ["a/2"]
    assert (into / "a/2").samefile(tree / "a/2")
    assert (tree / "a/1").exists()


def test_what_is_forgotten_of_a_work_is_that_of_no_other(tmp_path: Path) -> None:
    """And a work of which nothing is noted has nothing to forget."""
    parent = tmp_path / "Archive"
    for rid in ("W1", "W101"):
        note_writes(parent, rid, GROUP)
    for _ in range(2):
        forget_writes(parent, "W1")
    assert (read_writes(parent, "W1"), read_writes(parent, "W101")) == ([], [GROUP])
