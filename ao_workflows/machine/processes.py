"""Processes: found, known from all others, asked to end, and killed; and started to outlive who starts them.

What belongs here: that, and what a command that starts processes needs besides: signals in order, and a free port.
What does not: what any process does (``ao_workflows.services.running``); a child that ends with its parent
(``ao_workflows.machine.child_process``).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
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

_ONCE_TOLD = 'read -r _ && exec "$@" </dev/null'
"""Becomes the program once it is told to, and ends where whoever would have told it is gone."""


@dataclass(frozen=True)
class ProcessId:
    """A process, known from any other that has its number later: ``started`` in clock ticks after the ``boot``."""

    pid: int
    started: int
    boot: str


class Interrupted(BaseException):
    """The command was asked to end, by Ctrl-C or a signal; ``signal_number`` says which."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(signal.Signals(signal_number).name)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """While inside, SIGINT, SIGTERM and SIGHUP raise ``Interrupted``, so that what was started is ended."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    with _handled(interrupt):
        yield


@contextmanager
def no_interrupts() -> Iterator[None]:
    """While inside, a second Ctrl-C does not cut short the ending of what was started."""
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
    """A TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen at the loopback interface's ``port`` now."""
    with socket.socket() as listener:
        # As servers do: what is left of connections that have ended keeps nobody out.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            return False
    return True


class Prepared:
    """A process that is there and becomes its program at ``begin``: it can be recorded before it does anything.

    Where whoever prepares it is killed before that, it ends. It is in a session of its own, out of Ctrl-C's reach.
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
        # Killed meanwhile: whoever looks after it sees that.
        with suppress(BrokenPipeError):
            self._process.stdin.write(b"\n")
            self._process.stdin.close()


def identify(pid: int) -> ProcessId | None:
    """The process that has the number now; None where none has, or one that has ended already."""
    try:
        if psutil.Process(pid).status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}:
            return None
        return ProcessId(pid, _started(pid), boot_id())
    except psutil.Error:
        return None


def _started(pid: int) -> int:
    """When a process was started, in clock ticks after the boot.

    psutil counts from the epoch, by the moment of the boot, which moves whenever the machine's clock is set: a process
    would be another one after that.
    """
    while True:
        boot: float = psutil.boot_time()
        started: float = psutil.Process(pid).create_time()
        if psutil.boot_time() == boot:
            return round((started - boot) * _TICKS)


def is_alive(process: ProcessId) -> bool:
    """Whether it is still there: another process with its number is not it."""
    return identify(process.pid) == process


def marked(name: str, value: str) -> list[ProcessId]:
    """The processes that were given the variable ``name`` with that ``value``, by whoever started what started them."""
    found = []
    for process in _all():
        with suppress(psutil.Error):  # another user's, or gone
            if process.environ().get(name) == value and (identified := identify(process.pid)):
                found.append(identified)
    return found


def command_line(process: ProcessId) -> list[str]:
    """The words that the process was started with; none where it has ended."""
    try:
        words: list[str] = psutil.Process(process.pid).cmdline()
    except psutil.Error:
        return []
    return words


def below(parent: int, but: Set[ProcessId] = frozenset()) -> list[ProcessId]:
    """Every process below ``parent``, save ``but`` and what is below these; own children that have ended are reaped."""
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
    """Every process of the machine.

    psutil's own ``process_iter`` keeps what it found from one call to the next, and leaves out once what has got a
    number anew.
    """
    for pid in psutil.pids():
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)


def end(processes: Sequence[ProcessId], grace_seconds: float) -> None:
    """Asks them to end, kills those that have not within the grace, and returns when all are gone."""
    left = processes
    for ending, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, _KILLED_WITHIN_SECONDS)):
        for process in left:
            _signal(process, ending)
        left = wait_gone(left, seconds)


def wait_gone(processes: Sequence[ProcessId], seconds: float) -> list[ProcessId]:
    """Waits until they have ended by themselves; those that have not in time."""
    until = time.monotonic() + seconds
    while (left := [each for each in processes if is_alive(each)]) and time.monotonic() < until:
        time.sleep(_LOOK_EVERY_SECONDS)
    return left


def _signal(process: ProcessId, ending: signal.Signals) -> None:
    """Signals the process, and never one that has got its number meanwhile."""
    try:
        # psutil looks at the number and then signals it: what the number is of may change in between.
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
