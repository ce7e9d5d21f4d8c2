"""Whole files: written beside their place and renamed into it, so that a reader sees the old one or the new one.

What belongs here: writing a file, the folders above it, and the time that is written into it. What does not: which
files there are, and what is in them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ao_workflows.machine.disk import disk_error, unfinished_name


def now() -> str:
    """Returns the time as it is written into files: RFC 3339 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def made_parents(path: Path) -> Path:
    """Makes the folders above ``path``, where they are missing, and returns ``path``.

    :raises StagingError: if they cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(path.parent, "cannot be made", error) from error
    return path


def write_whole(path: Path, text: str, *, flush: bool = False) -> None:
    """Writes a file that a reader sees whole or not at all.

    :param flush: whether to return only once the file is on the disk, and not in memory alone.
    :raises StagingError: if it cannot be written.
    """
    made_parents(path)
    under_way = unfinished_name(path)
    try:
        # A lone surrogate in a message's JSON becomes the escape that JSON has for it.
        with under_way.open("w", encoding="utf-8", errors="backslashreplace") as out:
            out.write(text)
            if flush:
                out.flush()
                os.fsync(out.fileno())
        under_way.replace(path)
        if flush:
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            under_way.unlink()
        raise disk_error(path, "cannot be written", error, len(text)) from error
