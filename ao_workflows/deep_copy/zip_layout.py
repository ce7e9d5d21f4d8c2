"""The layout of a zip whose members are stored and whose sizes are known: every byte's place, before any is read.

What belongs here: the records of such a zip (PKWARE's APPNOTE 6.3.10: 4.3.7, 4.3.9, 4.3.12, 4.3.14 to 4.3.16, 4.5.3),
and their sizes. What does not: which members there are (``ao_workflows.deep_copy.bag_stream``), and reading zips
(``ao_workflows.bags``).

A file's CRC is known only once it was read, so it follows the file's bytes (bit 3 of the flags). Nothing in the records
depends on the moment at which they are written.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass

_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_VERSION, _VERSION64 = 20, 45
_MADE_BY_UNIX = 3 << 8
_FILE, _FOLDER = 0o100644 << 16, 0o40755 << 16 | 0x10
_CRC_FOLLOWS, _UTF8 = 1 << 3, 1 << 11
_ZIP64, _UNIX_TIME = 0x0001, 0x5455
_FIRST_YEAR, _LAST_YEAR = 1980, 2107

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member to write: its name, which ends with ``/`` for a folder, its bytes, and its time in ns since 1970."""

    name: str
    size: int
    modified_ns: int

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, which has no bytes."""
        return self.name.endswith("/")


def local_header(member: ZipMember) -> bytes:
    """Returns what stands before a member's bytes."""
    name, extra = member.name.encode(), _time_field(member)
    size = 0
    if _is_wide(member.size):
        extra = struct.pack("<2H2Q", _ZIP64, 16, 0, 0) + extra
        size = _MAX32
    version = _VERSION64 if _is_wide(member.size) else _VERSION
    moment = _dos_time(member.modified_ns)
    head = _LOCAL.pack(
        b"PK\3\4", version, _flags(member), 0, moment & _MAX16, moment >> 16, 0, size, size, len(name), len(extra)
    )
    return head + name + extra


def after_bytes(member: ZipMember, crc: int) -> bytes:
    """Returns what stands behind a member's bytes: their CRC and size; nothing for a folder."""
    if member.is_folder:
        return b""
    return struct.pack("<4sL2Q" if _is_wide(member.size) else "<4s3L", b"PK\7\x08", crc, member.size, member.size)


def stored_size(member: ZipMember) -> int:
    """Returns the bytes that a member takes, with what stands before and behind its own."""
    return len(local_header(member)) + member.size + len(after_bytes(member, 0))


def directory_entry(member: ZipMember, crc: int, start: int) -> bytes:
    """Returns a member's entry in the directory.

    :param start: where its local header begins.
    """
    name, extra, size, place = member.name.encode(), _time_field(member), member.size, start
    wide = []
    if _is_wide(size):
        wide, size = [size, size], _MAX32
    if _is_wide(place):
        wide, place = [*wide, place], _MAX32
    if wide:
        extra = struct.pack(f"<2H{len(wide)}Q", _ZIP64, 8 * len(wide), *wide) + extra
    version = _VERSION64 if wide else _VERSION
    moment = _dos_time(member.modified_ns)
    # fmt: off
    head = _ENTRY.pack(
        b"PK\1\2", _MADE_BY_UNIX | version, version, _flags(member), 0, moment & _MAX16, moment >> 16, crc, size, size,
        len(name), len(extra), 0, 0, 0, _FOLDER if member.is_folder else _FILE, place)
    # fmt: on
    return head + name + extra


def directory_end(entries: int, start: int, size: int) -> bytes:
    """Returns the records at the zip's end.

    :param entries: how many entries the directory has; it begins at ``start`` and has ``size`` bytes.
    """
    wide = b""
    if entries >= _MAX16 or _is_wide(start) or _is_wide(size):
        wide = _END64.pack(
            b"PK\6\6", _END64.size - 12, _MADE_BY_UNIX | _VERSION64, _VERSION64, 0, 0, entries, entries, size, start
        ) + _LOCATOR.pack(b"PK\6\7", 0, start + size, 1)
    count = min(entries, _MAX16)
    return wide + _END.pack(b"PK\5\6", 0, 0, count, count, min(size, _MAX32), min(start, _MAX32), 0)


def _is_wide(number: int) -> bool:
    return number >= _MAX32


def _flags(member: ZipMember) -> int:
    return (0 if member.is_folder else _CRC_FOLLOWS) | (0 if member.name.isascii() else _UTF8)


def _time_field(member: ZipMember) -> bytes:
    """The moment in UTC (Info-ZIP's extended timestamp), which the local time beside it does not say."""
    seconds = member.modified_ns // 1_000_000_000
    if not -(1 << 31) <= seconds < 1 << 31:
        return b""
    return struct.pack("<2HBl", _UNIX_TIME, 5, 1, seconds)


def _dos_time(modified_ns: int) -> int:
    """The local time as a header packs it, with the date in the upper half; the nearest that a zip can have."""
    local = time.localtime(modified_ns // 1_000_000_000)
    if local.tm_year < _FIRST_YEAR:
        return 1 << 21 | 1 << 16
    if local.tm_year > _LAST_YEAR:
        return (127 << 9 | 12 << 5 | 31) << 16 | 23 << 11 | 59 << 5 | 29
    date = local.tm_year - _FIRST_YEAR << 9 | local.tm_mon << 5 | local.tm_mday
    return date << 16 | local.tm_hour << 11 | local.tm_min << 5 | min(local.tm_sec, 59) // 2
