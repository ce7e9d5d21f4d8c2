"""Whole files: a reader sees the old one or the new one, whatever fails meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ao_workflows.errors import StagingError, StagingFull
from ao_workflows.machine.files import made_parents, now, write_whole
from ao_workflows.machine.times import moment_with_zone


def test_a_file_that_cannot_be_replaced_stays_as_it_was_and_nothing_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half receipt would have a stage believed, or the old one lost."""
    path = tmp_path / "folder/receipt.json"
    write_whole(path, "the old one")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StagingFull):
        write_whole(path, "the new one", flush=True)
    assert [each.name for each in path.parent.iterdir()] == ["receipt.json"]
    assert path.read_text() == "the old one"


@pytest.mark.parametrize("flush", [False, True])
def test_what_must_outlast_a_power_cut_is_flushed_with_its_folder_and_no_other_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flush: bool
) -> None:
    """An event that nobody sends again is flushed; flushing everything would halve the speed."""
    flushed: list[bool] = []
    really = os.fsync

    def seen(handle: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{handle}").readlink().is_dir())
        really(handle)

    monkeypatch.setattr(os, "fsync", seen)
    write_whole(tmp_path / "event.json", "{}", flush=flush)
    assert flushed == ([False, True] if flush else [])


def test_half_a_character_is_written_as_its_escape(tmp_path: Path) -> None:
    """A message's JSON may have one, and must be kept as it came: a refusal would lose it."""
    write_whole(tmp_path / "message", 'a lone "\ud800"')
    assert (tmp_path / "message").read_bytes() == b'a lone "\\ud800"'


def test_folders_are_made_or_it_is_the_disk_s_refusal(tmp_path: Path) -> None:
    """What is told is the folder, and not the file that nobody has made yet."""
    assert made_parents(tmp_path / "a/b/c").parent.is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(StagingError, match=r"file/b: cannot be made"):
        made_parents(tmp_path / "file/b/c")


def test_the_time_has_its_zone() -> None:
    """A receipt without one is none."""
    assert moment_with_zone(now())
