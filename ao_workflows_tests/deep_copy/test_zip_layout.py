"""The records of a zip that is written in one go: other tools read it, also where its sizes need zip64."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path

import pytest

from ao_workflows.bags.memory import Memory
from ao_workflows.bags.zip_directory import ZipLimits, read_directory
from ao_workflows.deep_copy.zip_layout import (
    ZipMember,
    after_bytes,
    directory_end,
    directory_entry,
    local_header,
    stored_size,
)

GIB = 1 << 30


def test_python_reads_what_is_stored() -> None:
    """The archive's present tool unpacks with Python's zipfile."""
    members = [ZipMember("W1.bag/", 0, 10**18), ZipMember("W1.bag/དཔེ།.txt", 5, 10**18)]
    out, entries = b"", b""
    for member in members:
        content = b"hello" * (not member.is_folder)
        entries += directory_entry(member, zlib.crc32(content), len(out))
        out += local_header(member) + content + after_bytes(member, zlib.crc32(content))
    assert len(out) == sum(map(stored_size, members))
    with zipfile.ZipFile(io.BytesIO(out + entries + directory_end(2, len(out), len(entries)))) as found:
        assert found.testzip() is None
        assert [each.filename for each in found.infolist()] == [member.name for member in members]
        assert found.read("W1.bag/དཔེ།.txt") == b"hello"
        assert found.infolist()[0].is_dir()


@pytest.mark.parametrize("size", [4 * GIB - 2, 4 * GIB - 1, 5 * GIB])
def test_sizes_and_places_beyond_four_gib_are_read(tmp_path: Path, size: int) -> None:
    """A group of large scans is larger; its zip is sparse here, with holes for bytes."""
    path = tmp_path / "W1.zip"
    large, small = ZipMember("W1/large", size, 10**18), ZipMember("W1/small", 1, 10**18)
    at = stored_size(large)
    entries = directory_entry(large, 0, 0) + directory_entry(small, zlib.crc32(b"x"), at)
    with path.open("wb") as out:
        out.write(local_header(large))
        out.seek(size, os.SEEK_CUR)
        out.write(after_bytes(large, 0))
        assert out.tell() == at
        out.write(local_header(small) + b"x" + after_bytes(small, zlib.crc32(b"x")))
        end = out.tell()
        out.write(entries + directory_end(2, end, len(entries)))
    with zipfile.ZipFile(path) as found:
        assert [each.file_size for each in found.infolist()] == [size, 1]
        assert found.read("W1/small") == b"x"
    with path.open("rb") as zipped:
        ours = read_directory(path, zipped.fileno(), ZipLimits(ratio=10**9), Memory(path, 64))
    assert [(member.size, member.offset) for member in ours] == [(size, 0), (1, at)]


def test_more_members_than_the_old_record_can_count() -> None:
    """A group has that many pages now and then."""
    count = 70_000
    member = ZipMember("a", 0, 10**18)
    out = local_header(member) + after_bytes(member, 0)
    entries = directory_entry(member, 0, 0) * count
    with zipfile.ZipFile(io.BytesIO(out + entries + directory_end(count, len(out), len(entries)))) as found:
        assert len(found.infolist()) == count


@pytest.mark.parametrize("seconds", [-(10**9), 0, 1_700_000_001, 3 * 10**9, 10**10])
def test_a_time_is_the_moment_in_utc_as_far_as_the_field_goes(tmp_path: Path, seconds: int) -> None:
    """The local time beside it counts in steps of two seconds, and means another moment elsewhere."""
    path, member = tmp_path / "W1.zip", ZipMember("W1/a", 0, seconds * 10**9 + 5)
    out = local_header(member) + after_bytes(member, 0)
    entry = directory_entry(member, 0, 0)
    path.write_bytes(out + entry + directory_end(1, len(out), len(entry)))
    with path.open("rb") as zipped:
        (found,) = read_directory(path, zipped.fileno(), ZipLimits(), Memory(path, 64))
    expected = seconds * 10**9 if -(1 << 31) <= seconds < 1 << 31 else None
    assert found.utc_time == expected
    with zipfile.ZipFile(path) as read:
        assert 1980 <= read.infolist()[0].date_time[0] <= 2107
