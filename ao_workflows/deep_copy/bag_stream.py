"""A part's bag as a stream: the archive's files read once, hashed, compared, and handed on with the zip's records.

What belongs here: reading, on several threads and in bounded memory, and the comparison with what was proven. What
does not: the zip's layout (``ao_workflows.deep_copy.part_bag``), and where the stream goes
(``ao_workflows.deep_copy.sending``).
"""

from __future__ import annotations

import hashlib
import os
import stat
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from isal import isal_zlib

from ao_workflows.deep_copy.bag_tags import ALGORITHM
from ao_workflows.deep_copy.part_bag import FoundFile, PartBag
from ao_workflows.deep_copy.what_to_copy import FileToCopy
from ao_workflows.deep_copy.zip_layout import after_bytes, local_header
from ao_workflows.errors import DeepCopyError, Problem
from ao_workflows.fixity.digests import Digest
from ao_workflows.fixity.trees import strongest
from ao_workflows.machine.threads import each_in_order

_BATCH = 2 << 20
"""Bytes of small files, with the records around them, that one thread reads at a time. A larger file is read in pieces
of as many."""

Block = bytes | memoryview
_Batch = tuple[bytearray, int, list[FoundFile]]


def read_bag(
    bag: PartBag, rid: str, place: Path, found: list[FoundFile], start: int, note: Callable[[FoundFile], None]
) -> Iterator[Block]:
    """Reads a part's bag from the byte ``start`` to its end, in blocks. Each holds only until the next is asked for.

    :param place: the work's folder in the archive; ``rid`` is the work.
    :param found: what was found in the files before that byte; what is found is added to it.
    :param note: called with what was found in each file, in their order, before its last block is given.
    :raises DeepCopyError: if a file is not what it must be, or is written to meanwhile. No block has its end then.
    """
    reading = _Reading(bag, rid, place, found, note)
    first = max(0, bisect_right(bag.starts, start) - 1)
    del found[first:]
    at = bag.starts[first] if start >= len(bag.head) else 0
    for block in reading.blocks(first, whole=start < len(bag.head)):
        skipped = min(max(0, start - at), len(block))
        at += len(block)
        if skipped < len(block):
            yield block[skipped:] if skipped else block


