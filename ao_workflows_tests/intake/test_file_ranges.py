"""Ranges of a claimed file: read while it is what it was when it was looked at, or refused in words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ao_workflows.errors import FileChanged, FileGone, FolderError, ServiceError
from ao_workflows.intake.file_ranges import ClaimedFile, FileRanges, explained

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "drop/save/W1.bag.zip"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    return file


def test_a_range_is_the_bytes_that_were_asked_for_and_ends_with_the_file(path: Path) -> None:
    """One byte beside it, and every digest after it is wrong."""
    ranges = FileRanges(ClaimedFile.look(path))
    assert ranges.read(10, 300) == CONTENT[10:300]
    assert ranges.read(len(CONTENT) - 5, len(CONTENT)) == CONTENT[-5:]
    body = ranges.open(0, 10)
    assert [body.read(6), body.read(6), body.read(6)] == [CONTENT[:6], CONTENT[6:10], b""]
    body.close()


def test_a_file_that_was_written_to_before_or_while_it_is_read_is_not_what_was_claimed(path: Path) -> None:
    """A half of each of two states would be proven by its own checksum."""
    ranges = FileRanges(ClaimedFile.look(path))
    body = ranges.open(0, 10)
    body.read(5)
    path.write_bytes(CONTENT + b"more")
    with pytest.raises(FileChanged):
        body.close()
    with pytest.raises(FileChanged):
        ranges.open(0, 10)


def test_bytes_that_changed_in_place_are_seen_by_the_file_s_time(path: Path) -> None:
    """The size is the same."""
    file = ClaimedFile.look(path)
    os.utime(path, ns=(0, file.modified_ns + 1))
    with pytest.raises(FileChanged):
        FileRanges(file).open(0, 10)
    assert ClaimedFile.look(path).identity != file.identity


def test_what_is_no_plain_file_is_refused_and_never_opened(path: Path) -> None:
    """A FIFO would hold the run for ever, a link leads out of the folder."""
    path.unlink()
    with pytest.raises(FileGone):
        ClaimedFile.look(path)
    os.mkfifo(path)
    with pytest.raises(FolderError, match="no plain file"):
        ClaimedFile.look(path)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(FolderError, match="no plain file"):
        ClaimedFile.look(path)


def test_a_file_that_was_taken_away_since_the_look_is_gone(path: Path) -> None:
    """What it is told with is the folder that people know, not ``save/``."""
    ranges = FileRanges(ClaimedFile.look(path))
    path.unlink()
    with pytest.raises(FileGone) as caught:
        ranges.read(0, 10)
    assert str(path.parent.parent) in str(caught.value)


def test_a_mount_that_does_not_answer_may_mend_itself_and_a_refusal_does_not(path: Path) -> None:
    """The one is tried again; for the other somebody must change whose the file is."""
    stale = explained(path, OSError(errno.ESTALE, os.strerror(errno.ESTALE)))
    assert isinstance(stale, ServiceError)
    assert stale.transient
    refused = explained(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    assert isinstance(refused, FolderError)
    assert f"user {os.geteuid()}" in str(refused)
