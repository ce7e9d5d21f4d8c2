"""A zip's members and headers, refused for what is wrong with them before any member is read.

What belongs here: the members, as the central directory lists them, the local headers, and every refusal that needs no
member's content (PKWARE's APPNOTE 6.3.10). What does not: finding and walking the directory (``zip_records``), the
content (``zip_pass``), and what makes a name unsafe (``member_names``).
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ao_workflows.bags.layout import DEEPEST, TOO_DEEP
from ao_workflows.bags.member_names import conflict, decode_name, why_unsafe, without_dots
from ao_workflows.bags.memory import MEMORY_MIB, PER_FILE, Memory, held_for_folder, held_for_name
from ao_workflows.bags.zip_records import (
    MAX16,
    MAX32,
    Directory,
    ReadRange,
    counted,
    find_directory,
    read_extra,
    walk,
    widened,
)
from ao_workflows.bags.zip_times import utc_time
from ao_workflows.errors import ZipRefused

STORED = 0
DEFLATED = 8

LOCAL = struct.Struct("<4s5H3L2H")

_GENEROUS = 1024
"""Bytes of directory for each allowed member: a directory that is larger is not read."""

_ABOVE = 2
"""Folders of the zip that a file's bag or work may be, or lie in."""

_UNIX_HOSTS = frozenset({3, 19})
"""Unix and macOS: with another host in "version made by", attributes have no Unix mode (APPNOTE 4.4.2, 4.4.15)."""

_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_PATCHED = 1 << 5
_UTF8 = 1 << 11
_DESCRIPTOR_FOLLOWS = 1 << 3


@dataclass(frozen=True)
class ZipLimits:
    """How much a zip may contain, and whether names may have control characters.

    ``members`` are counted; ``bytes`` is the sum of all; ``ratio`` is that sum divided by the zip's own size.
    ``memory_mib`` is the memory that a run may need for it, in MiB.
    """

    members: int = 1_000_000
    bytes: int = 4 << 40
    ratio: int = 100
    control_characters: bool = False
    memory_mib: int = MEMORY_MIB


