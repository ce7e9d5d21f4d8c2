"""Trees of files, compared with the list of the digests that each file must have.

What belongs here: the list of what was bagged, on disk and in memory, and comparing a tree with it. What does not:
BagIt's rules about manifests (``ao_workflows.bags.rules``).
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
from ao_workflows.machine.disk import disk_error
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
    """What one unpacked file must be: its work's RID, path in the work's folder, size in bytes, and digests in hex."""

    work: str
    path: str
    size: int
    digests: Mapping[str, str]


def write_fixity(path: Path, files: Iterable[FileFixity]) -> None:
    """Writes the list of fixity, a JSON array for each file on a line of its own.

    A work may have 200,000 files, so the list is read again line by line.

    :raises StagingError: if it cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8") as out:
            for file in files:
                out.write(json.dumps([file.work, file.path, file.size, dict(file.digests)], ensure_ascii=False))
                out.write("\n")
    except OSError as error:
        raise disk_error(path, "cannot be written", error) from error


def read_fixity(path: Path) -> Iterator[FileFixity]:
    """Reads the list that ``write_fixity`` wrote, line by line."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield FileFixity(*json.loads(line))


def payload_counts(files: Iterable[FileFixity], tags: Mapping[str, str]) -> tuple[int, dict[str, tuple[int, int]]]:
    """Returns how many files a list of fixity has, and for each work the number and the bytes of its payload files.

    :param tags: for each work the folder of its bag's own files, which are not payload; empty if it has none.
    :raises KeyError: if the list has a file of another work.
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
    """Returns the algorithm to compare by where several digests are known: the one with the longest digest."""
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
    """Returns a problem for each file that is not below ``root`` as its fixity says.

    Sizes are compared, and with ``how="checksum"`` also the strongest digest. A file that is reached through a link is
    a problem, too: it lies elsewhere, where nothing was flushed, perhaps on another disk, and whoever builds the tree
    anew puts a folder in the link's place.

    A file that was read and is right gets a mark in ``marks``. If it still has that mark the next time, nobody has
    written to it, and it is not read again. A mark is the file's device, inode, size, and times of writing and of
    change, taken before the file was read. It does not show bytes that rot on the disk afterwards, nor a write from
    another host of which this host's NFS client has not heard yet; reading the file would not show that write either.

    :param files: each file's path below ``root``, and its fixity; only a few are held in memory at a time.
    :param threads: how many threads read; as many as there are cores if None. Hashing releases Python's lock.
    :param dropping_cache: read from the disk or the server, not from this machine's memory: see ``open_to_read``.
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
    """Finds each file below ``root`` that is not among ``names``; links, and whatever is not a folder, count as files.

    :param strict: raise an error if a folder cannot be read; otherwise such a folder is taken for empty.
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
    """Opens a file for reading and returns its descriptor.

    With ``dropping_cache`` the kernel first drops the file from this machine's memory. It drops only what is on the
    disk already, so what was written lately must be flushed before. Local disks, NFS and SMB heed this; a file system
    in memory (tmpfs) has nothing to drop. https://man7.org/linux/man-pages/man2/posix_fadvise.2.html
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
