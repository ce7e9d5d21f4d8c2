"""Ranges of a claimed file, each read only while the file is what it was when it was first looked at.

What belongs here: reading, and which error a refusal of the kernel becomes. What does not: what is done with the bytes
(``ao_workflows.download.transfer``).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ao_workflows.errors import AoError, FileChanged, FileGone, FolderError, ServiceError
from ao_workflows.intake.file_writers import open_plain_file


@dataclass(frozen=True)
class ClaimedFile:
    """A file in ``save/`` as it is now: ``size`` in bytes, ``modified_ns`` in nanoseconds since 1970."""

    path: Path
    size: int
    modified_ns: int

    @property
    def where(self) -> str:
        """The file's path, for messages."""
        return str(self.path)

    @property
    def identity(self) -> dict[str, Any]:
        """What distinguishes the file from every other, and from what it was before, as a receipt keeps it."""
        return {"file": self.path.name, "size": self.size, "modified_ns": self.modified_ns}

    @classmethod
    def look(cls, path: Path) -> ClaimedFile:
        """Looks at the file at ``path``.

        :raises FileGone: if there is none.
        :raises FolderError: if it is not a plain file, or this user may not look at it.
        :raises ServiceError: if trying again may help, as when a mount does not answer.
        """
        try:
            found = path.lstat()
        except OSError as error:
            raise explained(path, error) from error
        if not stat.S_ISREG(found.st_mode):
            raise FolderError(path, "it is no plain file; take it away")
        return cls(path, found.st_size, found.st_mtime_ns)


class FileRanges:
    """A claimed file as the source of a transfer, which asks it for one range of bytes after the other."""

    def __init__(self, file: ClaimedFile) -> None:
        self._file = file
        self.where = file.where

    def open(self, start: int, end: int) -> FileRange:
        """Opens the bytes from ``start`` to before ``end``.

        :raises FileChanged: if the file is not what it was when it was first looked at.
        :raises FileGone: if it is not there.
        :raises FolderError: if this user may not read it.
        :raises ServiceError: if trying again may help, as when a mount does not answer.
        """
        return FileRange(self._file, start, end)

    def read(self, start: int, end: int) -> bytes:
        """Returns the bytes from ``start`` to before ``end``; raises what ``open`` raises."""
        body = self.open(start, end)
        try:
            found = []
            while block := body.read(end - start):
                found.append(block)
            return b"".join(found)
        finally:
            body.close()


class FileRange:
    """The bytes of one range. Opening and closing it checks that the file is still what it was."""

    whole = False

    def __init__(self, file: ClaimedFile, start: int, end: int) -> None:
        self._file = file
        self._at = start
        self._end = end
        try:
            self._handle = open_plain_file(file.path)
        except OSError as error:
            raise explained(file.path, error) from error
        try:
            self._check()
        except BaseException:
            os.close(self._handle)
            raise

    def read(self, amount: int) -> bytes:
        """Returns at most ``amount`` bytes; none at the end."""
        try:
            block = os.pread(self._handle, min(amount, self._end - self._at), self._at)
        except OSError as error:
            raise explained(self._file.path, error) from error
        self._at += len(block)
        return block

    def close(self) -> None:
        """Ends the reading.

        :raises FileChanged: if the file was written to meanwhile.
        """
        try:
            self._check()
        finally:
            os.close(self._handle)

    def abort(self) -> None:
        """Does nothing: unlike a download from S3, the reading of a file needs no interrupting."""

    def _check(self) -> None:
        try:
            found = os.fstat(self._handle)
        except OSError as error:
            raise explained(self._file.path, error) from error
        if (found.st_size, found.st_mtime_ns) != (self._file.size, self._file.modified_ns):
            raise FileChanged(self._file.path)


def explained(path: Path, error: OSError) -> AoError:
    """Returns the platform's error for what the kernel refused: FileGone, FolderError, or else ServiceError."""
    match error:
        case FileNotFoundError():
            return FileGone(path, path.parent.parent)
        case PermissionError():
            return FolderError(path, f"it may not be read by the user {os.geteuid()}: {error.strerror}")
    return ServiceError("reading", str(path), error.strerror or str(error))
