"""The records of a zip: where its directory is and what it contains, read by ranges from a disk or from S3.

What belongs here: the end records, the walk through the directory's entries in little memory, and extra fields
(PKWARE's APPNOTE 6.3.10: 4.3.12, 4.3.14 to 4.3.16, 4.5). What does not: whether what an entry says is safe
(``zip_directory``), and the sum of the sizes (``zip_sizes``). Both read through this module, so that room is promised
for the very files that are then unpacked.
"""

from __future__ import annotations

import shlex
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ao_workflows.errors import ZipRefused

MAX16 = 0xFFFF
MAX32 = 0xFFFFFFFF

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")

_ZIP64_FIELD = 0x0001
_4_GIB = 1 << 32

_WINDOW = 4 << 20
"""Bytes of the directory that are read at once; one entry has at most 192 KiB."""

_LOOK_BACK = 4 << 20
"""As far from the end of what is no zip it is looked for why."""

ReadRange = Callable[[int, int], bytes]
"""The bytes from the first number to before the second, all of them."""

DirectoryEntry = tuple[int, int, int, int, int, int, int, int, int, int, bytes, bytes]
"""Version made by, flags, method, time, CRC, packed size, size, disk, attributes, offset, name, extra fields: as the
directory has them, the time with its date in the upper half. A tuple, since a zip may have a million."""


@dataclass(frozen=True)
class Directory:
    """Where the directory begins, its bytes, and the number of its entries, as the zip's end record says.

    ``shift`` is the number of bytes that were put before the zip.
    """

    start: int
    size: int
    entries: int
    shift: int


def find_directory(read: ReadRange, size: int, path: Path) -> Directory:
    """Finds the directory of a zip.

    :param size: the zip's bytes; ``path`` names it in errors.
    :raises ZipRefused: if it has none, or it is not certain which is its directory.
    """
    tail_start = max(0, size - _END.size - MAX16)
    tail = read(tail_start, size)
    ends = list(_ends(tail))
    fitting = [at for at, follow in ends if not follow]
    if len(fitting) > 1:
        places = " and ".join(str(tail_start + at) for at in fitting)
        raise ZipRefused(
            path,
            None,
            f"it has {len(fitting)} end records, at bytes {places}, one in the comment of the other: which of them is "
            f"the zip's is not certain. Make the zip again, without a comment",
        )
    if not fitting:
        raise ZipRefused(path, None, _why_no_end(read(max(0, size - _LOOK_BACK), size), size, path))
    return _directory_before(read, path, tail_start + fitting[0], _END.unpack_from(tail, fitting[0]))


def _ends(tail: bytes) -> Iterator[tuple[int, int]]:
    """Each end record that is whole in the tail: its place, and how many bytes follow it and its comment."""
    at = tail.find(b"PK\5\6")
    while 0 <= at <= len(tail) - _END.size:
        after = len(tail) - (at + _END.size + int.from_bytes(tail[at + _END.size - 2 : at + _END.size], "little"))
        if after >= 0:
            yield at, after
        at = tail.find(b"PK\5\6", at + 1)


def _why_no_end(tail: bytes, size: int, path: Path) -> str:
    for at, after in _ends(tail):
        _, _, _, _, _, length, start, _ = _END.unpack_from(tail, at)
        # Where a zip is cut off, the end record of one inside it may be the last; that one does not begin the file.
        if start + length == size - len(tail) + at or MAX32 in (start, length):
            cut = f"truncate -s {size - after} {shlex.quote(path.name)}"
            return (
                f"{after} bytes follow its end record: something was added to it, or filled it up. If they mean "
                f"nothing, take them off ({cut}), see whether ao bag validate takes the rest, and have that uploaded"
            )
    return "it has no end record: it is no zip, or it is truncated"


def _directory_before(read: ReadRange, path: Path, end_at: int, end: tuple[int, ...]) -> Directory:
    """The directory that an end record at ``end_at`` names."""
    _, *narrow, _ = end
    locator_at = end_at - _END64_LOCATOR.size
    locator = read(locator_at, end_at) if locator_at >= 0 else b""
    is_wide = locator[:4] == b"PK\6\7"
    disk, directory_disk, disk_entries, entries, size, start = narrow
    if is_wide:
        _, locator_disk, end64_start, disks = _END64_LOCATOR.unpack(locator)
        end_at, record = _find_end64(read, path, end64_start, locator_at)
        wide = record[4:]
        if locator_disk or disks > 1:
            raise ZipRefused(path, None, "it is one part of an archive on several disks")
        for here, there, most in zip(narrow, wide, (MAX16,) * 4 + (MAX32,) * 2, strict=True):
            if here not in (most, there & most):
                raise ZipRefused(path, None, "its end record and its zip64 end record do not say the same")
        disk, directory_disk, disk_entries, entries, size, start = wide
    elif disk == directory_disk == MAX16:
        raise ZipRefused(path, None, "its zip64 end record is missing: it is truncated")
    if disk or directory_disk or disk_entries != entries:
        raise ZipRefused(path, None, "it is one part of an archive on several disks")
    shift = end_at - size - start
    if shift < 0:
        raise ZipRefused(path, None, "its directory lies outside the file: it is truncated")
    if shift and not is_wide and shift % _4_GIB == 0 and read(0, 4) == b"PK\3\4":
        raise ZipRefused(
            path,
            None,
            f"it has more than 4 GiB and no zip64 records: every place in it is given without its multiples of 4 GiB, "
            f"and sizes may be. The Finder of macOS (Archive Utility) and ditto write such zips. Make it again with "
            f"7-Zip, or in a terminal with: zip -r {shlex.quote(path.name)} FOLDER",
        )
    return Directory(start + shift, size, entries, shift)


