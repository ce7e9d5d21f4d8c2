"""The staging disk: one holder a work, files whole or not at all, and nothing freed that the archive may not have."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ao_workflows.errors import Problem, RidError, StagingError, WorkBusy
from ao_workflows.machine.files import write_whole
from ao_workflows.staging.freeing import Freed
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import Origin
from ao_workflows.staging.staging import Staging
from ao_workflows_tests.support.kept_works import bring, kept
from ao_workflows_tests.support.receipts import debagged

ORIGIN = Origin("e", "m", 3)

_HOLD = """
import sys
from ao_workflows.staging.staging import Staging
staging = Staging(root=sys.argv[1])
staging.hold("W1", "run of another process")
print("held", flush=True)
sys.stdin.read()
staging.release()
"""

_CONTEND = """
import os, sys
from ao_workflows.errors import WorkBusy
from ao_workflows.staging.staging import Staging
root = sys.argv[1]
alone = os.path.join(root, "alone")

def contend():
    staging, had = Staging(root=root), 0
    while had < 40:
        try:
            staging.hold("W1", "contender")
        except WorkBusy:
            os.sched_yield()
            continue
        os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
        os.unlink(alone)
        staging.release()
        had += 1

contenders = []
for _ in range(6):
    if not (pid := os.fork()):
        try:
            contend()
        except FileExistsError:
            os._exit(1)
        os._exit(0)
    contenders.append(pid)
