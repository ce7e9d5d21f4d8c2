"""The journal of a download: which parts of the ``.part`` file beside it are whole.

What belongs here: its lines, and what of them can be believed. What does not: what is done with the parts.

The first line says which object is being fetched, how it is divided into parts, and in which boot of the machine; each
other line is one finished part. A line is written after the part's bytes, and neither is flushed: if the process dies,
the kernel still has both. After another boot the disk may lack either, so what an earlier boot's journal names is read
again and compared before it is believed. A last line that is not whole is ignored.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ao_workflows.fixity.digests import PieceDigests, new_digest
from ao_workflows.machine.boot import boot_id
from ao_workflows.machine.disk import disk_error
from ao_workflows.machine.files import write_whole


@dataclass(frozen=True)
class FinishedPart:
    """A part that is whole: its number, the CRC64NVME of its bytes, and the digests of it that the proof needs."""

    part: int
    crc64nvme: str
    digests: tuple[str, ...]

    def line(self) -> str:
        """The part as a line of the journal."""
        return json.dumps([self.part, self.crc64nvme, list(self.digests)]) + "\n"


class PartDigests:
    """Computes what the journal keeps of a part while the part's bytes arrive.

    :param algorithm: that of the proof; None if the proof needs no digests of this part.
    :param pieces: the sizes of the proof's pieces within the part.
    """

    def __init__(self, algorithm: str | None, part: int, pieces: Sequence[int]) -> None:
        self._part = part
        self._crc = new_digest("crc64nvme")
        self._pieces = PieceDigests(algorithm, pieces) if algorithm else None

    def update(self, block: bytes) -> None:
        """Adds the next bytes of the part."""
        self._crc.update(block)
        if self._pieces:
            self._pieces.update(memoryview(block))

    def finished(self) -> FinishedPart:
        """Returns the part as finished, once all its bytes were added."""
        digests = self._pieces.hexdigests() if self._pieces else ()
        return FinishedPart(self._part, self._crc.hexdigest(), digests)


class Journal:
    """The journal of one download at ``path``; ``about`` says of which object, and how it is divided into parts."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path = path
        self._about = dict(about)
        self._handle: int | None = None
        self._lock = threading.Lock()

    def resume(self, holds: Callable[[FinishedPart], bool]) -> dict[int, FinishedPart] | None:
        """Returns the finished parts by number; None if the journal is about another object or another division.

        :param holds: called for each part that an earlier boot of the machine wrote; reads the part again, and returns
            whether it is still right.
        """
        lines = list(self._lines())
        if not lines or not isinstance(lines[0], dict) or lines[0].get("about") != self._about:
            return None
        parts = {entry.part: entry for entry in map(_finished, lines[1:]) if entry}
        if lines[0].get("boot") != boot_id():
            parts = {number: entry for number, entry in parts.items() if holds(entry)}
        self.begin(parts.values())
        return parts

    def begin(self, finished: Iterable[FinishedPart] = ()) -> None:
        """Begins the journal anew, with the parts that are finished already."""
        self.close()
        head = json.dumps({"about": self._about, "boot": boot_id()}) + "\n"
        write_whole(self._path, head + "".join(entry.line() for entry in finished))
        try:
            self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise disk_error(self._path, "cannot be opened", error) from error

    def add(self, entry: FinishedPart) -> None:
        """Notes that a part is whole; to be called after ``resume`` or ``begin``, by any thread: a line is one write.

        :raises StagingError: if the line cannot be written.
        """
        try:
            with self._lock:
                # A thread that a cancelled transfer left behind comes too late.
                if self._handle is not None:
                    line = entry.line().encode()
                    if os.write(self._handle, line) < len(line):
                        # What a disk does that becomes full with these bytes; the next line must not follow on half.
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301
        except OSError as error:
            raise disk_error(self._path, "cannot be written", error) from error

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    def remove(self) -> None:
        """Closes and removes the file."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _lines(self) -> Iterator[Any]:
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return
        for line in text.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError:
                return


def _finished(line: Any) -> FinishedPart | None:
    match line:
        case [int(part), str(crc), [*digests]]:
            return FinishedPart(part, crc, tuple(digests))
    return None