class _Reading:
    def __init__(
        self, bag: PartBag, rid: str, place: Path, found: list[FoundFile], note: Callable[[FoundFile], None]
    ) -> None:
        self._bag = bag
        self._rid = rid
        self._place = place
        self._found = found
        self._note = note
        self._spare: list[bytearray] = []

    def blocks(self, first: int, *, whole: bool) -> Iterator[Block]:
        """The bag from one of its files on, or with its head."""
        if whole:
            yield self._bag.head
        index, count = first, len(self._bag.files)
        while index < count:
            large = next((at for at in range(index, count) if self._stored(at) > _BATCH), count)
            for buffer, length, found in each_in_order(_cores(), self._read_some, self._batches(index, large)):
                self._add(found)
                yield memoryview(buffer)[:length]
                # New memory for each block would cost more than reading it.
                self._spare.append(buffer)
            if large < count:
                yield from self._read_large(large)
            index = large + 1
        yield self._bag.tail(self._found)

    def _add(self, found: Sequence[FoundFile]) -> None:
        for each in found:
            self._found.append(each)
            self._note(each)

    def _stored(self, index: int) -> int:
        return self._bag.starts[index + 1] - self._bag.starts[index]

    def _batches(self, begin: int, end: int) -> Iterator[range]:
        size = 0
        for index in range(begin, end):
            size += self._stored(index)
            if size > _BATCH:
                yield range(begin, index)
                begin, size = index, self._stored(index)
        if begin < end:
            yield range(begin, end)

    def _read_some(self, indexes: range) -> _Batch:
        """Some small files, with the records around each, in one block."""
        out = self._buffer()
        view, at, found = memoryview(out), 0, []
        for index in indexes:
            file, member = self._bag.files[index], self._bag.members[index]
            at = _put(view, at, local_header(member))
            content = view[at : at + file.size]
            with self._opened(file) as descriptor:
                self._fill(descriptor, content, file)
                each = self._judged(file, descriptor, isal_zlib.crc32(content), _hashes(file.digests, content))
            found.append(each)
            at = _put(view, at + file.size, after_bytes(member, each.crc))
        return out, at, found

    def _read_large(self, index: int) -> Iterator[Block]:
        """A large file in pieces: the last one is given only once the file is known to be right."""
        file, member = self._bag.files[index], self._bag.members[index]
        yield local_header(member)
        crc, left, buffer = 0, file.size, self._buffer()
        hashes = _hashes(file.digests, b"")
        with self._opened(file) as descriptor:
            while left:
                piece = memoryview(buffer)[: min(_BATCH, left)]
                self._fill(descriptor, piece, file)
                crc = isal_zlib.crc32(piece, crc)
                for each in hashes.values():
                    each.update(piece)
                left -= len(piece)
                if left:
                    yield piece
            found = self._judged(file, descriptor, crc, hashes)
        self._add([found])
        yield piece
        yield after_bytes(member, crc)
        self._spare.append(buffer)

    def _buffer(self) -> bytearray:
        try:
            return self._spare.pop()
        except IndexError:
            return bytearray(_BATCH)

    @contextmanager
    def _opened(self, file: FileToCopy) -> Iterator[int]:
        """The file, open, if it is the one that was seen when the copy was planned."""
        try:
            descriptor = os.open(self._place / file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise self._wrong("unreadable", file, f"cannot be read: {error.strerror}") from error
        try:
            self._unchanged(descriptor, file)
            yield descriptor
        except OSError as error:
            raise self._wrong("unreadable", file, f"cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def _unchanged(self, descriptor: int, file: FileToCopy) -> None:
        status = os.fstat(descriptor)
        seen = stat.S_ISREG(status.st_mode), status.st_size, status.st_mtime_ns
        if seen != (True, file.size, file.modified_ns):
            raise self._wrong("changed", file, "was written to while the work was being copied")

    def _fill(self, descriptor: int, view: memoryview, file: FileToCopy) -> None:
        while view:
            got = os.readv(descriptor, [view])
            if not got:
                raise self._wrong("changed", file, "was written to while the work was being copied")
            view = view[got:]

    def _judged(self, file: FileToCopy, descriptor: int, crc: int, hashes: Mapping[str, Digest]) -> FoundFile:
        self._unchanged(descriptor, file)
        found = FoundFile(crc, {name: each.hexdigest() for name, each in hashes.items()})
        if problem := difference(file, found):
            raise DeepCopyError(self._rid, self._place, [problem])
        return found

    def _wrong(self, kind: str, file: FileToCopy, reason: str) -> DeepCopyError:
        return DeepCopyError(self._rid, self._place, [Problem(kind, file.path, reason)])


def difference(file: FileToCopy, found: FoundFile) -> Problem | None:
    """Returns what is wrong with a file's bytes by the strongest digest that it must have; None if nothing is."""
    if not file.digests:
        return None
    algorithm = strongest(file.digests)
    expected, there = file.digests[algorithm], found.digests.get(algorithm, "")
    if there == expected:
        return None
    return Problem("checksum", file.path, f"has another {algorithm} than was proven", algorithm, expected, there)


def _hashes(expected: Mapping[str, str], content: bytes | memoryview) -> dict[str, Digest]:
    names = {ALGORITHM, strongest(expected)} if expected else {ALGORITHM}
    return {name: hashlib.new(name, content, usedforsecurity=False) for name in sorted(names)}


def _put(view: memoryview, at: int, record: bytes) -> int:
    view[at : at + len(record)] = record
    return at + len(record)


def _cores() -> int:
    return len(os.sched_getaffinity(0))
