"""A work in an archive's folder, its deep copy on moto's S3, and what a zip of it has: for the tests of deep copies.

What belongs here: making a work, copying it, and taking a part apart with other tools. What does not: what is judged.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ao_workflows.aws.uploads import Uploads
from ao_workflows.deep_copy.copying import CopiedWork, DeepCopies
from ao_workflows.deep_copy.what_to_copy import FileToCopy, PartToCopy
from ao_workflows_tests.support.moto_server import Aws

MTIME = 1_700_000_000
LEAST_PART = 5 << 20
"""S3 takes no smaller part of an upload, save the last."""


def write_work(place: Path, files: Mapping[str, bytes]) -> None:
    """Writes files below a folder, each with a time of its own."""
    for number, (path, content) in enumerate(files.items()):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
        os.utime(place / path, (MTIME + number, MTIME + number))


def tree_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Each file below a folder: its content, and its time in whole seconds."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), int(path.stat().st_mtime))
        for path in folder.rglob("*")
        if path.is_file()
    }


def digests_of(place: Path) -> dict[str, dict[str, str]]:
    """What a sync would have proven: each file's digest by its path."""
    return {path: {"sha512": hashlib.sha512(content).hexdigest()} for path, (content, _) in tree_of(place).items()}


def part_of(place: Path, name: str, payload: Mapping[str, str]) -> PartToCopy:
    """A part with files of a folder; ``payload`` has their paths in the bag by those in the folder."""
    proven, files = digests_of(place), []
    for path, called in payload.items():
        found = (place / path).stat()
        files.append(FileToCopy(path, called, found.st_size, found.st_mtime_ns, proven[path]))
    return PartToCopy(name, files)


@dataclass
class CopySite:
    """A work ``rid`` in ``place``, and the bucket that it is copied to; ``said`` has what the copies said."""

    aws: Aws
    folder: Path
    bucket: str
    rid: str = "W1NLM4700"
    storage_class: str = "STANDARD_IA"
    said: list[str] = field(default_factory=list)

    @property
    def place(self) -> Path:
        return self.folder / "Archive0" / "00" / self.rid

    @property
    def records(self) -> Path:
        return self.folder / "deep-copies" / self.rid

    @property
    def uploads(self) -> Uploads:
        return Uploads(self.aws.connection, self.bucket)

    def copy(self, proven: Mapping[str, Mapping[str, str]] | None = None, *, day: int = 1) -> CopiedWork:
        """Copies the work; all that is there is proven, unless said otherwise."""
        copies = DeepCopies(self.uploads, self.storage_class, LEAST_PART)
        synced = datetime(2026, 11, day, 10, 15, tzinfo=UTC)
        known = digests_of(self.place) if proven is None else proven
        done = copies.copy(self.rid, self.place, self.records, known, synced, self.said.append)
        copies.told(self.rid, self.records)
        return done

    def names(self) -> list[str]:
        """The names of the parts in the bucket."""
        listed = self.aws.s3.list_objects_v2(Bucket=self.bucket).get("Contents", ())
        return sorted(each["Key"].rpartition("/")[2].removesuffix(".bag.zip") for each in listed)

    def key(self, name: str) -> str:
        return f"Archive0/00/{self.rid}/{name}.bag.zip"

    def fetch(self, name: str) -> bytes:
        """A part's zip as the bucket has it."""
        content: bytes = self.aws.s3.get_object(Bucket=self.bucket, Key=self.key(name))["Body"].read()
        return content

    def head(self, name: str) -> Any:
        return self.aws.s3.head_object(Bucket=self.bucket, Key=self.key(name), ChecksumMode="ENABLED")

    def versions(self, name: str) -> int:
        """How many versions the bucket has of a part."""
        listed = self.aws.s3.list_object_versions(Bucket=self.bucket, Prefix=self.key(name))
        return len(listed.get("Versions", ()))

    def open_uploads(self) -> list[Any]:
        """The uploads that S3 has begun and not completed."""
        return list(self.aws.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ()))


def payload_of(content: bytes, name: str) -> dict[str, bytes]:
    """The payload of a part's zip, as Python's own zipfile reads it."""
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        top = f"{name}.bag/data/"
        return {
            each.removeprefix(top): found.read(each)
            for each in found.namelist()
            if each.startswith(top) and not each.endswith("/")
        }
