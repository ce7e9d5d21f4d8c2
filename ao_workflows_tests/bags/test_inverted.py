"""Where a file of an image group lies, inverted and turned back."""

from __future__ import annotations

import pytest

from ao_workflows.bags.inverted import group_within, lies_upright, placed

BACK = [
    ("W1-I1_001/images/a.jpg", "images/W1-I1_001/a.jpg"),
    ("W1-0123/archive/deep/a.tif", "archive/W1-0123/deep/a.tif"),
    ("W1-I1_001/images/", "images/W1-I1_001/"),
]
STAYS = ["sources/catalogue/notes.txt", "images/W1-I1_001/a.jpg", "W2-I1/images/a.jpg", "W1-notes/images/a", "a.txt"]


@pytest.mark.parametrize(("inverted", "back"), BACK)
def test_a_group_is_turned_back_and_inverted_again(inverted: str, back: str) -> None:
    """The archive had the pages of a restored group in a folder that nobody reads."""
    assert placed(inverted, "W1") == back
    assert placed(back, "W1", inverted=True) == inverted
    assert placed(inverted, "W1", inverted=True) == inverted


@pytest.mark.parametrize("path", STAYS)
def test_what_is_in_no_inverted_group_of_the_work_stays(path: str) -> None:
    """A name decides nothing but where a group is meant: every other file is where its maker put it."""
    assert placed(path, "W1") == path


def test_the_files_of_a_groups_own_folder_get_their_group() -> None:
    """In the bag of a group, the payload may be the group's content."""
    assert placed("images/a.jpg", "W1", "W1-I1") == "images/W1-I1/a.jpg"
    assert placed("images/a.jpg", "W1", "W1-I1", inverted=True) == "W1-I1/images/a.jpg"
    assert placed("note.txt", "W1", "W1-I1") == "W1-I1/note.txt"


def test_a_group_in_an_inverted_group_is_seen() -> None:
    """It is upright in an inverted group, or a folder of that; nobody can tell."""
    assert group_within("W1-I1/images/W1-I1/1.jpg", "W1") == "W1-I1"
    assert group_within("images/W1-I2/1.jpg", "W1", "W1-I1") == "W1-I2"
    for path in ("images/W1-I1/W1-I1/1.jpg", "W1-I1/images/1.jpg", "W1-I1/images/a/W1-I1/1.jpg", "n"):
        assert group_within(path, "W1") is None


def test_a_group_lies_upright_only_if_all_of_it_does() -> None:
    """By one file that lies so the others would be taken for the whole work's."""
    assert lies_upright(["images/", "images/W1-I1/1.jpg", "archive/W1-I1/a/1.tif"], "W1", "W1-I1")
    for path in ("images/2.jpg", "images/W1-I2/1.jpg", "images/W1-I1/W1-I1/1.jpg", "images/W1-I1/images/1.jpg", "n"):
        assert not lies_upright(["images/W1-I1/1.jpg", path], "W1", "W1-I1")
    assert not lies_upright(["images/"], "W1", "W1-I1")
