"""How much room a zip's files take when they are unpacked, from the directory at its end alone.

What belongs here: walking that directory through a reader of ranges, in little memory. What does not: whether the
zip is sound or safe, which is found out when it is unpacked.

The fields are those of PKWARE's APPNOTE.TXT 6.3: 4.3.12 (central directory), 4.3.14 to 4.3.16 (its end), 4.5.3
(the zip64 extra field).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END_IS_WITHIN = _END.size + 0xFFFF + _LOCATOR_64.size
_WINDOW = 4 << 20
_IN_ZIP64 = 0xFFFFFFFF
_BLOCK_ON_DISK = 4096

ReadRange = Callable[[int, int], bytes]
"""The bytes from the first number to before the second."""


@dataclass(frozen=True)
class UnpackedSize:
    """What is in a zip: the number of its ``files``, and their ``bytes``."""

    files: int
    bytes: int

    @property
    def on_disk(self) -> int:
        """The bytes that the files take on a disk: the last block of each is half empty, and a folder takes one."""
        return self.bytes + self.files * _BLOCK_ON_DISK


def unpacked_size(read: ReadRange, size: int) -> UnpackedSize | None:
    """The unpacked size of a zip of ``size`` bytes; None where it has no directory that can be read."""
    try:
        start, length = _directory(read, size)
        files = total = 0
        for unpacked in _sizes(read, start, start + length):
            files += 1
            total += unpacked
    except (struct.error, ValueError):
        return None
    return UnpackedSize(files, total)


def _directory(read: ReadRange, size: int) -> tuple[int, int]:
    """Where the directory begins, and its length."""
    from_ = max(0, size - _END_IS_WITHIN)
    tail = read(from_, size)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise ValueError("no end of a directory")
    _, _, _, _, _, length, start, _ = _END.unpack_from(tail, at)
    locator = at - _LOCATOR_64.size
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        where = _LOCATOR_64.unpack_from(tail, locator)[2]
        end = _END_64.unpack(read(where, where + _END_64.size))
        if end[0] != b"PK\x06\x06":
            raise ValueError("no zip64 end of a directory")
        length, start = end[8], end[9]
    if start + length > from_ + at:
        raise ValueError("the directory is not where it should be")
    return start, length


def _sizes(read: ReadRange, at: int, end: int) -> Iterator[int]:
    """The unpacked size of each member, read by the window."""
    window = b""
    while at < end or window:
        if len(window) < _ENTRY.size + 3 * 0xFFFF and at < end:
            until = min(end, at + _WINDOW)
            window += read(at, until)
            at = until
        position = 0
        # An entry is whole in the window where the longest there can be is, or the directory ends in it.
        while position < len(window) and (at == end or position + _ENTRY.size + 3 * 0xFFFF <= len(window)):
            fields = _ENTRY.unpack_from(window, position)
            if fields[0] != b"PK\x01\x02":
                raise ValueError("no entry of a directory")
            unpacked, name, extra, comment = fields[9:13]
            body = position + _ENTRY.size + name
            yield _in_zip64(window[body : body + extra]) if unpacked == _IN_ZIP64 else unpacked
            position = body + extra + comment
        window = window[position:]


def _in_zip64(extra: bytes) -> int:
    """The unpacked size in the zip64 extra field, where it comes first."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            size: int = struct.unpack_from("<Q", extra, at + 4)[0]
            return size
        at += 4 + length
    raise ValueError("no zip64 extra field")
