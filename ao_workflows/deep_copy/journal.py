"""The journal of an upload: what was found in each file so far, and which parts S3 has.

What belongs here: its lines, and what of them can be believed. What does not: what S3 itself says of an upload
(``ao_workflows.aws.uploads``), which is asked before a part is believed to be there.

The first line says which bag is sent, in parts of which size, and where to; the second the upload's id. Then each
file's line comes before the lines of the parts that its bytes are in. Lines are not flushed; one that is not whole ends
the journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ao_workflows.aws.uploads import SentPart
from ao_workflows.deep_copy.part_bag import FoundFile
from ao_workflows.machine.disk import disk_error
from ao_workflows.machine.files import now, write_whole


@dataclass
class JournalFound:
    """What a journal has: what it is ``about``, when it was ``begun``, the upload's id, empty if none is known, the
    files in their order, and the parts by number.
    """

    about: Mapping[str, Any]
    begun: datetime
    upload: str = ""
    files: list[FoundFile] = field(default_factory=list)
    parts: dict[int, SentPart] = field(default_factory=dict)


def read_journal(path: Path) -> JournalFound | None:
    """Reads a journal; returns None if there is none, or it does not begin as one.

    :raises StagingError: if the file cannot be read.
    """
    lines = _lines(path)
    match next(lines, None):
        case {"about": dict(about), "begun": str(begun)}:
            found = JournalFound(about, datetime.fromisoformat(begun))
        case _:
            return None
    for line in lines:
        match line:
            case {"upload": str(upload)}:
                found.upload = upload
            case ["file", int(crc), dict(digests)]:
                found.files.append(FoundFile(crc, digests))
            case ["part", int(number), str(etag), str(crc64nvme)]:
                found.parts[number] = SentPart(etag, crc64nvme)
            case _:
                break
    return found


class UploadJournal:
    """A journal that is written to, as a context; it stays on the disk afterwards.

    :raises StagingError: where the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._out: IO[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._out:
            self._out.close()
            self._out = None

    def begin(self, about: Mapping[str, Any]) -> None:
        """Begins it anew, before the upload is begun."""
        write_whole(self.path, f"{json.dumps({'about': about, 'begun': now()})}\n")

    def go_on(self, found: JournalFound) -> None:
        """Begins it anew with what it had that is still believed."""
        lines: list[Any] = [{"about": found.about, "begun": found.begun.isoformat()}, {"upload": found.upload}]
        lines += [["file", file.crc, dict(file.digests)] for file in found.files]
        lines += [["part", number, part.etag, part.crc64nvme] for number, part in sorted(found.parts.items())]
        write_whole(self.path, "".join(f"{json.dumps(line)}\n" for line in lines))

    def note_upload(self, upload: str) -> None:
        """Notes the upload's id."""
        self._write({"upload": upload}, flush=True)

    def note_file(self, found: FoundFile) -> None:
        """Notes what was found in the next file."""
        self._write(["file", found.crc, dict(found.digests)])

    def note_part(self, number: int, part: SentPart) -> None:
        """Notes that S3 has a part."""
        self._write(["part", number, part.etag, part.crc64nvme], flush=True)

    def _write(self, line: Any, *, flush: bool = False) -> None:
        try:
            if self._out is None:
                self._out = self.path.open("a", encoding="utf-8")
            self._out.write(f"{json.dumps(line)}\n")
            if flush:
                # What a killed process had in its own memory is lost.
                self._out.flush()
        except OSError as error:
            raise disk_error(self.path, "cannot be written", error) from error


def _lines(path: Path) -> Iterator[Any]:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if not line.endswith("\n"):
                    return
                try:
                    yield json.loads(line)
                except ValueError:
                    return
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_error(path, "cannot be read", error) from error
