"""Fixity: which bytes a file must have, and whether a tree has them.

What belongs here: the list of what was bagged, on disk and in memory, and reading a tree against it. What does
not: BagIt's rules about manifests (``ao_workflows.domain.bags``).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from ao_workflows.domain.bounded import each_in_order
from ao_workflows.domain.disk import refusal
from ao_workflows.domain.errors import Problem

Depth = Literal["checksum", "size"]
"""How a file is compared."""

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
    """Writes one JSON array a file and line: a work of 200,000 files is read again line by line.

    :raises StagingError: if it cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8") as out:
            for file in files:
                out.write(json.dumps([file.work, file.path, file.size, dict(file.digests)], ensure_ascii=False))
                out.write("\n")
    except OSError as error:
        raise refusal(path, "cannot be written", error) from error


def read_fixity(path: Path) -> Iterator[FileFixity]:
    """What ``write_fixity`` wrote."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield FileFixity(*json.loads(line))


def strongest(digests: Mapping[str, str]) -> str:
    """The algorithm to compare by where several are known: the one with the longest digest."""
    return max(digests, key=lambda name: (len(digests[name]), name))


def compare_tree(
    root: Path,
    files: Iterable[tuple[str, FileFixity]],
    how: Depth,
    threads: int | None = None,
) -> list[Problem]:
    """Every file that is not below ``root``, at the path it comes with, as its fixity says.

    Compares sizes and, by ``checksum``, the strongest digest. Reads on ``threads`` threads, as many as there are
    cores by default: hashing lets go of the interpreter. Takes few of the files at a time.
    """

    def look(placed: tuple[str, FileFixity], buffer: memoryview) -> Problem | None:
        name, file = placed
        path = f"{root}/{name}"
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode):
                return Problem("structure", name, "is no file")
            if status.st_size != file.size:
                reason = f"has {status.st_size} bytes, not {file.size}"
                return Problem("size", name, reason, "", str(file.size), str(status.st_size))
            return _compare_digest(path, name, file, buffer) if how == "checksum" else None
        except FileNotFoundError:
            return Problem("missing", name, "is not there")
        except OSError as error:
            return Problem("unreadable", name, f"cannot be read: {error.strerror}")

    def look_at_some(some: Sequence[tuple[str, FileFixity]]) -> list[Problem]:
        largest = max(file.size for _, file in some) if how == "checksum" else 0
        buffer = memoryview(bytearray(min(_CHUNK, largest + 1)))
        return [problem for placed in some if (problem := look(placed, buffer))]

    found = each_in_order(threads or _cores(), look_at_some, _batches(files))
    return [problem for some in found for problem in some]


def files_beside(root: Path, names: Container[str]) -> Iterator[str]:
    """Each file below ``root``, or link, or whatever is no folder, that is not among ``names``.

    A folder that cannot be read has none.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            name = f"{folder}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{name}/")
            elif name not in names:
                yield name


def _batches(files: Iterable[tuple[str, FileFixity]]) -> Iterator[Sequence[tuple[str, FileFixity]]]:
    left = iter(files)
    while some := list(islice(left, _BATCH)):
        yield some


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _compare_digest(path: str, name: str, file: FileFixity, buffer: memoryview) -> Problem | None:
    algorithm = strongest(file.digests)
    expected, found = file.digests[algorithm], _file_digest(path, algorithm, buffer)
    if found == expected:
        return None
    return Problem("checksum", name, f"has another {algorithm} than was bagged", algorithm, expected, found)


def _file_digest(path: str, algorithm: str, buffer: memoryview) -> str:
    """The digest in hex, read through ``buffer``."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while got := os.readv(descriptor, [buffer]):
            digest.update(buffer[:got])
    finally:
        os.close(descriptor)
    return digest.hexdigest()
