"""Which of a part's files a newer part has written, in whatever order the two come."""

from __future__ import annotations

import pytest

from ao_workflows.archive.part_order import PartWrites, superseded, writes_of
from ao_workflows.works.parts import Part

GROUP, REST, CHANGES = Part("W1", "W1-I1"), Part("W1", "W1"), Part("W1", "W1-2025-03-02-inventory")
EARLY, LATE = "2025-01-01T00:00:00+00:00", "2025-03-02T00:00:00+00:00"
PAGES = ["images/W1-I1/1.jpg", "archive/W1-I1/1.tif"]


def test_a_later_change_keeps_its_files_and_no_others() -> None:
    """The rest of a work came after the change to it, and put the old notes back."""
    change = writes_of(CHANGES, LATE, "c", ["sources/n"])
    rest = writes_of(REST, EARLY, "r", ["sources/n", "sources/m"])
    assert superseded(rest, [change], ["sources/n", "sources/m"], lambda _: True) == {"sources/n": CHANGES.name}
    assert superseded(change, [rest], ["sources/n"], lambda _: True) == {}


def test_of_two_that_were_written_in_one_second_the_change_counts() -> None:
    """S3 tells whole seconds; which of two runs ended last must not decide."""
    change = writes_of(CHANGES, LATE, "c", ["sources/n"])
    rest = writes_of(REST, LATE.replace("00+", "00.7+"), "r", ["sources/n"])
    assert superseded(rest, [change], ["sources/n"], lambda _: True) == {"sources/n": CHANGES.name}
    assert superseded(change, [rest], ["sources/n"], lambda _: True) == {}


def test_a_part_is_not_held_against_itself() -> None:
    """Which of its deliveries is newer, the rule for deliveries says; and each must be able to be redone."""
    late, early = writes_of(GROUP, LATE, "l", PAGES), writes_of(GROUP, EARLY, "e", PAGES)
    assert superseded(early, [late], PAGES, lambda _: True) == {}


def test_an_image_group_is_noted_as_its_folders() -> None:
    """A note of 200,000 pages for each work would be a second archive; and a page that the group has lost is not to
    come back from an older part.
    """
    writes = writes_of(GROUP, LATE, "g", PAGES)
    assert (writes.folders, writes.files) == (("images/W1-I1/", "archive/W1-I1/"), ())
    assert writes.has("images/W1-I1/9.jpg")
    assert not writes.has("images/W1-I10/1.jpg")
    assert not writes.has("images")
    assert writes_of(GROUP, LATE, "g", ["W1-I1/images/1.jpg"]).folders == ("W1-I1/images/",)


def test_a_change_within_a_group_is_noted_file_by_file() -> None:
    """Else one page of it would keep out the whole group that an older part brings."""
    writes = writes_of(CHANGES, LATE, "c", PAGES[:1])
    assert superseded(writes_of(GROUP, EARLY, "g", PAGES), [writes], PAGES, lambda _: True) == {PAGES[0]: CHANGES.name}


def test_a_note_is_read_as_it_was_written() -> None:
    """It is all that is known, years later, of what came first."""
    writes = PartWrites("W1-I1", LATE, "e", is_change=False, folders=("images/W1-I1/",), files=("དཔེ་ཆ།",))
    assert PartWrites.parse(writes.dump().encode()) == writes


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"version": 2, "name": "a"}', b"\xff"])
def test_what_is_no_note_is_refused(text: bytes) -> None:
    """Taken for an empty one, an older part would go over a newer one."""
    with pytest.raises(ValueError, match=r".*"):
        PartWrites.parse(text)


@pytest.mark.parametrize(
    ("newer", "path", "noted"),
    [
        (writes_of(CHANGES, LATE, "c", ["sources/n"]), "sources/n", "sources/n"),
        (writes_of(GROUP, LATE, "g", PAGES), PAGES[0], "images/W1-I1/"),
    ],
    ids=["a file", "a group"],
)
def test_what_the_archive_has_not_is_left_to_nobody(newer: PartWrites, path: str, noted: str) -> None:
    """A part that was noted and never written, or whose files were removed, would keep them out for ever."""
    early = writes_of(REST, EARLY, "r", [])
    assert superseded(early, [newer], [path], noted.__eq__) == {path: newer.name}
    assert superseded(early, [newer], [path], lambda _: False) == {}
