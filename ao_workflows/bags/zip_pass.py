"""One pass over a zip: each member is read once, and in one go inflated, hashed, checked against its CRC, and written.

What belongs here: moving the bytes, on several threads and in bounded memory. What does not: which members there are
and whether they are safe (``zip_directory``), where the files are put (``ao_workflows.machine.new_trees``), and which
digests they should have (``rules``).
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from isal import isal_zlib as codec

from ao_workflows.bags.zip_directory import LOCAL, STORED, HeaderMismatch, Member, content_start
from ao_workflows.bags.zip_times import local_time
from ao_workflows.errors import StagingError, ZipRefused
from ao_workflows.fixity.algorithms import HASHES
from ao_workflows.machine.disk import disk_error
from ao_workflows.machine.new_trees import NewTree, Writer

if TYPE_CHECKING:
    pass

_CHUNK = 1 << 20
_WRITE = 1 << 15
"""Bytes written at once. For larger writes Linux looks for large runs of free memory, which costs it twice the time
where memory is in pieces."""

_ROOM_FOR_EXTRA = 512
_TELL_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class MemberTask:
    """What to do with a member: hash it by ``algorithms`` (hashlib's names), and write it to ``target`` if that is not
    None.
    """

    member: Member
    algorithms: tuple[str, ...]
    target: str | None


@dataclass(frozen=True, slots=True)
class MemberContent:
    """What a member was found to contain: its digests, in the order of its task's algorithms, and what is damaged.

    ``crc`` is that of the bytes if the directory has another one, else None; ``damage`` says why not all bytes could be
    read.
    """

    digests: tuple[bytes, ...]
    crc: int | None = None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class OpenZip:
    """A zip that is open under ``descriptor``; what is read from it is written below ``tree``, or nowhere if that is
    None.

    ``time_zone`` is that of the local times in the zip; None is the machine's own.
    """

    path: Path
    descriptor: int
    tree: NewTree | None = None
    time_zone: tzinfo | None = None


def read_in_pieces(source: OpenZip, task: MemberTask, take: Callable[[bytes], object]) -> MemberContent:
    """Does one task, and also passes the member's bytes to ``take``, in pieces.

    :raises ZipRefused: as ``ZipPass``.
    :raises StagingError: as ``ZipPass``.
    """
    with _Reader(source) as reader:
        return reader.member(task, memoryview(b""), take)


class ZipPass:
    """Does the tasks on some threads.

    Use it as a context manager: the threads begin with it and have ended when it ends. ``contents`` raises their first
    error:

    :raises ZipRefused: if a member is wrong in a way that damage does not explain.
    :raises StagingError: if the disk refuses.
    """

    def __init__(self, source: OpenZip, tasks: Sequence[MemberTask], threads: int) -> None:
        self._source = source
        self._tasks = tasks
        self._contents: list[MemberContent | None] = [None] * len(tasks)
        self._units = deque(_units(tasks))
        self._done = [0] * threads
        self._stopped = False
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"unzip-{slot}", daemon=True)
            for slot in range(threads)
        ]

    def __enter__(self) -> ZipPass:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        for thread in self._threads:
            thread.join()

    def contents(self, progress: Callable[[int], None] | None = None) -> list[MemberContent]:
        """Waits until all tasks are done, and returns what each one's member contained.

        :param progress: called with the bytes done so far, several times a second.
        """
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_TELL_EVERY if progress else None)
                if progress:
                    progress(sum(self._done))
        if progress:
            progress(sum(self._done))
        if self._failures:
            raise self._failures[0]
        return [content for content in self._contents if content is not None]

    def _work(self, slot: int) -> None:
        try:
            with _Reader(self._source) as reader:
                while self._units and not self._stopped:
                    try:
                        first, last = self._units.popleft()
                    except IndexError:
                        return
                    for number, content in enumerate(reader.unit(self._tasks[first:last]), first):
                        self._contents[number] = content
                        self._done[slot] += self._tasks[number].member.size
                        if self._stopped:
                            return
        except BaseException as error:  # noqa: BLE001 - ``contents`` raises it
            self._failures.append(error)
            self._stopped = True


def _units(tasks: Sequence[MemberTask]) -> Iterator[tuple[int, int]]:
    """The tasks in runs of neighbours that one read of ``_CHUNK`` bytes brings in whole, or single."""
    first = 0
    for number, task in enumerate(tasks):
        if _span_end(task.member) - tasks[first].member.offset > _CHUNK and number > first:
            yield first, number
            first = number
    if tasks:
        yield first, len(tasks)


def _span_end(member: Member) -> int:
    """Where the member's bytes end, unless its local header is uncommonly long."""
    return min(member.end, member.offset + LOCAL.size + len(member.name) * 4 + _ROOM_FOR_EXTRA + member.packed)


class _Damaged(Exception):
    """The member's compressed bytes are not what a compressor makes."""


class _Reader:
    """One thread's way through the zip: its buffer, and the folder that it writes in."""

    def __init__(self, source: OpenZip) -> None:
        self._source = source
        self._writer: Writer | None = source.tree.writer() if source.tree else None
        self._buffer = memoryview(bytearray(_CHUNK))
        self._local_times: dict[int, int] = {}

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()

    def unit(self, tasks: Sequence[MemberTask]) -> Iterator[MemberContent]:
        """Does neighbouring tasks from one read, as far as it reaches."""
        start = tasks[0].member.offset
        have = self._read(start, min(_CHUNK, _span_end(tasks[-1].member) - start))
        for task in tasks:
            yield self.member(task, have[task.member.offset - start :])

    def member(
        self, task: MemberTask, have: memoryview, keep: Callable[[bytes], object] | None = None
    ) -> MemberContent:
        """Does one task. ``have`` is what has been read of the file from the member's offset on."""
        member = task.member
        try:
            begin = content_start(member, have)
        except HeaderMismatch:
            # The header may merely be longer than what was read for it.
            have = self._read(member.offset, min(_CHUNK, member.end - member.offset))
            try:
                begin = content_start(member, have)
            except HeaderMismatch as error:
                raise ZipRefused(self._source.path, member.name, str(error)) from None
        if begin + member.packed <= len(have):
            pieces: Iterable[memoryview] = (have[begin : begin + member.packed],)
        else:
            pieces = self._pieces(member, begin, have)
        hashes = [HASHES[name]() for name in task.algorithms]
        crc, damage = 0, ""
        out = self._new_file(task)
        try:
            for piece in pieces if member.method == STORED else self._inflated(member, pieces):
                crc = codec.crc32(piece, crc)
                for each in hashes:
                    each.update(piece)
                if out >= 0:
                    self._write(out, piece, task)
                if keep:
                    keep(bytes(piece))
            if out >= 0:
                when = self.time_of(member)
                os.utime(out, ns=(when, when))
        except _Damaged as error:
            damage = str(error)
        finally:
            if out >= 0:
                os.close(out)
        return MemberContent(tuple([each.digest() for each in hashes]), None if crc == member.crc else crc, damage)

    def _read(self, start: int, length: int) -> memoryview:
        """That part of the file, in this thread's buffer: the next read takes its place."""
        view = self._buffer[:length]
        try:
            got = os.preadv(self._source.descriptor, [view], start)
            while got < length:
                more = os.preadv(self._source.descriptor, [view[got:]], start + got)
                if not more:
                    raise ZipRefused(self._source.path, None, "it became shorter while it was read")
                got += more
        except OSError as error:
            raise StagingError(self._source.path, f"cannot be read: {error.strerror}") from error
        return view

    def _pieces(self, member: Member, begin: int, have: memoryview) -> Iterator[memoryview]:
        """The member's content in pieces, each good until the next."""
        at, end = member.offset + begin, member.offset + begin + member.packed
        if begin < len(have):
            # What was read for neighbours ends within this member.
            yield have[begin:]
            at = member.offset + len(have)
        while at < end:
            piece = self._read(at, min(_CHUNK, end - at))
            yield piece
            at += len(piece)

    def _inflated(self, member: Member, pieces: Iterable[memoryview]) -> Iterator[bytes]:
        """The content inflated, in pieces, never more than one byte beyond the size that the directory has."""
        inflater = codec.decompressobj(-codec.MAX_WBITS)
        left, more = member.size, False
        for piece in pieces:
            if inflater.eof:
                raise _Damaged("bytes follow the end of its compressed content")
            fed: bytes | memoryview = piece
            while fed or more:
                asked = min(_CHUNK, left + 1)
                try:
                    out = inflater.decompress(fed, asked)
                except codec.error as error:  # type: ignore[misc]  # its stubs have an instance
                    raise _Damaged(f"it cannot be inflated: {error}") from error
                left -= len(out)
                if left < 0:
                    raise ZipRefused(
                        self._source.path,
                        member.name,
                        f"it inflates to more than the {member.size} bytes it should have: it was made to fill disks, "
                        f"or it has 4 GiB more and macOS's Finder zipped it, which writes no zip64 sizes. Make the zip "
                        f"again with 7-Zip, or in a terminal with zip -r",
                    )
                if out:
                    yield out
                fed, more = inflater.unconsumed_tail, len(out) == asked
                if inflater.eof:
                    break
        if inflater.unused_data:
            raise _Damaged("bytes follow the end of its compressed content")
        if not inflater.eof or left:
            raise _Damaged(f"it inflates to {member.size - left} bytes, not to {member.size}")

    def _new_file(self, task: MemberTask) -> int:
        """The descriptor of the task's file, or -1 if none is to be written."""
        if task.target is None or self._writer is None:
            return -1
        try:
            return self._writer.new_file(task.target)
        except FileExistsError as error:
            raise ZipRefused(self._source.path, task.member.name, TWIN) from error
        except OSError as error:
            raise self._staging_error(task, error) from error

    def _write(self, out: int, piece: bytes | memoryview, task: MemberTask) -> None:
        try:
            written = 0
            while written < len(piece):
                written += os.write(out, piece[written : written + _WRITE])
        except OSError as error:
            raise self._staging_error(task, error) from error

    def _staging_error(self, task: MemberTask, error: OSError) -> StagingError:
        folder = self._source.tree.path if self._source.tree else self._source.path
        return disk_error(folder / (task.target or ""), "cannot be written", error, task.member.size)

    def time_of(self, member: Member) -> int:
        """As ``modification_time``; each local time is worked out once."""
        if member.utc_time is not None:
            return member.utc_time
        when = self._local_times.get(member.dos_time)
        if when is None:
            when = self._local_times[member.dos_time] = local_time(member.dos_time, self._source.time_zone)
        return when


def modification_time(member: Member, time_zone: tzinfo | None) -> int:
    """Returns the member's modification time in ns since 1970: from its UTC field, else from its local time."""
    return member.utc_time if member.utc_time is not None else local_time(member.dos_time, time_zone)


TWIN = "the staging file system takes its name for that of another member (case or Unicode normalisation)"
