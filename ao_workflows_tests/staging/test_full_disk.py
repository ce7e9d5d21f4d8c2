"""A full scratch disk: every write tells it as what may mend itself, loses nothing, and is done when there is room."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ao_workflows.archive.sync_options import SyncOptions
from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.download.download import DownloadPaths, bring
from ao_workflows.download.journal import FinishedPart, Journal
from ao_workflows.download.pace import Pace
from ao_workflows.download.plan import plan_transfer
from ao_workflows.download.progress import ProgressReporter
from ao_workflows.errors import Problem, StagingError, StagingFull
from ao_workflows.fixity.s3_checksums import ObjectProof
from ao_workflows.fixity.trees import FileFixity, write_fixity
from ao_workflows.intake.file_ranges import ClaimedFile, FileRanges
from ao_workflows.machine.disk import remove_tree
from ao_workflows.machine.new_trees import NewTree
from ao_workflows.staging import rejected_messages
from ao_workflows.staging.staging import Staging
from ao_workflows_tests.support.receipts import downloaded
from ao_workflows_tests.support.small_disks import fill, mounted, use_all_inodes

LONG = "x" * 100_000


def _hold(disk: Path) -> None:
    staging = Staging(root=str(disk))
    staging.hold("W1", "run")
    staging.release()


def _receipt(disk: Path) -> None:
    Staging(root=str(disk)).write_receipt(downloaded(rid="W1"), flush=True)


def _report(disk: Path) -> None:
    problems = [Problem("missing", LONG, "is not there")]
    Staging(root=str(disk)).write_report("W1", "W1.bag.zip", problems, "run", "s3://b/k")


def _room(disk: Path) -> None:
    staging = Staging(root=str(disk))
    staging.room.promise("W1", 0, print)
    staging.release()


def _run_lock(disk: Path) -> None:
    locks = Staging(root=str(disk)).run_locks
    locks.hold("run")
    locks.release()


def _message(disk: Path) -> None:
    rejected_messages.keep(Staging(root=str(disk)), "demo", "queue", "m1", LONG, "it is no event")


def _fixity(disk: Path) -> None:
    write_fixity(disk / "fixity.jsonl", (FileFixity("W1", f"{number}{LONG[:200]}", 1, {}) for number in range(1000)))


def _journal(disk: Path) -> None:
    journal = Journal(disk / "journal", {"event": "e"})
    try:
        journal.begin()
        for number in range(1000):
            journal.add(FinishedPart(number, "0" * 16, ("0" * 64,)))
        assert len(journal.resume(lambda _part: True) or ()) == 1000
    finally:
        journal.close()


def _download(disk: Path) -> None:
    file = disk.parent / "dropped.zip"
    file.write_bytes(LONG.encode())
    source = ClaimedFile.look(file)
    proof = ObjectProof(None, (source.size,), "none")
    cut = plan_transfer(source.size, proof.pieces, claimed=False, joinable=False, parallel=1)
    places = DownloadPaths(disk / "in/zip", disk / "in/part", disk / "in/journal")
    bring(FileRanges(source), "here", source.identity, cut, proof, places, Pace(), lambda _: None, lambda _: ())


def _tree(disk: Path) -> None:
    with NewTree(disk / ".W1.run.tmp") as tree:
        for number in range(50):
            tree.make_folder(f"folder-{number}")
        tree.publish(disk / "W1")


def _log(disk: Path) -> None:
    _run_script(disk, f"head -c 200000 /dev/zero | tr '\\0' x; echo; {_SUCCEEDS}")


def _scripts_own_log(disk: Path) -> None:
    # 23 is rsync's, for what it could not write.
    _run_script(disk, f'head -c 200000 /dev/zero >"$syncLogDateTimeDir/own.log" || exit 23; {_SUCCEEDS}')


_SUCCEEDS = 'while [ $# -gt 2 ]; do shift; done; echo W1 >>"$1"'


def _run_script(disk: Path, program: str) -> None:
    script = disk.parent / "script.sh"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o755)
    (disk.parent / "W1").mkdir(exist_ok=True)
    syncs = SyncScript(script=str(script), archive_parent=str(disk.parent), logs=str(disk / "logs"), timeout_minutes=1)
    at = datetime(2026, 11, 21).astimezone()
    syncs.run("W1", disk.parent / "W1", SyncOptions(archive=False), "run", lambda _line: None, at)


FULL_OF_BYTES = [
    _hold, _receipt, _report, _room, _message, _fixity, _journal, _download, _log, _scripts_own_log
]  # fmt: skip
FULL_OF_FILES = [*FULL_OF_BYTES, _run_lock, _tree]


@pytest.mark.parametrize(
    ("write", "fill_up"),
    [
        *((write, fill) for write in FULL_OF_BYTES),
        *((write, use_all_inodes) for write in FULL_OF_FILES),
    ],
    ids=lambda one: one.__name__.strip("_"),
)
def test_a_write_that_finds_no_room_may_be_tried_again_and_is_done_when_there_is(
    tmp_path: Path, write: Callable[[Path], None], fill_up: Callable[[Path], Path]
) -> None:
    """A receipt or a lock that found the disk full ended its run for good, where a download waited for room."""
    with mounted(tmp_path / "disk", "size=512k,nr_inodes=100") as disk:
        ballast = fill_up(disk)
        for _ in range(2):
            with pytest.raises(StagingFull) as raised:
                write(disk)
            assert raised.value.transient
            assert str(raised.value.path).startswith(str(disk))
            assert "the disk is full" in str(raised.value)
        remove_tree(ballast)
        write(disk)
        left = [path for path in disk.rglob("*") if path.name.endswith(".tmp")]
        assert left == []


@pytest.mark.parametrize("write", [_receipt, _report, _room, _message, _fixity, _journal, _download])
def test_a_write_that_fills_the_disk_itself_may_be_tried_again(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """Most disks become full in the middle of a file: half of it must not be taken for the whole."""
    tried = 0
    with mounted(tmp_path / "disk", "size=1m") as disk:
        ballast = fill(disk)
        while True:
            try:
                write(disk)
                break
            except StagingFull:
                tried += 1
                with ballast.open("r+b") as some:
                    some.truncate(ballast.stat().st_size - 4096)
    assert tried > 0


def test_a_folder_that_finds_no_room_may_be_made_again(tmp_path: Path) -> None:
    """A zip's folders are made before its first file, and failed their run for good."""
    with mounted(tmp_path / "disk", "size=512k,nr_inodes=100") as disk, NewTree(disk / ".W1.run.tmp") as tree:
        many = use_all_inodes(disk)
        with pytest.raises(StagingFull, match="folder-1: the disk is full"):
            tree.make_folder("folder-1")
        remove_tree(many)
        tree.make_folder("folder-1")


