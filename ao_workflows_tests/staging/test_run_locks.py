"""Run locks: held by the living, and by nobody else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path

from ao_workflows.staging.run_locks import RunLocks

_processes = multiprocessing.get_context("fork")


def _hold_until_killed(folder: Path, held: object) -> None:
    RunLocks(folder).hold("r1")
    held.set()  # type: ignore[attr-defined]
    signal.pause()


def _held_by_another(folder: Path) -> multiprocessing.context.ForkProcess:
    held = _processes.Event()
    process = _processes.Process(target=_hold_until_killed, args=(folder, held))
    process.start()
    assert held.wait(60)
    return process


def test_a_run_is_alive_for_as_long_as_its_process_is(tmp_path: Path) -> None:
    """A run of 12 hours that is taken for dead is done twice; one that is dead and taken for alive, never."""
    process = _held_by_another(tmp_path)
    locks = RunLocks(tmp_path)
    assert locks.is_held("r1")
    assert locks.left_behind() == []
    os.kill(int(process.pid or 0), signal.SIGKILL)
    process.join()
    assert not locks.is_held("r1")
    assert locks.left_behind() == ["r1"]
    locks.remove("r1")
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_living_run_is_not_removed(tmp_path: Path) -> None:
    """It would look dead from then on."""
    process = _held_by_another(tmp_path)
    try:
        RunLocks(tmp_path).remove("r1")
        assert RunLocks(tmp_path).is_held("r1")
    finally:
        process.kill()
        process.join()


def test_a_run_of_two_processes_is_alive_until_both_have_ended(tmp_path: Path) -> None:
    """With Dagster's multiprocess executor each step has a process of its own."""
    process = _held_by_another(tmp_path)
    second = RunLocks(tmp_path)
    second.hold("r1")
    second.hold("r1")
    second.release()
    assert second.is_held("r1")
    process.kill()
    process.join()
    assert not second.is_held("r1")


def test_an_orderly_end_leaves_nothing(tmp_path: Path) -> None:
    """Thousands of works leave thousands of files otherwise."""
    locks = RunLocks(tmp_path / "runs")
    locks.hold("r1")
    assert RunLocks(tmp_path / "runs").is_held("r1")
    locks.release()
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_lock_that_is_removed_while_it_is_being_taken_is_taken_anew(tmp_path: Path) -> None:
    """Held on a file that nobody finds any more, it would say nothing to anybody."""
    stop = threading.Event()

    def remove() -> None:
        sweeper = RunLocks(tmp_path)
        while not stop.is_set():
            sweeper.remove("r1")

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        for _ in range(300):
            locks = RunLocks(tmp_path)
            locks.hold("r1")
            assert (tmp_path / "r1.lock").exists()
            locks.release()
    finally:
        stop.set()
        thread.join()