def _find_end64(read: ReadRange, path: Path, start: int, locator_at: int) -> tuple[int, tuple[int, ...]]:
    """The zip64 end record: where it says, or just before its locator if something was put before the zip."""
    for at in (start, locator_at - _END64.size):
        if 0 <= at <= locator_at - _END64.size:
            record = _END64.unpack(read(at, at + _END64.size))
            if record[0] == b"PK\6\6" and at + 12 + record[1] == locator_at:
                return at, record
    raise ZipRefused(path, None, "its zip64 end record is not where its locator says")


def counted(read: ReadRange, directory: Directory, path: Path) -> Directory:
    """Returns the directory with the true number of its entries, where that in the end record may have overflowed.

    :raises ZipRefused: as ``walk``.
    """
    if _most_entries(directory) == directory.entries:
        return directory
    return replace(directory, entries=sum(1 for _ in walk(read, directory, path)))


def _most_entries(directory: Directory) -> int:
    """Writers without zip64 let the count overflow: there may be more entries, if they fit."""
    if directory.entries > MAX16:
        return directory.entries
    return directory.entries + max(0, directory.size // _ENTRY.size - directory.entries) // (MAX16 + 1) * (MAX16 + 1)


def walk(read: ReadRange, directory: Directory, path: Path) -> Iterator[DirectoryEntry]:
    """Reads each entry of the directory, in its order.

    :raises ZipRefused: if the directory does not consist of as many entries as the end record says; at the first one
        that is too many.
    """
    most = _most_entries(directory)
    number, at, end, window, position = 0, directory.start, directory.start + directory.size, b"", 0
    unpack, head = _ENTRY.unpack_from, _ENTRY.size
    # An entry is whole in the window where the longest there can be is, or the directory ends in it.
    longest = head + 3 * MAX16
    while at < end or position < len(window):
        if at < end:
            until = min(end, at + _WINDOW)
            window, position = window[position:] + read(at, until), 0
            at = until
        length = len(window)
        last = length - 1 if at == end else length - longest
        while position <= last:
            if length - position < head or window[position : position + 4] != b"PK\1\2":
                raise ZipRefused(path, None, f"its directory is damaged after {number} members")
            # fmt: off
            (_, made_by, _, flags, method, time, date, crc, packed, size, name_length, extra_length, comment_length,
             disk, _, attributes, offset) = unpack(window, position)
            # fmt: on
            name_at = position + head
            extra_at = name_at + name_length
            position = extra_at + extra_length + comment_length
            if position > length:
                raise ZipRefused(path, None, f"its directory is damaged after {number} members")
            number += 1
            if number > most:
                raise ZipRefused(path, None, f"it says that it has {directory.entries} members, and lists more")
            yield (
                made_by,
                flags,
                method,
                date << 16 | time,
                crc,
                packed,
                size,
                disk,
                attributes,
                offset,
                window[name_at:extra_at],
                window[extra_at : extra_at + extra_length] if extra_length else b"",
            )
    if number != directory.entries and (directory.entries > MAX16 or number & MAX16 != directory.entries):
        raise ZipRefused(path, None, f"it says that it has {directory.entries} members, and lists {number}")


def read_extra(data: bytes) -> dict[int, bytes] | None:
    """Returns the extra fields by their kind, the first of each; None if they do not fit into their space."""
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


def widened(extra: Mapping[int, bytes], *values: tuple[int, int]) -> list[int] | None:
    """Returns the values, with each that has its greatest possible value replaced by the one in the zip64 field.

    Returns None if that field is missing or too short.

    :param values: each value and its greatest possible one, in the order of the field.
    """
    field, at, wide = extra.get(_ZIP64_FIELD, b""), 0, []
    for value, greatest in values:
        width = 8 if greatest == MAX32 else 4
        if value != greatest:
            wide.append(value)
            continue
        if at + width > len(field):
            return None
        wide.append(int.from_bytes(field[at : at + width], "little"))
        at += width
    return wide