@pytest.mark.parametrize("write", [_hold, _receipt, _report, _room, _message, _fixity, _journal, _download, _run_lock])
def test_a_disk_that_may_not_be_written_is_for_good(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """A disk that went read-only after an error is a person's, at once."""
    with mounted(tmp_path / "disk", "ro,size=1m") as disk:
        with pytest.raises(StagingError, match="Read-only file system") as raised:
            write(disk)
        assert not raised.value.transient


def test_a_message_that_finds_no_room_is_not_half_kept(tmp_path: Path) -> None:
    """It stays in its queue; and what was kept before is still there, and read."""
    with mounted(tmp_path / "disk", "size=512k") as disk:
        staging = Staging(root=str(disk))
        rejected_messages.keep(staging, "demo", "queue", "m0", "{}", "it is no event")
        fill(disk)
        with pytest.raises(StagingFull):
            _message(disk)
        assert [kept.message_id for kept in rejected_messages.kept_messages(staging)] == ["m0"]


def test_a_download_does_not_fail_for_want_of_room_for_its_progress(tmp_path: Path) -> None:
    """It has all its room; the figures are for people who look, and the log has them too."""
    with mounted(tmp_path / "disk", "size=512k") as disk:
        fill(disk)
        said: list[str] = []
        with ProgressReporter("W1", 100, "run", disk / "progress.json", said.append) as tell:
            tell(50)
        assert len(said) == 1
        assert not (disk / "progress.json").exists()


def test_a_run_waits_for_room_for_the_lock_that_shows_that_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No retry policy holds before the first step; and without a lock the run would be taken for one that died."""
    with mounted(tmp_path / "disk", "size=512k,nr_inodes=50") as disk:
        ballast = use_all_inodes(disk)
        staging = Staging(root=str(disk))
        assert not staging.run_locks.can_be_made()
        monkeypatch.setattr("ao_workflows.staging.staging.time.sleep", lambda _: shutil.rmtree(ballast))
        context: Any = SimpleNamespace(run_id="run", log=None)
        staging.setup_for_execution(context)
        assert Staging(root=str(disk)).run_locks.is_held("run")
        assert staging.run_locks.can_be_made()
        staging.teardown_after_execution(context)
