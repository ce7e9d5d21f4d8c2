"""A command's output that cannot be written: a full disk, or a device that takes nothing, said in words.

What belongs here: noticing it, whichever command prints, and ending the process so that nothing else fails on the same
output. What does not: what is printed (``ao_workflows.cli.complaints``, and each command).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from ao_workflows.cli.complaints import FAILED, complain

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@contextmanager
def output_in_words() -> Iterator[None]:
    """While inside, an error of the system ends the command with a sentence and exit code 1, and not with a traceback:
    one of standard output, and one that names its file.

    Any other one is a mistake of ours, and is raised. So is a pipe whose reader has gone, which click passes over.

    :raises SystemExit: with 1, if the results are not all written.
    """
    try:
        yield
    except SystemExit:
        # What is left in a buffer would else be tried by Python when it ends, which changes the exit code to 120.
        if lost := _lost_output():
            _end(lost)
        raise
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        if lost := _lost_output() or _refused_output(error):
            _end(lost)
        if error.filename is None:
            raise
        _end(f"{os.fsdecode(error.filename)}: {error.strerror}")


def _lost_output() -> str:
    """Returns a sentence if what was printed cannot be written; empty if all of it is."""
    reason = _flush(sys.stdout)
    _flush(sys.stderr)
    return _incomplete(reason) if reason else ""


def _refused_output(error: OSError) -> str:
    """Returns a sentence if an error without a file's name is that of standard output; empty if it is another's.

    With PYTHONUNBUFFERED, as in the image, a refused write leaves nothing behind by which to know: another is tried.
    """
    if error.filename is not None or error.errno not in _NO_ROOM or sys.stdout is None:
        return ""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        _flush(sys.stdout)
        return _incomplete(error.strerror or str(error))
    return ""


def _incomplete(reason: str) -> str:
    return f"standard output cannot be written: {reason}. What the command printed is not complete"


def _flush(stream: TextIO | None) -> str:
    """Flushes a stream, and returns why that failed. What it still holds is then thrown away."""
    try:
        if stream is not None:
            stream.flush()
    except OSError as error:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno() if stream else nowhere)
            os.close(nowhere)
        return "" if error.errno == errno.EPIPE else error.strerror or str(error)
    return ""


def _end(said: str) -> None:
    with suppress(OSError):
        complain(said)
    _flush(sys.stderr)
    sys.exit(FAILED)
