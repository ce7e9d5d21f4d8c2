"""Processes: found, known from all others, asked to end, and killed; and started to outlive who starts them.

What belongs here: those, and what else a command that starts processes needs: an orderly end after a signal, and a free
port. What does not: what any process does (``ao_workflows.services.running``), and a child that ends with its parent
(``ao_workflows.machine.child_process``).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

from ao_workflows.machine.boot import boot_id

_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_EVERY_SECONDS = 0.05
_KILLED_WITHIN_SECONDS = 10.0
_SENT_AGAIN_AFTER = 0.02

_ONCE_TOLD = 'read -r _ && exec "$@" </dev/null'
"""Becomes the program once it reads a line, and ends if the process that would have sent the line is gone."""


@dataclass(frozen=True)
class ProcessId:
    """The identity of one process, which no later process with the same number has.

    ``started`` is in clock ticks after the machine's start, and ``boot`` is that start's id.
    """

    pid: int
    started: int
    boot: str


class Interrupted(BaseException):
    """Raised when this command was asked to end, by Ctrl-C or a signal; ``signal_number`` is the signal's."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(signal.Signals(signal_number).name)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Has SIGINT, SIGTERM and SIGHUP raise ``Interrupted`` in the ``with`` block, so that what was started there is
    ended.

    Python drops what is raised while it clears an object away, and a signal may come just then. So one whose error was
    dropped is sent again.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    def again(dropped: sys.UnraisableHookArgs) -> None:
        if isinstance(dropped.exc_value, Interrupted):
            # Not at once: it would come while this function runs, where an error is dropped too.
            threading.Timer(_SENT_AGAIN_AFTER, os.kill, (os.getpid(), dropped.exc_value.signal_number)).start()
        else:
            before(dropped)

    before, sys.unraisablehook = sys.unraisablehook, again
    try:
        with _handled(interrupt):
            yield
    finally:
        sys.unraisablehook = before


@contextmanager
def no_interrupts() -> Iterator[None]:
    """Ignores these signals in the ``with`` block, so that a second Ctrl-C does not stop the ending of what was
    started.
    """
    with _handled(signal.SIG_IGN):
        yield


@contextmanager
def _handled(handler: signal._HANDLER) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def free_port() -> int:
    """Returns a TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen at the loopback interface's ``port`` now."""
    with socket.socket() as listener:
        # As servers do: with it, remains of connections that have ended do not block the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            return False
    return True


class Prepared:
    """A process that exists and becomes its program only at ``begin``, so that it can be recorded before it does
    anything.

    It ends if the process that prepares it is killed before that. It is in a session of its own, where Ctrl-C does not
    reach it.

    :param folder: the program's working directory.
    :param log: gets everything that the program prints.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: IO[bytes]) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _ONCE_TOLD, "sh", *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        found = identify(self._process.pid)
        assert found  # noqa: S101 - a child is there until it is waited for, and this one waits for us
        self.id = found

    def begin(self) -> None:
        """Lets the process become its program."""
        assert self._process.stdin  # noqa: S101 - it was asked for
        # If the process was killed meanwhile, whoever looks after it sees that.
        with suppress(BrokenPipeError):
            self._process.stdin.write(b"\n")
            self._process.stdin.close()


def identify(pid: int) -> ProcessId | None:
    """Returns the identity of the process that has this number now; None if there is none, or it has ended already."""
    try:
        if psutil.Process(pid).status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}:
            return None
        return ProcessId(pid, _started(pid), boot_id())
    except psutil.Error:
        return None


def _started(pid: int) -> int:
    """Returns when a process was started, in clock ticks after the boot.

    psutil counts from 1970, by the moment of the boot, which moves whenever the machine's clock is set: after that, the
    process would seem to be another one.
    """
    while True:
        boot: float = psutil.boot_time()
        started: float = psutil.Process(pid).create_time()
        if psutil.boot_time() == boot:
            return round((started - boot) * _TICKS)


def is_alive(process: ProcessId) -> bool:
    """Whether this very process still exists: another process that has its number now does not count."""
    return identify(process.pid) == process


def marked(name: str, value: str) -> list[ProcessId]:
    """Returns the processes whose environment has the variable ``name`` with that ``value``; children inherit it.

    Processes of other users, whose environment cannot be read, are left out.
    """
    found = []
    for process in _all():
        with suppress(psutil.Error):  # another user's, or gone
            if process.environ().get(name) == value and (identified := identify(process.pid)):
                found.append(identified)
    return found


def command_line(process: ProcessId) -> list[str]:
    """Returns the program and the arguments that the process was started with; an empty list if it has ended."""
    try:
        words: list[str] = psutil.Process(process.pid).cmdline()
    except psutil.Error:
        return []
    return words


def below(parent: int, but: Set[ProcessId] = frozenset()) -> list[ProcessId]:
    """Returns every process below ``parent``: its children, their children, and so on.

    Children of this process that have ended are reaped on the way.

    :param but: processes to leave out, together with those below them.
    """
    children: dict[int, list[int]] = {}
    for process in _all():
        with suppress(psutil.Error):
            above = process.ppid()
            if process.status() == psutil.STATUS_ZOMBIE and above == os.getpid():
                process.wait(timeout=0)
            else:
                children.setdefault(above, []).append(process.pid)
    found: list[ProcessId] = []
    waiting = [parent]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            identified = identify(pid)
            if identified not in but:
                found += [identified] if identified else []
                waiting.append(pid)
    return found


def _all() -> Iterator[psutil.Process]:
    """Yields every process of the machine.

    psutil's own ``process_iter`` keeps what it found for the next call, and then leaves a process out once if it has
    got the number of an earlier one.
    """
    for pid in psutil.pids():
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)


def end(processes: Sequence[ProcessId], grace_seconds: float) -> None:
    """Asks processes to end, kills those that have not ended after ``grace_seconds``, and waits until all are gone.

    For those that were killed, it waits ten seconds at most.
    """
    left = processes
    for ending, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, _KILLED_WITHIN_SECONDS)):
        for process in left:
            _signal(process, ending)
        left = wait_gone(left, seconds)


def wait_gone(processes: Sequence[ProcessId], seconds: float) -> list[ProcessId]:
    """Waits until processes have ended by themselves, and returns those that are still there after so many seconds."""
    until = time.monotonic() + seconds
    while (left := [each for each in processes if is_alive(each)]) and time.monotonic() < until:
        time.sleep(_LOOK_EVERY_SECONDS)
    return left


def _signal(process: ProcessId, ending: signal.Signals) -> None:
    """Sends a signal to the process, and never to another one that has got its number meanwhile."""
    try:
        # psutil checks the number and then signals it: in between, another process may get the number.
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if is_alive(process):
            signal.pidfd_send_signal(handle, ending)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)
