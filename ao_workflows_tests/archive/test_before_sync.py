"""What the archive has before a sync, and what the sync will take of it."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from ao_workflows.archive.before_sync import SyncChanges, changes_by_sync, compare_copy
from ao_workflows.errors import ReplacedUnreadable
from ao_workflows.fixity import trees as fixity
from ao_workflows.fixity.trees import FileFixity, compare_tree


def bagged(*names: str, data: bytes = b"page") -> list[FileFixity]:
    digest = hashlib.sha512(data).hexdigest()
    return [FileFixity("W1", name, len(data), {"sha512": digest}) for name in names]


def put(place: Path, *names: str, data: bytes = b"page") -> None:
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)


def taken(place: Path, files: list[FileFixity], *, replace: bool = False) -> SyncChanges:
    return changes_by_sync(place, compare_copy(place, files), (file.path for file in files), replace=replace)


def test_of_a_work_that_is_not_there_nothing_is_taken(tmp_path: Path) -> None:
    """Its files are missing, and none is another."""
    before = compare_copy(tmp_path / "W1", bagged("a"))
    assert (before.there, before.problems) == (False, ())
    assert taken(tmp_path / "W1", bagged("a"), replace=True) == SyncChanges()


def test_what_is_added_is_not_taken_and_what_is_other_or_goes_is(tmp_path: Path) -> None:
    """To keep what does not change would cost a copy of the archive; not to keep what does, would lose it."""
    put(tmp_path, "same", "extra")
    put(tmp_path, "other", data=b"PAGE")
    put(tmp_path, "longer", data=b"a page")
    (tmp_path / "a link").symlink_to("same")
    files = bagged("same", "other", "longer", "new", "a link")
    assert taken(tmp_path, files) == SyncChanges(("other", "longer", "a link"), ())
    assert taken(tmp_path, files, replace=True) == SyncChanges(("other", "longer", "a link"), ("extra",))
    assert [problem.path for problem in compare_copy(tmp_path, files).changing] == ["other", "longer", "a link"]


def test_a_file_where_a_folder_is_to_be_is_taken(tmp_path: Path) -> None:
    """It would be removed for the folder, and no file of the bag has its name."""
    put(tmp_path, "images")
    files = bagged("images/1", "images/v/2")
    assert taken(tmp_path, files) == SyncChanges(("images",), ())
    assert taken(tmp_path, files, replace=True) == SyncChanges(("images",), ())
    assert len(compare_copy(tmp_path, files).changing) == 2


def test_a_link_where_a_folder_is_to_be_is_taken_and_what_it_leads_to_is_not_the_works(tmp_path: Path) -> None:
    """The bytes behind it were taken for the work's; whoever builds the work anew puts a folder in its place."""
    put(tmp_path / "elsewhere", "1", "v/2")
    put(tmp_path / "W1", "a")
    (tmp_path / "W1/images").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "W1/gone").symlink_to("nowhere")
    files = bagged("images/1", "images/v/2", "images/new", "gone/1", "a")
    assert taken(tmp_path / "W1", files) == SyncChanges(("images", "gone"), ())
    assert taken(tmp_path / "W1", files, replace=True) == SyncChanges(("images", "gone"), ())
    assert [problem.path for problem in compare_copy(tmp_path / "W1", files).changing] == [
        file.path for file in files[:-1]
    ]


def test_a_folder_where_a_file_is_to_be_is_taken_file_by_file(tmp_path: Path) -> None:
    """Only with what is to be replaced: to add, no script removes it."""
    put(tmp_path, "a/1", "a/2")
    assert taken(tmp_path, bagged("a")) == SyncChanges((), ())
    assert taken(tmp_path, bagged("a"), replace=True) == SyncChanges((), ("a/1", "a/2"))


def test_what_was_written_of_late_gets_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writes in one tick of the disk's clock leave one time: the second would not be seen."""
    put(tmp_path, "a", "b")
    assert compare_copy(tmp_path, bagged("a", "b")).marks == {}
    monkeypatch.setattr(fixity, "_SETTLED_NS", -1)
    assert set(compare_copy(tmp_path, bagged("a", "b")).marks) == {"a", "b"}


@pytest.mark.parametrize("how", ["written", "replaced", "linked"])
def test_whatever_touches_a_file_takes_its_mark_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """A proof that passes over a file must know that nobody wrote to it, whatever its size and time say."""
    monkeypatch.setattr(fixity, "_SETTLED_NS", -1)
    put(tmp_path, "a")
    files = bagged("a")
    before = compare_copy(tmp_path, files)
    times = (tmp_path / "a").stat()
    if how == "written":
        put(tmp_path, "a", data=b"PAGE")
    elif how == "replaced":
        put(tmp_path, "b", data=b"PAGE")
        (tmp_path / "b").rename(tmp_path / "a")
    else:
        os.link(tmp_path / "a", tmp_path / "b")
        put(tmp_path, "b", data=b"PAGE")
    os.utime(tmp_path / "a", ns=(times.st_atime_ns, times.st_mtime_ns))
    placed = [(file.path, file) for file in files]
    assert [problem.kind for problem in compare_tree(tmp_path, placed, "checksum", marks=before.marks)] == ["checksum"]


def test_what_cannot_be_looked_into_is_not_removed_with_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's folder passed for an empty one: what was in it was neither listed nor kept, and then removed."""
    place = tmp_path / "W1"
    put(place, "a", "theirs/page")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "theirs":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root, who may run the tests, may read any folder
    with pytest.raises(ReplacedUnreadable, match=f"{place}/theirs.* cannot be read: Permission denied"):
        taken(place, bagged("a"), replace=True)
    assert taken(place, bagged("a")) == SyncChanges()
