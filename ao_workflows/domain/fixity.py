"""Fixity: which bytes a file must have, and whether a tree has them.

What belongs here: the list of what was bagged, on disk and in memory, and reading a tree against it. What does
not: BagIt's rules about manifests (``ao_workflows.domain.bags``).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ao_workflows.domain.errors import Problem

_CHUNK = 1 << 20
_BATCH = 16
"""Files a task: what a task costs is more than looking at a small file."""


@dataclass(frozen=True)
class FileFixity:
    """One unpacked file: its work's RID, its path in the work's folder, its size in bytes, its digests in hex."""

    work: str
    path: str
    size: int
    digests: Mapping[str, str]


def write_fixity(path: Path, files: Iterable[FileFixity]) -> None:
    """Writes one JSON array a file and line: a work of 200,000 files is read again line by line."""
    with path.open("w", encoding="utf-8") as out:
        for file in files:
            out.write(json.dumps([file.work, file.path, file.size, dict(file.digests)], ensure_ascii=False))
            out.write("\n")


def read_fixity(path: Path) -> Iterator[FileFixity]:
    """What ``write_fixity`` wrote."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield FileFixity(*json.loads(line))


def strongest(digests: Mapping[str, str]) -> str:
    """The algorithm to compare by where several are known: the one with the longest digest."""
    return max(digests, key=lambda name: (len(digests[name]), name))


def file_digest(path: Path, algorithm: str) -> str:
    """A file's digest in hex, read in pieces of 1 MiB."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm, _bufsize=_CHUNK).hexdigest()


def compare_tree(
    root: Path,
    files: Sequence[tuple[str, FileFixity]],
    how: Literal["checksum", "size"],
    threads: int | None = None,
) -> list[Problem]:
    """Every file that is not below ``root``, at the path it comes with, as its fixity says.

    Compares sizes and, by ``checksum``, the strongest digest. Reads on ``threads`` threads, as many as there are
    cores by default: hashing lets go of the interpreter.
    """

    def look(placed: tuple[str, FileFixity]) -> Problem | None:
        name, file = placed
        path = root / name
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                return Problem("structure", name, "is no file")
            if status.st_size != file.size:
                reason = f"has {status.st_size} bytes, not {file.size}"
                return Problem("size", name, reason, "", str(file.size), str(status.st_size))
            return _compare_digest(path, name, file) if how == "checksum" else None
        except FileNotFoundError:
            return Problem("missing", name, "is not there")
        except OSError as error:
            return Problem("unreadable", name, f"cannot be read: {error.strerror}")

    def look_at_some(start: int) -> list[Problem]:
        return [problem for placed in files[start : start + _BATCH] if (problem := look(placed))]

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        return [problem for some in pool.map(look_at_some, range(0, len(files), _BATCH)) for problem in some]


def _compare_digest(path: Path, name: str, file: FileFixity) -> Problem | None:
    algorithm = strongest(file.digests)
    expected, found = file.digests[algorithm], file_digest(path, algorithm)
    if found == expected:
        return None
    return Problem("checksum", name, f"has another {algorithm} than was bagged", algorithm, expected, found)