class Member(NamedTuple):
    """One file or folder of a zip, as its central directory lists it.

    ``raw`` has the bytes of the name if they are not its UTF-8. ``offset`` is where the local header begins; no byte of
    the member lies at or beyond ``end``, where the next header begins. ``dos_time`` is local time, as the header packs
    it; ``utc_time`` is in ns since 1970, or None. It is a tuple, since a zip may have a million of them.
    """

    name: str
    raw: bytes | None
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    end: int
    dos_time: int
    utc_time: int | None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder: its name ends in ``/``."""
        return self.name.endswith("/")


def read_directory(path: Path, descriptor: int, limits: ZipLimits, memory: Memory) -> list[Member]:
    """Returns the zip's members in the order in which they lie in the file.

    What they take is counted before they are held.

    :raises ZipRefused: if the file is not a zip, or cannot safely be unpacked by what its directory says.
    """
    file_size = os.fstat(descriptor).st_size
    read = _reader(path, descriptor)
    directory = find_directory(read, file_size, path)
    directory = counted(read, directory, path)
    if directory.entries > limits.members or directory.size > limits.members * _GENEROUS:
        raise ZipRefused(path, None, f"it has more than the {limits.members} members allowed")
    memory.take(directory.entries * PER_FILE)
    folders: set[str] = set()
    members = _parse(path, read, directory, limits, partial(_count_name, memory, folders))
    _check_names(path, members, folders)
    _check_amount(path, members, file_size, limits)
    return _in_place(path, members, directory.start)


def _reader(path: Path, descriptor: int) -> ReadRange:
    def read(start: int, end: int) -> bytes:
        data = os.pread(descriptor, end - start, start)
        while len(data) < end - start:
            more = os.pread(descriptor, end - start - len(data), start + len(data))
            if not more:
                raise ZipRefused(path, None, "it ends before its directory does: it is truncated")
            data += more
        return data

    return read


def _count_name(memory: Memory, folders: set[str], name: str) -> None:
    """Counts what a name takes, and each folder that no name before has implied: of one name there may be a hundred."""
    memory.take(held_for_name(name), name)
    parent = name.rpartition("/")[0]
    while parent and parent not in folders:
        memory.take(held_for_folder(parent), name)
        folders.add(parent)
        parent = parent.rpartition("/")[0]


def _parse(
    path: Path, read: ReadRange, directory: Directory, limits: ZipLimits, count: Callable[[str], None]
) -> list[Member]:
    members: list[Member] = []
    shift, start = directory.shift, directory.start
    for made_by, flags, method, time, crc, packed, size, disk, attributes, offset, raw, extras in walk(
        read, directory, path
    ):
        extra = read_extra(extras) if extras else {}
        if extra is None:
            raise ZipRefused(path, raw.decode("utf-8", "replace"), "its extra fields are damaged")
        try:
            name = decode_name(raw, bool(flags & _UTF8), extra)
        except UnicodeDecodeError:
            reason = "its name is said to be UTF-8 and is none"
            raise ZipRefused(path, raw.decode("utf-8", "replace"), reason) from None
        if MAX32 in (size, packed, offset) or disk == MAX16:
            wide = widened(extra, (size, MAX32), (packed, MAX32), (offset, MAX32), (disk, MAX16))
            if wide is None:
                raise ZipRefused(path, name, "its zip64 field is missing or too short")
            size, packed, offset, disk = wide  # noqa: PLW2901
        name = without_dots(name)
        if not name and raw and not size:
            # The folder that was zipped: it is the top itself.
            continue
        member = Member(
            name,
            None if name.encode() == raw else raw,
            flags,
            method,
            crc,
            packed,
            size,
            offset + shift,
            start,
            time,
            utc_time(extra) if extra else None,
        )
        mode = attributes >> 16 if made_by >> 8 in _UNIX_HOSTS else 0
        if why := _why_refused(member, disk, mode, limits.control_characters):
            raise ZipRefused(path, name, why)
        count(name)
        members.append(member)
    return members


def _why_refused(member: Member, disk: int, mode: int, control_characters: bool) -> str | None:
    if unsafe := why_unsafe(member.name, control_characters):
        return unsafe
    if member.name.count("/") > DEEPEST + _ABOVE:
        return TOO_DEEP
    kind = stat.S_IFMT(mode)
    reason: str | None = None
    if kind == stat.S_IFLNK:
        reason = "it is a symbolic link"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        reason = "it is neither a file nor a folder"
    elif kind and (kind == stat.S_IFDIR) != member.is_folder:
        reason = "it is a folder by its mode or by its name, and a file by the other"
    elif member.is_folder and member.size:
        reason = "it is both a file and a folder"
    elif member.flags & _ENCRYPTED:
        reason = "it is encrypted"
    elif member.flags & _PATCHED or member.method not in (STORED, DEFLATED):
        reason = f"its compression (method {member.method}) is not known; stored and deflated are taken"
    elif member.method == STORED and member.packed != member.size:
        reason = f"it is stored, and has {member.packed} bytes in the zip and {member.size} outside"
    elif disk:
        reason = "it lies on another disk"
    return reason


def _check_names(path: Path, members: list[Member], folders: set[str]) -> None:
    if found := conflict((member.name for member in members), folders):
        raise ZipRefused(path, *found)


def _check_amount(path: Path, members: list[Member], file_size: int, limits: ZipLimits) -> None:
    if len(members) > limits.members:
        raise ZipRefused(path, None, f"it has {len(members)} members, more than the {limits.members} allowed")
    total = sum(member.size for member in members)
    if total > limits.bytes:
        raise ZipRefused(path, None, f"it holds {total} bytes, more than the {limits.bytes} allowed")
    if total > limits.ratio * file_size:
        raise ZipRefused(
            path, None, f"it holds {total} bytes in {file_size}, more than {limits.ratio} to 1: a bomb, it seems"
        )


def _in_place(path: Path, members: list[Member], directory_start: int) -> list[Member]:
    """The members in the order of their places, each with its end; refuses what lies over another or outside."""
    placed: list[Member] = []
    end = directory_start
    for member in sorted(members, key=lambda member: member.offset, reverse=True):
        least = LOCAL.size + len(member.raw if member.raw is not None else member.name.encode()) + member.packed
        if member.offset >= directory_start or member.offset + least > directory_start:
            raise ZipRefused(path, member.name, "it lies outside the part of the file that holds members")
        if member.offset + least > end:
            raise ZipRefused(path, member.name, f"it overlaps with {placed[-1].name!r}")
        placed.append(member._replace(end=end))
        end = member.offset
    placed.reverse()
    return placed


class HeaderMismatch(Exception):
    """A local header differs from the directory; the message says how."""


def content_start(member: Member, header: memoryview) -> int:
    """Returns how many bytes after the member's offset its content begins.

    :param header: what the file has from the offset on.
    :raises HeaderMismatch: if the local header differs from the directory, or does not fit into ``header``.
    """
    if len(header) < LOCAL.size:
        raise HeaderMismatch("its local header is cut off")
    (magic, _, flags, method, _, _, crc, packed, size, name_length, extra_length) = LOCAL.unpack_from(header)
    if magic != b"PK\3\4":
        raise HeaderMismatch("there is no local header where the directory says")
    start: int = LOCAL.size + name_length + extra_length
    raw = member.raw if member.raw is not None else member.name.encode()
    name_end = LOCAL.size + name_length
    if header[LOCAL.size : name_end] != raw:
        raise HeaderMismatch("its local header has another name than the directory")
    if member.offset + start + member.packed > member.end:
        raise HeaderMismatch("it overlaps with the next member")
    if method != member.method:
        raise HeaderMismatch("its local header has another compression than the directory")
    # Whether a descriptor follows may differ: where the content ends is the directory's word, and its CRC proves it.
    if (flags ^ member.flags) & (_ENCRYPTED | _PATCHED):
        raise HeaderMismatch("it is encrypted or patched by its local header or by the directory, and not by the other")
    if MAX32 in (packed, size):
        extra = read_extra(bytes(header[name_end:start]))
        wide = widened(extra or {}, (size, MAX32), (packed, MAX32))
        if wide is None:
            raise HeaderMismatch("the zip64 field of its local header is missing or too short")
        size, packed = wide
    unknown_yet = flags & _DESCRIPTOR_FOLLOWS
    for here, there, what in ((crc, member.crc, "CRC"), (packed, member.packed, "size"), (size, member.size, "size")):
        if here != there and not (unknown_yet and here == 0):
            raise HeaderMismatch(_why_differs(what, here, flags, member.flags))
    return start


def _why_differs(what: str, here: int, flags: int, of_directory: int) -> str:
    if here == 0 and of_directory & ~flags & _DESCRIPTOR_FOLLOWS:
        return (
            f"its local header has no {what} and does not say, as the directory does, that it follows the content "
            f"(bit 3 of its flags): a tool changed the one and not the other. Make the zip again from the folder, "
            f"with 7-Zip or zip -r"
        )
    return f"its local header has another {what} than the directory"
