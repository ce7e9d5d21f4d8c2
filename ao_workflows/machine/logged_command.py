"""A command whose output is logged: all of it in a file, some of it for who watches, its last lines for a failure.

What belongs here: the command's start, its two logs, its time limit and how it ended. What does not: reading a
process's output and ending its group (``ao_workflows.machine.child_process``), and what an exit code means, which the
caller knows.
"""

from __future__ import annotations

import io
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from ao_workflows.errors import CommandNotStarted, StagingError
from ao_workflows.machine.child_process import Lines, Output, ended_with_its_group
from ao_workflows.machine.disk import disk_error
from ao_workflows.shown_names import shown

LAST_LINES = 40

_SAID_WHOLE = 1000
_SAY_AGAIN_SECONDS = 60
_LONGEST_SAID = 1000


@dataclass(frozen=True)
class Ended:
    """How a command ended. ``fault`` says in words what was wrong with its end, and is empty if the command exited with
    0.

    ``command`` is the program and its arguments; ``log`` has all of its output. ``code`` is the exit code, or the
    negative number of the signal that ended the command. ``seconds`` is how long it ran, and ``last_lines`` has the
    last of its output.
    """

    command: tuple[str, ...]
    log: Path
    code: int
    fault: str
    seconds: float
    last_lines: tuple[str, ...]


def run_logged(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    say: Callable[[str], None],
    *,
    time_limit: float,
    grace: float,
    stop: signal.Signals = signal.SIGTERM,
    inherits: Sequence[int] = (),
) -> Ended:
    """Runs a command in a process group of its own, and returns when the command and the whole group have ended.

    The group also ends if this process is cancelled or killed meanwhile. A process that has left the group goes on.

    :param command: the program and its arguments, which no shell reads.
    :param environment: all of the command's environment variables.
    :param log: the file to which each line of its output is added at once; the folders above it are made.
    :param say: called with each of the first thousand lines, then once a minute with the last line and the number of
        lines that were left out, because each call may cost a row in a database. Control characters are escaped, long
        lines cut.
    :param time_limit: seconds after which the command is ended.
    :param grace: seconds between the signal ``stop``, which asks the group to end, and SIGKILL. What the command has
        started may go on printing for as long after the command's end.
    :param stop: the signal that asks the group to end.
    :param inherits: descriptors that the command gets, such as a lock that is to be held until it has ended.
    :raises CommandNotStarted: if there is no such command, or it cannot be executed.
    :raises StagingError: if the log cannot be written; StagingFull if its disk is full.
    """
    began = monotonic()
    last_lines: deque[str] = deque(maxlen=LAST_LINES)
    with _opened(log) as out:
        process = _started(command, environment, inherits)
        late = _Late(out, log, last_lines)
        output = Output(process, grace)
        watcher = _Watcher(say, log)
        try:
            with ended_with_its_group(process, late.add, grace, stop):
                for lines in output.lines(began + time_limit):
                    _write_lines(out, lines, log)
                    last_lines.extend(lines[-LAST_LINES:])
                    watcher.tell(lines)
                watcher.end()
        finally:
            late.end()
    code = process.returncode
    fault = ""
    if output.overdue:
        fault = f"ran for longer than {time_limit / 60:g} minutes and was ended"
    elif code < 0:
        fault = f"was ended by signal {-code} ({signal.strsignal(-code)})"
    elif code > 0:
        fault = f"exited with {code}"
    return Ended(tuple(command), log, code, fault, monotonic() - began, tuple(last_lines))


def _started(
    command: Sequence[str], environment: Mapping[str, str], inherits: Sequence[int]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=inherits,
        )
    except OSError as error:
        # For a folder, the system's error is only "permission denied".
        is_folder = isinstance(error, PermissionError) and Path(command[0]).is_dir()
        reason = "is a folder" if is_folder else str(error.strerror)
        raise CommandNotStarted(command[0], reason) from error


@contextmanager
def _opened(log: Path) -> Iterator[io.FileIO]:
    """Opens the log without a buffer, so that each write is in it at once."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        out = log.open("ab", buffering=0)
    except OSError as error:
        raise disk_error(log, "cannot be written", error) from error
    with out:
        yield out


def _write_lines(out: io.FileIO, lines: Sequence[str], log: Path) -> None:
    unwritten = memoryview("".join(f"{line}\n" for line in lines).encode())
    try:
        while unwritten:
            unwritten = unwritten[out.write(unwritten) :]
    except OSError as error:
        raise disk_error(log, "cannot be written", error) from error


class _Late:
    """Keeps what a command prints after it was asked to end: it helps whoever reads about the failure, and if it cannot
    be written, that is not another failure.
    """

    def __init__(self, out: io.FileIO, log: Path, last_lines: deque[str]) -> None:
        self._lines = Lines()
        self._out = out
        self._log = log
        self._last_lines = last_lines

    def add(self, chunk: bytes) -> None:
        self._keep(self._lines.add(chunk))

    def end(self) -> None:
        """Keeps the last line, too, if the output ended in the middle of it."""
        self._keep(self._lines.rest())

    def _keep(self, lines: Sequence[str]) -> None:
        self._last_lines.extend(lines[-LAST_LINES:])
        with suppress(StagingError):
            _write_lines(self._out, lines, self._log)


class _Watcher:
    """Passes a command's output on to ``say``: each of the first thousand lines, then one line a minute."""

    def __init__(self, say: Callable[[str], None], log: Path) -> None:
        self._say = say
        self._log = log
        self._whole = _SAID_WHOLE
        self._passed_over = 0
        self._last = ""
        self._said_at = 0.0

    def tell(self, lines: Sequence[str]) -> None:
        for line in lines[: self._whole]:
            self._say(_short(line))
        rest = lines[self._whole :]
        self._whole -= len(lines) - len(rest)
        if rest:
            self._passed_over += len(rest)
            self._last = rest[-1]
            if monotonic() - self._said_at >= _SAY_AGAIN_SECONDS:
                self.end()

    def end(self) -> None:
        """Passes on how many lines were left out, if any were, and the last of them."""
        if self._passed_over:
            more = f"{self._passed_over:,} more line{'s'[: self._passed_over != 1]}"
            self._say(f"… {more} in {self._log}, the last: {_short(self._last)}")
            self._passed_over = 0
            self._said_at = monotonic()


def _short(line: str) -> str:
    # A command prints names unescaped; the log file has the line as it was printed.
    line = shown(line.expandtabs())
    return line if len(line) <= _LONGEST_SAID else f"{line[:_LONGEST_SAID]}…"
