"""The demo's processes: started in groups of their own, and ended with all that they started.

What belongs here: starting, waiting for and ending. What does not: what any of them does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 15.0

_libc = ctypes.CDLL(None, use_errno=True)


class Processes:
    """What the demo started. Ending it ends every process below it, whoever started that, but those that were there
    before.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = dict(os.environ) | dict(environment)
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._before = frozenset(_below(os.getpid()))
        # A process whose parent has ended becomes a child of the demo's, which can then find and end it.
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Starts ``command`` by this interpreter, in a process group of its own; its output goes to ``<name>.log``."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl call, before any thread of the demo's
            )
        self._started.append((name, process))
        return process

    def check(self) -> None:
        """Sees that what was started still runs.

        :raises RuntimeError: naming what does not, and its log.
        """
        for name, process in self._started:
            if process.poll() is not None:
                log = self._logs / f"{name}.log"
                said = log.read_text(errors="replace").splitlines()[-5:]
                raise RuntimeError("\n  ".join([f"{name} ended with {process.returncode}: see {log}", *said]))

    def end(self) -> None:
        """Asks what was started to end, the last one first, then ends whatever is left below the demo."""
        for _, process in reversed(self._started):
            process.terminate()
        until = time.monotonic() + _GRACE_SECONDS
        for _, process in reversed(self._started):
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._started.clear()
        for ending in (signal.SIGTERM, signal.SIGKILL):
            if left := _below(os.getpid(), self._before):
                for pid in left:
                    _signal(pid, ending)
                _wait_gone(left, 5.0)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _below(parent: int, but: Set[int] = frozenset()) -> list[int]:
    """Every process below ``parent``, save ``but`` and what is below these; own zombies are reaped on the way."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            pid = int(entry.name)
            if after_name[0] == "Z" and int(after_name[1]) == os.getpid():
                _reap(pid)
            else:
                children.setdefault(int(after_name[1]), []).append(pid)
    found: list[int] = []
    waiting = [parent]
    while waiting:
        below = [pid for pid in children.get(waiting.pop(), []) if pid not in but]
        found += below
        waiting += below
    return found


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _signal(pid: int, ending: signal.Signals) -> None:
    try:
        os.kill(pid, ending)
    except ProcessLookupError:
        return


def _wait_gone(pids: Sequence[int], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and set(pids) & set(_below(os.getpid())):
        time.sleep(0.05)
