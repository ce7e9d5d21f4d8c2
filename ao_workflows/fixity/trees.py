"""Trees of files, compared with the list of the digests that each file must have.

What belongs here: the list of what was bagged, on disk and in memory, and reading a tree against it. What does
not: BagIt's rules about manifests (``ao_workflows.bags.debagging``).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from ao_workflows.errors import Problem
from ao_workflows.machine.disk import refusal
from ao_workflows.machine.threads import each_in_order

Depth = Literal["checksum", "size"]
"""How a file is compared."""

_CHUNK = 1 << 20
_SETTLED_NS = 2_000_000_000
"""Writes that are less than this apart may leave a file with one time: FAT counts in steps of two seconds."""
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


def payload_counts(files: Iterable[FileFixity], tags: Mapping[str, str]) -> tuple[int, dict[str, tuple[int, int]]]:
    """How many files are listed, and for each work how many of them, and of how many bytes, are payload.

    ``tags`` has each work's folder that is not: the one with its bag's own files; empty where it has none.

    :raises KeyError: if a file is of a work that is not there.
    """
    counts = dict.fromkeys(tags, (0, 0))
    beside = {work: f"{folder}/" if folder else None for work, folder in tags.items()}
    lines = 0
    for file in files:
        lines += 1
        folder = beside[file.work]
        if folder is None or not file.path.startswith(folder):
            count, size = counts[file.work]
            counts[file.work] = count + 1, size + file.size
    return lines, counts


def strongest(digests: Mapping[str, str]) -> str:
    """The algorithm to compare by where several are known: the one with the longest digest."""
    return max(digests, key=lambda name: (len(digests[name]), name))


def compare_tree(
    root: Path,
    files: Iterable[tuple[str, FileFixity]],
    how: Depth,
    threads: int | None = None,
    *,
    dropping_cache: bool = False,
    marks: dict[str, bytes] | None = None,
) -> list[Problem]:
    """Every file that is not below ``root``, at the path it comes with, as its fixity says.

    Nor is one that a link leads to on its way there: it lies elsewhere, where nothing was flushed, perhaps on another
    disk, and who builds the tree anew puts a folder in the link's place.

    Compares sizes and, by ``checksum``, the strongest digest. Reads on ``threads`` threads, as many as there are
    cores by default: hashing lets go of the interpreter. Takes few of the files at a time. With ``dropping_cache``
    the bytes come from the disk, or the server, and not from this machine's memory: see ``open_to_read``.

    Each file that was read and is right leaves its mark in ``marks``; one that still has the mark that is there was not
    written to, and is not read again. A mark is the file's device, inode, size, and times of writing and of change, of
    before it was read. What it does not show: bytes that rot on the disk meanwhile, as they may a second later, and a
    write from another host that this one's NFS client has not heard of yet, which it would not read either.
    """

    linked: dict[str, bool] = {"": False}

    def is_behind_a_link(folder: str) -> bool:
        # Asked once of each folder: of 200,000 files few have one of their own.
        if folder not in linked:
            linked[folder] = is_behind_a_link(folder.rpartition("/")[0]) or Path(f"{root}/{folder}").is_symlink()
        return linked[folder]

    def look(placed: tuple[str, FileFixity], buffer: memoryview) -> Problem | None:
        name, file = placed
        try:
            if is_behind_a_link(name.rpartition("/")[0]):
                return Problem("structure", name, "lies elsewhere: one of its folders is a link")
            return look_at(f"{root}/{name}", name, file, buffer)
        except FileNotFoundError:
            return Problem("missing", name, "is not there")
        except OSError as error:
            return Problem("unreadable", name, f"cannot be read: {error.strerror}")

    def look_at(path: str, name: str, file: FileFixity, buffer: memoryview) -> Problem | None:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return Problem("structure", name, "is no file")
        if status.st_size != file.size:
            reason = f"has {status.st_size} bytes, not {file.size}"
            return Problem("size", name, reason, "", str(file.size), str(status.st_size))
        mark = _mark(status) if marks is not None else b""
        if how == "size" or (marks is not None and marks.get(name) == mark):
            return None
        settled = time.time_ns() - status.st_ctime_ns > _SETTLED_NS
        if problem := _compare_digest(path, name, file, buffer, dropping_cache):
            return problem
        if marks is not None and settled:
            marks[name] = mark
        return None

    def look_at_some(some: Sequence[tuple[str, FileFixity]]) -> list[Problem]:
        largest = max(file.size for _, file in some) if how == "checksum" else 0
        buffer = memoryview(bytearray(min(_CHUNK, largest + 1)))
        return [problem for placed in some if (problem := look(placed, buffer))]

    found = each_in_order(threads or _cores(), look_at_some, _batches(files))
    return [problem for some in found for problem in some]


def files_beside(root: Path, names: Container[str], *, strict: bool = False) -> Iterator[str]:
    """Each file below ``root``, or link, or whatever is no folder, that is not among ``names``.

    A folder that cannot be read has none; or, if ``strict``, is an error.

    :raises OSError: if ``strict``, and a folder cannot be read.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError:
            if strict:
                raise
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


def _mark(status: os.stat_result) -> bytes:
    return struct.pack("=QQQqq", status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def open_to_read(path: str, *, dropping_cache: bool) -> int:
    """A descriptor to read ``path`` by; with ``dropping_cache`` this machine has nothing of it in memory any more.

    The kernel drops what is on the disk already, and nothing else: so what was written lately is to be flushed before.
    It heeds this on local disks, NFS and SMB alike. A file system that is in memory (tmpfs) has nothing to drop.
    https://man7.org/linux/man-pages/man2/posix_fadvise.2.html
    """
    descriptor = os.open(path, os.O_RDONLY)
    if dropping_cache:
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _compare_digest(path: str, name: str, file: FileFixity, buffer: memoryview, dropping_cache: bool) -> Problem | None:
    algorithm = strongest(file.digests)
    expected, found = file.digests[algorithm], _file_digest(path, algorithm, buffer, dropping_cache)
    if found == expected:
        return None
    return Problem("checksum", name, f"has another {algorithm} than was bagged", algorithm, expected, found)


def _file_digest(path: str, algorithm: str, buffer: memoryview, dropping_cache: bool) -> str:
    """The digest in hex, read through ``buffer``."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    descriptor = open_to_read(path, dropping_cache=dropping_cache)
    try:
        while got := os.readv(descriptor, [buffer]):
            digest.update(buffer[:got])
    finally:
        os.close(descriptor)
    return digest.hexdigest()
