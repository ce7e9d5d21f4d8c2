"""A member's modification time: the moment in one of its extra fields, or the local time in its header.

What belongs here: reading both. What does not: the records that they are in (``zip_records``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

_SECOND = 1_000_000_000

_UNIX_TIMES = 0x5455
_NTFS_TIMES = 0x000A
_OLD_UNIX_TIMES = (0x5855, 0x000D)

_FILETIME_OF_1970 = 116_444_736_000_000_000
"""NTFS counts 100 ns since 1601."""

_EARLIEST = int(datetime(1902, 1, 1, tzinfo=UTC).timestamp()) * _SECOND
_LATEST = int(datetime(2446, 1, 1, tzinfo=UTC).timestamp()) * _SECOND
"""What every file system of Linux's can hold: a time beyond is none."""


def utc_time(extra: Mapping[int, bytes]) -> int | None:
    """Returns the moment in ns since 1970 from a member's extra fields; None if none of them has it.

    Info-ZIP's extended timestamp (0x5455) goes first; then NTFS's (0x000A, of 7-Zip and Windows; APPNOTE 4.5.5); then
    Info-ZIP's old one (0x5855, of macOS) and PKWARE's like it (0x000D; APPNOTE 4.5.7): last access, then modification.
    """
    if (field := extra.get(_UNIX_TIMES)) and len(field) >= 5 and field[0] & 1:  # noqa: PLR2004
        return int.from_bytes(field[1:5], "little", signed=True) * _SECOND
    if (field := extra.get(_NTFS_TIMES)) and (moment := _of_ntfs(field)) is not None:
        return moment
    for kind in _OLD_UNIX_TIMES:
        if (field := extra.get(kind)) and len(field) >= 8:  # noqa: PLR2004
            return int.from_bytes(field[4:8], "little", signed=True) * _SECOND
    return None


def _of_ntfs(field: bytes) -> int | None:
    """From NTFS's field: four bytes of nothing, then attributes, each with its kind and length; the first has times."""
    at = 4
    while at + 4 <= len(field):
        kind, length = int.from_bytes(field[at : at + 2], "little"), int.from_bytes(field[at + 2 : at + 4], "little")
        at += 4
        if kind == 1 and length >= 8 and at + length <= len(field):  # noqa: PLR2004
            moment = (int.from_bytes(field[at : at + 8], "little") - _FILETIME_OF_1970) * 100
            return moment if _EARLIEST <= moment < _LATEST else None
        at += length
    return None


def local_time(dos_time: int, time_zone: tzinfo | None) -> int:
    """Returns the moment in ns since 1970 of a local time.

    A time that does not exist, as some tools write, counts as the earliest that a zip can have, 1980-01-01.

    :param dos_time: as a header packs it, with the date in the upper half.
    :param time_zone: the machine's own if None.
    """
    date, clock = dos_time >> 16, dos_time & 0xFFFF
    try:
        # fmt: off
        local = datetime(1980 + (date >> 9), date >> 5 & 15, date & 31,
                         clock >> 11, clock >> 5 & 63, (clock & 31) * 2, tzinfo=time_zone)
        # fmt: on
    except ValueError:
        local = datetime(1980, 1, 1, tzinfo=time_zone)
    return int(local.timestamp()) * _SECOND
