"""A test session that is ended in its middle leaves no process, no mount and no folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ao_workflows_tests.conftest import CHECKOUT
from ao_workflows_tests.support.leftovers import MARK


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.05)
    return holds()


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("processes", "signals"),
    [("1", [signal.SIGINT, signal.SIGINT]), ("0", [signal.SIGKILL])],
    ids=["ctrl-c twice", "killed"],
)
def test_what_is_ended_in_its_middle_leaves_nothing_behind(
    tmp_path: Path, processes: str, signals: list[signal.Signals]
) -> None:
    """A database, a daemon and a disk of the last ten interrupted sessions were a developer's memory."""
    note = tmp_path / "note"
    words = ["-m", "pytest", "-q", "-n", processes, "-p", "no:cacheprovider", f"--basetemp={tmp_path}/base"]
    session = subprocess.Popen(
        [sys.executable, *words, "ao_workflows_tests/support/interrupted.py"],
        cwd=CHECKOUT,
        env={**os.environ, "AO_INTERRUPTED": str(note)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert _within(60, lambda: note.exists() and note.read_text().count("\n") == 3), "it did not begin"
    process, outside, disk = note.read_text().splitlines()
    mark = dict(each.partition("=")[::2] for each in Path(f"/proc/{process}/environ").read_text().split("\0"))[MARK]
    for number in signals:
        os.killpg(session.pid, number)
        time.sleep(0.2)
    session.wait(60)
    assert _within(30, lambda: not Path(mark).exists()), "the watcher removes it last"
    assert not _lives(int(process))
    assert not Path(outside).exists()
    assert disk not in Path("/proc/self/mountinfo").read_text()
