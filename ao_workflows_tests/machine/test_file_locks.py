"""Locks on files: one at a time, shared, waited for, and gone with their process."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

import ao_workflows
from ao_workflows.errors import WorkBusy
from ao_workflows.machine import file_locks

_HOLDER = """
import sys
from pathlib import Path
from ao_workflows.machine import file_locks
path = Path(sys.argv[1])
handle = file_locks.take_when_free(path, shared=True) if sys.argv[2:] else file_locks.take(path, "W1")
file_locks.say_holder(handle, "run 7")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another(path: Path, *how: str) -> Iterator[subprocess.Popen[str]]:
    """Another process has the lock, until it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path), *how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_lock_that_another_process_has_is_refused_with_what_that_one_wrote(tmp_path: Path) -> None:
    """Who finds a work taken must learn by whom."""
    path = tmp_path / "W1.lock"
    with held_by_another(path) as process:
        assert file_locks.take_if_free(path) is None
        with pytest.raises(WorkBusy) as raised:
            file_locks.take(path, "W1")
        assert raised.value.holder.startswith(f"run 7, process {process.pid} on ")


def test_a_killed_process_has_no_lock(tmp_path: Path) -> None:
    """A work would be nobody's for ever."""
    path = tmp_path / "W1.lock"
    with held_by_another(path) as process:
        process.kill()
        process.wait()
        handle = file_locks.take_if_free(path)
    assert handle is not None
    os.close(handle)


def test_a_lock_is_waited_for_as_long_as_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share's lock is given back in a moment; a run must not fail for that."""
    path = tmp_path / "W1.lock"
    with held_by_another(path) as process:
        monkeypatch.setattr(file_locks, "sleep", lambda _seconds: process.kill() or process.wait())
        handle = file_locks.take(path, "W1", patience=60)
    assert file_locks.is_at(handle, path)
    os.close(handle)


def test_who_shares_a_lock_keeps_out_only_who_wants_it_alone(tmp_path: Path) -> None:
    """A run may have several processes, and each says that it lives."""
    path = tmp_path / "run.lock"
    with held_by_another(path, "shared"):
        shared = file_locks.take_when_free(path, shared=True)
        assert file_locks.take_if_free(path) is None
        os.close(shared)
        asking = os.open(path, os.O_RDONLY)
        assert file_locks.lock_if_free(asking, shared=True)
        assert not file_locks.lock_if_free(asking)
        os.close(asking)


def test_a_file_that_is_removed_while_it_is_being_locked_is_locked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock on a file that nobody finds any more keeps nobody out."""
    path = tmp_path / "W1.lock"
    removals = iter([True])

    def flock(handle: int, how: int) -> None:
        if next(removals, False):
            path.unlink()
        fcntl.flock(handle, how)

    monkeypatch.setattr(file_locks, "fcntl", SimpleNamespace(**vars(fcntl) | {"flock": flock}))
    handle = file_locks.take_when_free(path)
    assert file_locks.is_at(handle, path)
    assert file_locks.take_if_free(path) is None
    os.close(handle)


def test_what_others_have_inherited_is_given_back_all_the_same(tmp_path: Path) -> None:
    """What a sync script has left running would keep the work's place locked."""
    path = tmp_path / "W1.lock"
    handle = file_locks.take(path, "W1")
    with subprocess.Popen(["sleep", "600"], pass_fds=[handle]) as heir:
        assert file_locks.take_if_free(path) is None
        file_locks.unlock(handle)
        os.close(handle)
        again = file_locks.take_if_free(path)
        heir.kill()
    assert again is not None
    os.close(again)


def test_a_file_that_cannot_be_made_is_an_error_and_no_lock(tmp_path: Path) -> None:
    """A disk that refuses must not look like a work that is taken."""
    with pytest.raises(FileNotFoundError):
        file_locks.take(tmp_path / "none" / "W1.lock", "W1", patience=60)


def test_no_other_module_locks_files() -> None:
    """Eight did, and two of them looked whether what they had locked was still what others would open."""
    package = Path(ao_workflows.__file__).parent
    lock = [path for path in package.rglob("*.py") if "fcntl.flock(" in path.read_text(encoding="utf-8")]
    assert lock == [package / "machine/file_locks.py"]