print(sum(os.waitpid(pid, 0)[1] != 0 for pid in contenders))
"""
"""Whoever has the lock makes a file that must not be there; prints how many of six processes found it there."""


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(root=str(tmp_path))


@contextmanager
def held_elsewhere(root: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock of W1 until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_work_that_another_process_has_is_busy_and_it_is_told_who(staging: Staging, tmp_path: Path) -> None:
    """Two runs that unpack into the same folder make a work of neither bag."""
    with held_elsewhere(tmp_path) as other:
        with pytest.raises(WorkBusy) as raised:
            staging.hold("W1", "run 2")
        assert raised.value.transient
        assert "run of another process" in raised.value.holder
        assert f"process {other.pid} on " in str(raised.value)
        staging.hold("W2", "run 2")
        other.communicate()
        staging.hold("W1", "run 2")


def test_a_holder_that_is_killed_lets_go(staging: Staging, tmp_path: Path) -> None:
    """A lock that outlives its run is a work that nobody may touch until a person comes."""
    with held_elsewhere(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        staging.hold("W1", "run 2")
    assert staging.layout.lock("W1").read_text().startswith("run 2, process ")


def test_a_run_takes_its_own_works_lock_as_often_as_it_likes(staging: Staging) -> None:
    """Each of its four stages asks for it."""
    staging.hold("W1", "run")
    staging.hold("W1", "run")
    with pytest.raises(WorkBusy):
        Staging(root=staging.root).hold("W1", "another run in the same process")
    staging.release()
    assert not staging.layout.lock("W1").exists()
    Staging(root=staging.root).hold("W1", "another run in the same process")


def test_never_two_of_many_processes_have_the_work(tmp_path: Path) -> None:
    """The holder removes the file that others have already opened: what they lock then is no lock."""
    done = subprocess.run([sys.executable, "-c", _CONTEND, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
    assert os.listdir(tmp_path / "locks") == []


def test_a_lock_that_a_person_removed_is_not_taken_from_who_has_it_now(staging: Staging) -> None:
    """An operator who clears the locks by hand must not leave the next two runs without one."""
    staging.hold("W1", "run 1")
    staging.layout.lock("W1").unlink()
    now = Staging(root=staging.root)
    now.hold("W1", "run 2")
    staging.release()
    with pytest.raises(WorkBusy, match="run 2"):
        Staging(root=staging.root).hold("W1", "run 3")


def test_a_lock_that_cannot_be_made_is_the_disks_failure(tmp_path: Path) -> None:
    """The operator must learn which disk, and the run must not go on without a lock."""
    (tmp_path / "locks").write_text("no folder")
    with pytest.raises(StagingError, match=str(tmp_path / "locks")):
        Staging(root=str(tmp_path)).hold("W1", "run")
    (tmp_path / "locks").unlink()
    (tmp_path / "locks" / "W1.lock").mkdir(parents=True)
    with pytest.raises(StagingError, match="cannot be opened: Is a directory"):
        Staging(root=str(tmp_path)).hold("W1", "run")


def test_a_lock_on_a_full_disk_is_let_go_of(staging: Staging, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Held on, the run's own next try would find the work busy, with itself."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(StagingError, match="the disk is full"):
            staging.hold("W1", "run")
    staging.hold("W1", "run")


def test_a_receipt_is_read_as_it_was_written(staging: Staging) -> None:
    """And only for its own work and stage."""
    written = debagged(ORIGIN, warnings=("བསྟན",))
    staging.write_receipt(written)
    assert staging.receipts("W1") == Receipts(debagged=written)
    assert staging.receipts("W2") == Receipts()


def test_half_a_receipt_is_none(staging: Staging) -> None:
    """Also one that a power cut ended inside a character: an exception would stop the work for good."""
    staging.write_receipt(debagged(ORIGIN, warnings=("བ",)))
    path = staging.layout.receipt("W1", "debagged_work")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index("བ".encode()) + 1])
    receipts = staging.receipts("W1")
    assert receipts.debagged is None
    assert [error.path for error in receipts.refused] == [path]


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that finds half a report believes that half."""
    path = tmp_path / "new" / "file"
    write_whole(path, "first", flush=True)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StagingError, match=f"{path}: the disk is full"):
        write_whole(path, "second", flush=True)
    assert path.read_text() == "first"
    assert os.listdir(path.parent) == ["file"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Staging on a path that is a file, or on a disk that is not mounted."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StagingError, match="cannot be made"):
        write_whole(tmp_path / "file" / "below", "text")


def test_a_report_has_every_problem_and_goes_when_the_bag_is_good(staging: Staging) -> None:
    """A table shows a hundred; the archive's correspondence with the scanning house needs them all."""
    problems = [Problem("missing", f"data/{number} བ", "is not there") for number in range(250)]
    path = staging.write_report("W1", "W1.bag.zip", problems, "run", "s3://b/k")
    report = json.loads(path.read_text())
    assert (report["rid"], report["source"], report["problem_count"]) == ("W1", "s3://b/k", 250)
    assert report["problems"][249]["path"] == "data/249 བ"
    staging.remove_report("W1")
    staging.remove_report("W1")
    assert not path.parent.exists()


def test_a_work_is_freed_with_all_that_it_has_and_nothing_else(staging: Staging) -> None:
    """Its receipts stay: they say where it is in the archive."""
    bring(staging, "W1")
    bring(staging, "W12")
    assert staging.free("W1") == len(b"zip") + len(b"page")
    assert not staging.layout.incoming("W1").exists()
    assert not staging.layout.work("W1").exists()
    assert staging.receipts("W1").debagged
    assert staging.layout.zip("W12").exists()
    assert staging.free("W1") == 0


def test_a_work_that_this_run_has_stays_its_own_when_it_is_freed(tmp_path: Path) -> None:
    """The run goes on after the freeing, and still needs its lock."""
    staging = Staging(root=str(tmp_path))
    kept(staging, "W1", 9)
    staging.hold("W1", "run")
    assert staging.free_synced("W1").rid == "W1"
    with pytest.raises(WorkBusy):
        Staging(root=str(tmp_path)).hold("W1", "another")


def test_a_work_that_the_site_keeps_is_not_freed_by_its_run(tmp_path: Path) -> None:
    """Nor is another's: what is wrong with that one's folder is none of this run's business."""
    staging = Staging(root=str(tmp_path), keep_days=3)
    kept(staging, "W1", 9)
    kept(staging, "W2", 0)
    assert staging.free_synced("W2") == Freed()
    assert sorted(os.listdir(tmp_path / "works")) == ["W1", "W2"]


@pytest.mark.parametrize(
    "rid", ["../../mnt/Archive0", "..", "", "a/b", "W1; rm -rf x", "-rf", "W1\n", "W1\0", "a" * 65]
)
def test_what_can_be_no_work_s_name_is_not_held_and_nothing_is_written(rid: str, tmp_path: Path) -> None:
    """A partition is what somebody wrote into Dagster's storage: its folders were wherever its name led."""
    staging = Staging(root=str(tmp_path / "deep" / "staging"))
    with pytest.raises(RidError):
        staging.hold(rid, "a run")
    assert list(tmp_path.iterdir()) == []
