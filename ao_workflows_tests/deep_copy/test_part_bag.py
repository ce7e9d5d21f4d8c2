"""A part's bag before its files are read: its size, its layout, and that it is the same each time."""

from __future__ import annotations

import os
from pathlib import Path

from ao_workflows.deep_copy.part_bag import FoundFile, PartBag
from ao_workflows.deep_copy.what_to_copy import PartToCopy
from ao_workflows_tests.support.deep_copies import MTIME, part_of, write_work

FILES = {"images/W1-I1/1.jpg": b"page" * 9, "archive/W1-I1/x.bag/1.tif": b""}
PAYLOAD = {"archive/W1-I1/x.bag/1.tif": "W1-I1/archive/x.bag/1.tif", "images/W1-I1/1.jpg": "W1-I1/images/1.jpg"}


def part(place: Path) -> PartToCopy:
    write_work(place, FILES)
    return part_of(place, "W1-I1", PAYLOAD)


def test_its_size_is_known_before_a_file_is_read(tmp_path: Path) -> None:
    """The parts of an upload, and their number, follow from it."""
    bag = PartBag(part(tmp_path), {})
    found = [FoundFile(7, {"sha512": "f" * 128})] * 2
    assert bag.starts[-1] + len(bag.tail(found)) == bag.size
    assert bag.payload_bytes == 36


def test_of_the_same_files_it_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    """A killed upload could not be gone on with, and an object that is there could not be known again."""
    made = part(tmp_path)
    assert PartBag(made, {}).identity() == PartBag(made, {}).identity()
    os.utime(tmp_path / "images/W1-I1/1.jpg", (MTIME, MTIME + 60))
    assert PartBag(part_of(tmp_path, "W1-I1", PAYLOAD), {}).identity() != PartBag(made, {}).identity()


def test_no_folder_of_the_payload_is_taken_for_a_bag(tmp_path: Path) -> None:
    """The archive's present tool opens each folder of a zip whose name ends in .bag as one, and dies of it."""
    head = PartBag(part(tmp_path), {"images/W1-I1": 10**18}).head
    assert b"W1-I1.bag/data/W1-I1/archive/" in head
    assert b"x.bag/" not in head
