"""A child process: what it prints, as lines, and its end, with that of everything it started.

What belongs here: reading a child's output in bounded memory, and ending its process group. What does not: starting a
program, and what is done with its output (``ao_workflows.machine.logged_command``).
"""

from __future__ import annotations

import codecs
import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep

PROGRESS_SECONDS = 10

_READ = 1 << 16
_LARGEST_PIPE = 1 << 20
_LONGEST_LINE = 1 << 16

_WATCH = 'read -r _; kill -s "$3" -- "-$1"; sleep "$2"; kill -s KILL -- "-$1"'
"""Waits until the process that started it is gone, however it ended, and then ends the child's process group."""


class Lines:
    """Cuts a child's output into lines as a terminal shows them: what a carriage return overwrites is left out.

    A line that is still being overwritten, such as a progress bar, is shown every ``PROGRESS_SECONDS``.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""
        self._told_at = monotonic()

    def add(self, chunk: bytes) -> list[str]:
        """Adds the next bytes of the output, and returns the lines that they complete. Bytes that are no UTF-8 are
        replaced.
        """
        *rows, begun = (self._begun + self._decoder.decode(chunk)).split("\n")
        lines = [_shown(row) for row in rows] if any("\r" in row for row in rows) else rows
        if "\r" in begun:
            # The last two versions of the line suffice: the first is shown until the second is complete.
            begun = "\r".join(begun.rsplit("\r", 2)[-2:])
            if monotonic() - self._told_at >= PROGRESS_SECONDS:
                lines.append(_shown(begun.rpartition("\r")[0]))
        if len(begun) > _LONGEST_LINE:
            lines.append(_shown(begun))
            begun = ""
        if lines:
            self._told_at = monotonic()
        self._begun = begun
        return lines

    def rest(self) -> list[str]:
        """Returns the last line, if the output has ended in the middle of it."""
        begun = self._begun + self._decoder.decode(b"", final=True)
        return [_shown(begun)] if begun else []


def _shown(row: str) -> str:
    return row.rstrip("\r").rpartition("\r")[2]


class Output:
    """The output of a child process, until the process has ended.

    ``overdue`` is true afterwards if the process had not ended by the time limit.

    :param grace: for how many seconds after the process's end what it has started may still print.
    """

    def __init__(self, process: subprocess.Popen[bytes], grace: float) -> None:
        self._process = process
        self._grace = grace
        self.overdue = False

    def lines(self, until: float) -> Iterator[list[str]]:
        """Yields the lines as they come, one or more at a time.

        :param until: the time limit, as a moment of ``time.monotonic()``.
        """
        lines = Lines()
        for chunk in self._chunks(until):
            if some := lines.add(chunk):
                yield some
        if some := lines.rest():
            yield some

    def _chunks(self, until: float) -> Iterator[bytes]:
        """Yields the output as it comes, until nobody can print any more."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        printed = self._process.stdout.fileno()
        ended = os.pidfd_open(self._process.pid)
        has_ended = False
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(printed, selectors.EVENT_READ)
                selector.register(ended, selectors.EVENT_READ)
                while selector.get_map():
                    left = until - monotonic()
                    if left <= 0:
                        self.overdue = not has_ended
                        return
                    for key, _ in selector.select(left):
                        if key.fd == ended:
                            has_ended = True
                            until = min(until, monotonic() + self._grace)
                            selector.unregister(ended)
                        elif chunk := os.read(printed, _READ):
                            yield chunk
                        else:
                            selector.unregister(printed)
        finally:
            os.close(ended)


@contextmanager
def ended_with_its_group(
    process: subprocess.Popen[bytes], late: Callable[[bytes], None], grace: float, stop: signal.Signals
) -> Iterator[None]:
    """Ends a process and its process group when the ``with`` block ends, and also if this process is killed inside it.

    :param late: called with what the group still prints while it ends, so that it does not wait for a reader.
    :param grace: seconds between the signal ``stop``, which asks the group to end, and SIGKILL.
    """
    watch = None
    try:
        watch = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(process.pid), str(grace), stop.name.removeprefix("SIG")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        yield
    finally:
        _end_group(process, late, grace, stop)
        if watch:
            watch.kill()
            watch.communicate()


def _end_group(
    process: subprocess.Popen[bytes], late: Callable[[bytes], None], grace: float, stop: signal.Signals
) -> None:
    """Asks the group to end, and kills it if that does not help."""
    for ending, seconds in ((stop, grace), (signal.SIGKILL, 0.0)):
        until = monotonic() + seconds
        try:
            os.killpg(process.pid, ending)
            while monotonic() < until:
                process.poll()
                os.killpg(process.pid, 0)
                if not _read_late(process, late):
                    sleep(0.02)
        except (ProcessLookupError, PermissionError):
            break
    process.wait()
    if process.stdout:
        # Only what is in the pipe now: a process that has left the group may print for ever.
        for _ in range(_LARGEST_PIPE // _READ):
            if not _read_late(process, late):
                break
        process.stdout.close()


def _read_late(process: subprocess.Popen[bytes], late: Callable[[bytes], None]) -> bool:
    """Gives ``late`` what is in the pipe now, and returns whether there was anything."""
    if not process.stdout:
        return False
    os.set_blocking(process.stdout.fileno(), False)
    try:
        chunk = os.read(process.stdout.fileno(), _READ)
    except BlockingIOError:
        return False
    if chunk:
        late(chunk)
    return bool(chunk)
