"""The journal of a download: which parts of the ``.part`` file beside it are whole.

What belongs here: its lines, and what of them can be believed. What does not: what is done with the parts.

The first line says which object is being fetched, how it is cut, and in which boot of the machine; each other line
is one finished part. A line is written when the part's bytes have been, and neither is flushed: a process may die at
any moment and the kernel still has both. After a boot the disk may lack either, so what an earlier boot's journal
names is read again and compared before it is believed. A last line that was torn is none.
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
from ao_workflows.machine.disk import refusal
from ao_workflows.machine.files import write_whole


@dataclass(frozen=True)
class FinishedPart:
    """A part that is whole: its number, the CRC64NVME of its bytes, and the digests that the proof wants of it."""

    part: int
    crc64nvme: str
    digests: tuple[str, ...]

    def line(self) -> str:
        return json.dumps([self.part, self.crc64nvme, list(self.digests)]) + "\n"


class PartDigests:
    """What the journal keeps of a part, computed as its bytes come; ``pieces`` are the proof's within it."""

    def __init__(self, algorithm: str | None, part: int, pieces: Sequence[int]) -> None:
        self._part = part
        self._crc = new_digest("crc64nvme")
        self._pieces = PieceDigests(algorithm, pieces) if algorithm else None

    def update(self, block: bytes) -> None:
        self._crc.update(block)
        if self._pieces:
            self._pieces.update(memoryview(block))

    def finished(self) -> FinishedPart:
        digests = self._pieces.hexdigests() if self._pieces else ()
        return FinishedPart(self._part, self._crc.hexdigest(), digests)


class Journal:
    """One download's journal at ``path``; ``about`` says of which object, and how it is cut."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path = path
        self._about = dict(about)
        self._handle: int | None = None
        self._lock = threading.Lock()

    def resume(self, holds: Callable[[FinishedPart], bool]) -> dict[int, FinishedPart] | None:
        """The finished parts by number, if the journal is about the same object and cut; else None.

        ``holds`` reads a part again; it is asked only for what an earlier boot of the machine wrote.
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
        """Begins the journal anew, with what is finished already."""
        self.close()
        head = json.dumps({"about": self._about, "boot": boot_id()}) + "\n"
        write_whole(self._path, head + "".join(entry.line() for entry in finished))
        try:
            self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise refusal(self._path, "cannot be opened", error) from error

    def add(self, entry: FinishedPart) -> None:
        """Notes that a part is whole, after ``resume`` or ``begin``. Any thread may call: a line is one write.

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
            raise refusal(self._path, "cannot be written", error) from error

    def close(self) -> None:
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    def remove(self) -> None:
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
