"""A work's folder in the archive, listed; what no bag can hold is named before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ao_workflows.deep_copy.archived_tree import list_tree
from ao_workflows.errors import DeepCopyError
from ao_workflows_tests.support.deep_copies import MTIME, write_work

FILES = {"sources/a.txt": b"a", "images/W1-I1/1.jpg": b"page"}


def test_every_file_is_listed_with_its_size_and_time(tmp_path: Path) -> None:
    """A file that is passed over is in no part."""
    write_work(tmp_path, FILES)
    tree = list_tree("W1", tmp_path)
    assert [(file.path, file.size) for file in tree.files] == [("images/W1-I1/1.jpg", 4), ("sources/a.txt", 1)]
    assert tree.files[1].modified_ns == MTIME * 10**9
    assert set(tree.times) == {"", "images", "images/W1-I1", "sources"}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda place: (place / "link").symlink_to("sources"), "link: is no file"),
        (lambda place: os.mkfifo(place / "pipe"), "pipe: is no file"),
        (lambda place: (place / os.fsdecode(b"a\xff")).write_bytes(b""), "no UTF-8"),
        (lambda place: (place / "a%0Ab").write_bytes(b""), "%0A"),
        (lambda place: write_work(place, {"W1-I1/images/1.jpg": b""}), "is there twice"),
    ],
)
def test_what_no_bag_can_hold_is_named(tmp_path: Path, spoil: Callable[[Path], object], why: str) -> None:
    """Left out in silence, it would be missing from a copy that says that it is whole."""
    write_work(tmp_path, FILES)
    spoil(tmp_path)
    with pytest.raises(DeepCopyError, match=why):
        list_tree("W1", tmp_path)


def test_a_work_without_a_file_is_no_work(tmp_path: Path) -> None:
    """A share that is not mounted has such folders."""
    with pytest.raises(DeepCopyError, match="has no file"):
        list_tree("W1", tmp_path)
    with pytest.raises(DeepCopyError, match="cannot be read"):
        list_tree("W1", tmp_path / "nowhere")
