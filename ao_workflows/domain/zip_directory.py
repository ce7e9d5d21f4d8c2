"""A zip's own account of itself: its central directory, read whole and checked before a member is touched.

What belongs here: the directory's records, the local headers, and every refusal that needs no member's content
(PKWARE's APPNOTE 6.3.10). What does not: the content (``zips``), and what makes a name unsafe (``member_names``).
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ao_workflows.domain.errors import ZipRefused
from ao_workflows.domain.member_names import conflict, decode_name, why_unsafe

STORED = 0
DEFLATED = 8

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")

_MAX16 = 0xFFFF
_MAX32 = 0xFFFFFFFF
_ZIP64_FIELD = 0x0001
_TIMES_FIELD = 0x5455

_GENEROUS = 1024
"""Bytes of directory for each allowed member: a directory that is larger is not read into memory."""

_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_PATCHED = 1 << 5
_UTF8 = 1 << 11
DESCRIPTOR_FOLLOWS = 1 << 3


@dataclass(frozen=True)
class Limits:
    """How much a zip may hold: members, bytes in all, and bytes in all over the zip's own."""

    members: int = 1_000_000
    bytes: int = 4 << 40
    ratio: int = 100


class Member(NamedTuple):
    """One file or folder of a zip, as its central directory has it.

    ``raw`` is the name's bytes where they are not its UTF-8. ``offset`` is where the local header begins, and no
    byte of the member lies at or beyond ``end``, where the next one begins. ``dos_time`` is local time, as the
    header packs it; ``utc_time`` is seconds since 1970, or None. A tuple, since a zip may have a million.
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
        return self.name.endswith("/")


def read_directory(path: Path, descriptor: int, limits: Limits) -> list[Member]:
    """The zip's members in the order of their place in the file.

    :raises ZipRefused: if the file is no zip, or the directory says something of which no safe unpacking can come.
    """
    file_size = os.fstat(descriptor).st_size
    start, size, count, shift = _find_directory(path, descriptor, file_size)
    if count > limits.members or size > limits.members * _GENEROUS:
        raise ZipRefused(path, None, f"it has more than the {limits.members} members allowed")
    members = _parse(path, _read(path, descriptor, start, size), shift, count, start)
    _check_names(path, members)
    _check_amount(path, members, file_size, limits)
    return _in_place(path, members, start)


def _read(path: Path, descriptor: int, start: int, size: int) -> bytes:
    data = os.pread(descriptor, size, start)
    while len(data) < size:
        more = os.pread(descriptor, size - len(data), start + len(data))
        if not more:
            raise ZipRefused(path, None, "it ends before its directory does: it is truncated")
        data += more
    return data


def _find_directory(path: Path, descriptor: int, file_size: int) -> tuple[int, int, int, int]:
    """Where the central directory begins, its bytes, its entries, and what was put before the zip, in bytes."""
    tail_start = max(0, file_size - _END.size - _MAX16)
    tail = _read(path, descriptor, tail_start, file_size - tail_start)
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if at + _END.size <= len(tail):
            end = _END.unpack_from(tail, at)
            if at + _END.size + end[7] == len(tail):
                break
        at = tail.rfind(b"PK\5\6", 0, at)
    else:
        raise ZipRefused(path, None, "it has no end record: it is no zip, or it is truncated")
    _, disk, directory_disk, disk_entries, entries, size, start, _ = end
    end_at = tail_start + at
    locator_at = end_at - _END64_LOCATOR.size
    locator = _read(path, descriptor, locator_at, _END64_LOCATOR.size) if locator_at >= 0 else b""
    wide = locator[:4] == b"PK\6\7"
    if wide:
        _, locator_disk, end64_start, disks = _END64_LOCATOR.unpack(locator)
        end_at, record = _find_end64(path, descriptor, end64_start, locator_at)
        _, _, _, _, disk, directory_disk, disk_entries, entries, size, start = record
        if locator_disk or disks > 1:
            raise ZipRefused(path, None, "it is one part of an archive on several disks")
    elif disk == directory_disk == _MAX16:
        raise ZipRefused(path, None, "its zip64 end record is missing: it is truncated")
    if disk or directory_disk or disk_entries != entries:
        raise ZipRefused(path, None, "it is one part of an archive on several disks")
    shift = end_at - size - start
    if shift < 0:
        raise ZipRefused(path, None, "its directory lies outside the file: it is truncated")
    return start + shift, size, entries, shift


def _find_end64(path: Path, descriptor: int, start: int, locator_at: int) -> tuple[int, tuple[int, ...]]:
    """The zip64 end record: where it says, or just before its locator if something was put before the zip."""
    for at in (start, locator_at - _END64.size):
        if 0 <= at <= locator_at - _END64.size:
            record = _END64.unpack(_read(path, descriptor, at, _END64.size))
            if record[0] == b"PK\6\6" and at + 12 + record[1] == locator_at:
                return at, record
    raise ZipRefused(path, None, "its zip64 end record is not where its locator says")


def _parse(path: Path, directory: bytes, shift: int, count: int, start: int) -> list[Member]:
    members: list[Member] = []
    at, length = 0, len(directory)
    while at < length:
        if length - at < _ENTRY.size or directory[at : at + 4] != b"PK\1\2":
            raise ZipRefused(path, None, f"its directory is damaged after {len(members)} members")
        # fmt: off
        (_, _, _, flags, method, time, date, crc, packed, size, name_length, extra_length, comment_length,
         disk, _, attributes, offset) = _ENTRY.unpack_from(directory, at)
        # fmt: on
        raw_at = at + _ENTRY.size
        at = raw_at + name_length + extra_length + comment_length
        if at > length:
            raise ZipRefused(path, None, f"its directory is damaged after {len(members)} members")
        raw = directory[raw_at : raw_at + name_length]
        extra_at = raw_at + name_length
        extra = read_extra(directory[extra_at : extra_at + extra_length]) if extra_length else {}
        if extra is None:
            raise ZipRefused(path, raw.decode("utf-8", "replace"), "its extra fields are damaged")
        try:
            name = decode_name(raw, bool(flags & _UTF8), extra)
        except UnicodeDecodeError:
            reason = "its name is said to be UTF-8 and is none"
            raise ZipRefused(path, raw.decode("utf-8", "replace"), reason) from None
        if _MAX32 in (size, packed, offset) or disk == _MAX16:
            wide = _widened(extra, (size, _MAX32), (packed, _MAX32), (offset, _MAX32), (disk, _MAX16))
            if wide is None:
                raise ZipRefused(path, name, "its zip64 field is missing or too short")
            size, packed, offset, disk = wide
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
            date << 16 | time,
            utc_time(extra),
        )
        if why := _why_refused(member, disk, attributes >> 16):
            raise ZipRefused(path, name, why)
        members.append(member)
    # Writers without zip64 let the count overflow.
    if len(members) != count and (count > _MAX16 or len(members) & _MAX16 != count):
        raise ZipRefused(path, None, f"it says that it has {count} members, and lists {len(members)}")
    return members


def read_extra(data: bytes) -> dict[int, bytes] | None:
    """The extra fields by their kind, the first of each; None where they do not fit their space."""
    fields: dict[int, bytes] = {}
    at = 0
    # Up to three bytes of padding are left alone: Android's zipalign makes them.
    while at + 4 <= len(data):
        kind, length = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 4], "little")
        at += 4
        if at + length > len(data):
            return None
        fields.setdefault(kind, data[at : at + length])
        at += length
    return fields


def _widened(extra: Mapping[int, bytes], *values: tuple[int, int]) -> list[int] | None:
    """The values, each that is its greatest possible one replaced by what the zip64 field has for it, in order."""
    field, at, wide = extra.get(_ZIP64_FIELD, b""), 0, []
    for value, greatest in values:
        width = 8 if greatest == _MAX32 else 4
        if value != greatest:
            wide.append(value)
            continue
        if at + width > len(field):
            return None
        wide.append(int.from_bytes(field[at : at + width], "little"))
        at += width
    return wide


def utc_time(extra: Mapping[int, bytes]) -> int | None:
    """The modification time of the extended-timestamp field, in seconds since 1970, if there is one."""
    field = extra.get(_TIMES_FIELD, b"")
    if len(field) >= 5 and field[0] & 1:  # noqa: PLR2004
        return int.from_bytes(field[1:5], "little", signed=True)
    return None


def _why_refused(member: Member, disk: int, mode: int) -> str | None:
    if unsafe := why_unsafe(member.name):
        return unsafe
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


def _check_names(path: Path, members: list[Member]) -> None:
    if found := conflict(member.name for member in members):
        raise ZipRefused(path, *found)


def _check_amount(path: Path, members: list[Member], file_size: int, limits: Limits) -> None:
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
    """A local header is not what the directory says of it; the message says how."""


def content_start(member: Member, header: memoryview) -> int:
    """How far behind the member's offset its content begins. ``header`` is what the file has from there on.

    :raises HeaderMismatch: if the local header is another one than the directory's, or not all in ``header``.
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
    if method != member.method or (flags ^ member.flags) & (_ENCRYPTED | _PATCHED | DESCRIPTOR_FOLLOWS):
        raise HeaderMismatch("its local header has another compression than the directory")
    if _MAX32 in (packed, size):
        extra = read_extra(bytes(header[name_end:start]))
        wide = _widened(extra or {}, (size, _MAX32), (packed, _MAX32))
        if wide is None:
            raise HeaderMismatch("the zip64 field of its local header is missing or too short")
        size, packed = wide
    unknown_yet = flags & DESCRIPTOR_FOLLOWS
    for here, there, what in ((crc, member.crc, "CRC"), (packed, member.packed, "size"), (size, member.size, "size")):
        if here != there and not (unknown_yet and here == 0):
            raise HeaderMismatch(f"its local header has another {what} than the directory")
    return start
