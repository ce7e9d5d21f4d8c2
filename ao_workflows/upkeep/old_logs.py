"""Old logs on the disk, which are removed, and what works left there, which is only measured.

What belongs here: walking and removing files below a folder of logs, and measuring what lies in staging. What does not:
when a log is old (``housekeeping``), and the works' own data, which ``ao_workflows.staging`` frees.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ao_workflows.machine.disk import Removed
from ao_workflows.machine.times import moment_of_seconds


def remove(folders: Iterable[Path], before: datetime) -> Removed:
    """Removes the files below ``folders`` that were last written before a moment, and the folders that are empty then.

    A link is removed itself, and never followed. What cannot be removed is in the result, and the rest is still
    removed.
    """
    sweep = _Sweep(before.timestamp())
    for folder in folders:
        sweep.below(folder)
    oldest = None if sweep.oldest is None else moment_of_seconds(sweep.oldest)
    return Removed(sweep.count, sweep.bytes, oldest, tuple(sweep.stuck))


def measure(folder: Path, pattern: str, before: datetime) -> tuple[list[str], int]:
    """Returns the names and the bytes of the files below ``folder`` that match ``pattern`` and were last written before
    a moment.
    """
    names, size = [], 0
    for file in sorted(folder.glob(pattern)):
        try:
            status = file.lstat()
        except FileNotFoundError:
            continue
        if status.st_mtime < before.timestamp():
            names.append(str(file.relative_to(folder)))
            size += status.st_size
    return names, size


class _Sweep:
    """One walk: what went, what stayed, and what would not go."""

    def __init__(self, before: float) -> None:
        self._before = before
        self.count = 0
        self.bytes = 0
        self.oldest: float | None = None
        self.stuck: list[str] = []

    def below(self, folder: Path) -> None:
        # Each behind the one that it is in; a script's logs may be as deep as it likes.
        folders = [folder]
        old: list[Path] = []
        for each in folders:
            with self._told(each):
                for entry in list(os.scandir(each)):
                    with self._told(entry.path):
                        # Before anything is removed from it: a folder that was made of late may be about to be written
                        # into.
                        written = entry.stat(follow_symlinks=False).st_mtime
                        if not entry.is_dir(follow_symlinks=False):
                            self._file(entry, written)
                            continue
                        folders.append(Path(entry))
                        if written < self._before:
                            old.append(Path(entry))
        for each in reversed(old):
            with self._told(each):
                if not os.listdir(each):
                    each.rmdir()

    @contextmanager
    def _told(self, path: Path | str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:  # its writer has renamed or removed it meanwhile
            pass
        except OSError as error:
            self.stuck.append(f"{path}: {error.strerror}")

    def _file(self, entry: os.DirEntry[str], written: float) -> None:
        if written >= self._before:
            self.oldest = min(self.oldest or written, written)
            return
        size = entry.stat(follow_symlinks=False).st_size
        Path(entry).unlink()
        self.count += 1
        self.bytes += size
