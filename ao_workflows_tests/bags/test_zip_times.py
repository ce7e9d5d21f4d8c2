"""A member's time: the moment that an extra field has, or the local time of its header."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ao_workflows.bags.debagging import debag
from ao_workflows_tests.support.debagging import right_entries
from ao_workflows_tests.support.zip_bytes import (
    NOON,
    Entry,
    bag_files,
    entries_of,
    extra_field,
    write_zip,
)


def test_times_come_from_the_utc_field_before_the_local_time(tmp_path: Path) -> None:
    """A page dated by the time zone of the machine that restores it is dated wrongly."""
    files = bag_files({"exact": b"x", "local": b"y"})
    moment = 1_000_000_007
    times = extra_field(0x5455, b"\1" + struct.pack("<l", moment))
    entries = [
        Entry(f"W1.bag/{path}", data, extra=times if path == "data/exact" else b"") for path, data in files.items()
    ]
    path = write_zip(tmp_path / "W1.bag.zip", entries)
    debag(path, tmp_path / "out", time_zone=ZoneInfo("Asia/Seoul"))
    assert (tmp_path / "out/W1/exact").stat().st_mtime == moment
    noon = datetime(2020, 6, 15, 12, tzinfo=ZoneInfo("Asia/Seoul"))
    assert (tmp_path / "out/W1/local").stat().st_mtime == noon.timestamp()
    assert noon.timestamp() == datetime(2020, 6, 15, 3, tzinfo=UTC).timestamp(), NOON


MOMENT = 1_622_853_000
"""2021-06-05 00:30 UTC."""


NTFS = struct.pack("<LHH3Q", 0, 1, 24, MOMENT * 10_000_000 + 116_444_736_000_000_000 + 5, 0, 0)


OLD_UNIX = struct.pack("<2l", 7, MOMENT)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (extra_field(0x000A, NTFS), MOMENT * 10**9 + 500),
        (extra_field(0x5855, OLD_UNIX), MOMENT * 10**9),
        (extra_field(0x000D, OLD_UNIX + bytes(4)), MOMENT * 10**9),
        (extra_field(0x000A, NTFS) + extra_field(0x5455, b"\1" + struct.pack("<l", 5)), 5 * 10**9),
        (extra_field(0x5855, OLD_UNIX) + extra_field(0x000A, NTFS), MOMENT * 10**9 + 500),
        (extra_field(0x000A, bytes(4) + struct.pack("<HHL", 9, 4, 1) + NTFS[4:]), MOMENT * 10**9 + 500),
        (extra_field(0x5455, b"\2" + bytes(4)) + extra_field(0x5855, OLD_UNIX), MOMENT * 10**9),
        (extra_field(0x5855, struct.pack("<2l", 0, -86_400)), -86_400 * 10**9),
    ],
    ids=["7-Zip", "Mac", "PKWARE", "two, the better first", "two, turned", "not the first attribute", "read", "1969"],
)
def test_utc_times_of_every_tool_are_read(tmp_path: Path, extra: bytes, expected: int) -> None:
    """7-Zip's and a Mac's pages were dated by the time zone of the machine that restored them."""
    path = write_zip(tmp_path / "W1.bag.zip", [replace(entry, extra=extra) for entry in right_entries()])
    debag(path, tmp_path / "out", time_zone=ZoneInfo("Asia/Seoul"))
    assert (tmp_path / "out/W1/sources/note.txt").stat().st_mtime_ns == expected


@pytest.mark.parametrize(
    "extra",
    [
        extra_field(0x000A, bytes(32)),
        extra_field(0x000A, b"\xff" * 32),
        extra_field(0x000A, struct.pack("<LHH3Q", 0, 1, 24, 2**64 - 1, 0, 0)),
        extra_field(0x000A, struct.pack("<LHHL", 0, 1, 24, 7)),
        extra_field(0x000A, b""),
        extra_field(0x5855, b"1234567"),
    ],
    ids=["zeros", "ones", "beyond every calendar", "cut off", "empty", "short"],
)
def test_a_utc_time_that_is_none_gives_way_to_the_local_time(tmp_path: Path, extra: bytes) -> None:
    """A page of the year 60056 would be refused by the archive's file system, or dated anywhere."""
    path = write_zip(tmp_path / "W1.bag.zip", [replace(entry, extra=extra) for entry in right_entries()])
    debag(path, tmp_path / "out", time_zone=UTC)
    noon = datetime(2020, 6, 15, 12, tzinfo=UTC)
    assert (tmp_path / "out/W1/sources/note.txt").stat().st_mtime == noon.timestamp()


def test_a_date_that_is_none_counts_as_the_earliest(tmp_path: Path) -> None:
    """Some tools write zeros; a whole bag must not be lost for a date."""
    path = write_zip(tmp_path / "W1.bag.zip", entries_of(bag_files({"x": b""})))
    content = path.read_bytes().replace(struct.pack("<2H", *NOON), bytes(4))
    path.write_bytes(content)
    debag(path, tmp_path / "out", time_zone=UTC)
    assert (tmp_path / "out/W1/x").stat().st_mtime == datetime(1980, 1, 1, tzinfo=UTC).timestamp()
