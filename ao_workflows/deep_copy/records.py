"""Records: what the bucket of deep copies has of a work, part by part, kept on the scratch disk for good.

What belongs here: the files of the records, and reading and writing them. What does not: what follows from them
(``ao_workflows.deep_copy.what_to_copy``).

A part's record is written once S3 has it, proven, and replaced when the part is copied again. A work whose records are
lost is copied whole again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from ao_workflows.deep_copy.what_to_copy import CopiedBefore, CopiedFile, CopiedPart
from ao_workflows.errors import StagingError
from ao_workflows.machine.disk import disk_error
from ao_workflows.machine.files import write_whole

VERSION = 1

_COMPLETE = "complete.json"
_RECORD, _JOURNAL = ".part.jsonl", ".journal"


@dataclass(frozen=True)
class CopiedObject:
    """A part as the bucket has it: the object's key, version and bytes, the CRC64NVME of it in hex, and the number of
    files in it.
    """

    part: str
    bucket: str
    key: str
    version_id: str | None
    size: int
    crc64nvme: str
    files: int


@dataclass(frozen=True)
class Records:
    """The records of the work ``rid`` in ``folder``, of what is in ``bucket``."""

    folder: Path
    rid: str
    bucket: str

    def before(self) -> CopiedBefore:
        """Reads what the bucket has of the work.

        :raises StagingError: if a file cannot be read, or was written by a newer release.
        """
        parts = {}
        for path, head in self._parts():
            found = (CopiedFile(*file) for file in islice(_read(path), 1, None))
            parts[head["part"]] = CopiedPart(head["part"], head["at"], {file.path: file for file in found})
        return CopiedBefore(bool(self._told()), parts)

    def untold(self) -> list[CopiedObject]:
        """Returns the parts that were copied since ``write_told``, in the order in which they were.

        :raises StagingError: as ``before``.
        """
        told = self._told()
        heads = sorted((head for _, head in self._parts() if head["at"] > told), key=lambda head: str(head["at"]))
        names = [field.name for field in fields(CopiedObject)]
        return [CopiedObject(**{name: head[name] for name in names}) for head in heads]

    def write_part(self, copied: CopiedObject, files: Iterable[CopiedFile]) -> None:
        """Writes a part's record, in place of the one before.

        :raises StagingError: if it cannot be written.
        """
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        head = {"version": VERSION, "rid": self.rid, "at": at, **asdict(copied)}
        lines = ([file.path, file.size, file.modified_ns, dict(file.digests)] for file in files)
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in (head, *lines))
        write_whole(self.folder / f"{copied.part}{_RECORD}", text, flush=True)

    def write_told(self) -> None:
        """Notes that all of the work was copied, and told: only what changes is copied from now on.

        :raises StagingError: if it cannot be written.
        """
        latest = max((str(head["at"]) for _, head in self._parts()), default="")
        head = {"version": VERSION, "rid": self.rid, "bucket": self.bucket, "told": latest}
        write_whole(self.folder / _COMPLETE, json.dumps(head), flush=True)

    def journal(self, part: str) -> Path:
        """Returns the path of the journal of a part's upload."""
        return self.folder / f"{part}{_JOURNAL}"

    def journals(self) -> list[Path]:
        """Returns the journals of uploads that have not come to their end."""
        return sorted(self.folder.glob(f"*{_JOURNAL}"))

    def write_inventory(self, name: str, text: str) -> Path:
        """Writes an inventory, and returns its path.

        :raises StagingError: if it cannot be written.
        """
        path = self.folder / name
        write_whole(path, text)
        return path

    def _parts(self) -> Iterator[tuple[Path, Any]]:
        """Each part's record, and its first line."""
        for path in sorted(self.folder.glob(f"*{_RECORD}")):
            head = next(_read(path))
            if self._is_ours(path, head):
                yield path, head

    def _told(self) -> str:
        """The time up to which what was copied is told; empty if the work was never copied whole."""
        path = self.folder / _COMPLETE
        head = next(_read(path)) if path.exists() else None
        return str(head["told"]) if head and self._is_ours(path, head) else ""

    def _is_ours(self, path: Path, head: Any) -> bool:
        """Whether a record is of this work and bucket: on some disks another work's folder has the same name."""
        if head["version"] > VERSION:
            raise StagingError(path, f"is of version {head['version']}, of a newer release; this reads up to {VERSION}")
        return (head["rid"], head["bucket"]) == (self.rid, self.bucket)


def _read(path: Path) -> Iterator[Any]:
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except ValueError as error:
        raise StagingError(path, "is no record of a deep copy: remove it, and the work is copied again") from error
    except OSError as error:
        raise disk_error(path, "cannot be read", error) from error
