"""The demo's processes: started in groups of their own, and ended with all that they started.

What belongs here: starting and ending them together. What does not: finding and signalling processes
(``ao_workflows.machine.processes``), and what any of them does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ao_workflows.machine.processes import below, end

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 15.0
_REST_GRACE_SECONDS = 5.0

_libc = ctypes.CDLL(None, use_errno=True)


class Processes:
    """The processes that the demo starts.

    ``end`` ends every process below this one, whoever started it, except those that existed before this object.

    :param logs: the folder for the processes' output.
    :param environment: variables that the processes get in addition to this process's own.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = dict(os.environ) | dict(environment)
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._before = frozenset(below(os.getpid()))
        # A process whose parent has ended becomes a child of the demo's, which can then find and end it.
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Starts this interpreter with ``command`` as its arguments, in a process group of its own; its output goes to
        ``<name>.log``.
        """
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
        """Checks that all processes still run.

        :raises RuntimeError: if one has ended; the error names it and its log.
        """
        for name, process in self._started:
            if process.poll() is not None:
                log = self._logs / f"{name}.log"
                said = log.read_text(errors="replace").splitlines()[-5:]
                raise RuntimeError("\n  ".join([f"{name} ended with {process.returncode}: see {log}", *said]))

    def end(self) -> None:
        """Asks the processes to end, the last one first, then ends every process that is still below the demo."""
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
        # Twice: a process that is ending may have started another one.
        for _ in range(2):
            end(below(os.getpid(), self._before), _REST_GRACE_SECONDS)
        below(os.getpid())  # reaps the processes that became children of the demo and have ended


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
