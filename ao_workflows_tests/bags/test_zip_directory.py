"""A zip's directory: whatever it says of which no safe unpacking can come is refused."""

from __future__ import annotations

import stat
import struct
from pathlib import Path

import pytest

from ao_workflows.bags.zip_directory import ZipLimits
from ao_workflows_tests.support.debagging import (
    PAYLOAD,
    bytes_debagged,
    bytes_refused,
    debagged,
    refused,
    right_entries,
)
from ao_workflows_tests.support.zip_bytes import (
    DEFLATED,
    MAX32,
    Entry,
    bag_files,
    deflated,
    entries_of,
    extra_field,
    zip_bytes,
)


def with_member(entry: Entry) -> list[Entry]:
    """A right bag, with one more payload file that its manifest knows, as ``entry`` has it."""
    assert isinstance(entry.name, str)
    files = bag_files({**PAYLOAD, entry.name.removeprefix("W1.bag/data/"): entry.data})
    return [entry if made.name == entry.name else made for made in entries_of(files)]


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, 0o150000], ids=oct
)
def test_links_devices_and_other_special_files_are_refused(tmp_path: Path, kind: int) -> None:
    """A link unpacked first, and a file through it second, is how zips write outside of their folder."""
    error = refused(tmp_path, with_member(Entry("W1.bag/data/x", b"/etc/passwd", mode=kind | 0o777)))
    assert error.member == "W1.bag/data/x"
    assert ("symbolic link" if kind == stat.S_IFLNK else "neither a file nor a folder") in error.reason


@pytest.mark.parametrize("flag", [1 << 0, 1 << 0 | 1 << 6, 1 << 13], ids=["old", "strong", "masked directory"])
def test_an_encrypted_member_is_refused(tmp_path: Path, flag: int) -> None:
    """Its bytes would be kept as if they were the page."""
    error = refused(tmp_path, with_member(Entry("W1.bag/data/x", b"x", flags=flag)))
    assert error.member == "W1.bag/data/x"
    assert "encrypted" in error.reason


@pytest.mark.parametrize("method", [1, 9, 12, 14, 93, 99])
def test_a_compression_that_is_not_known_is_refused(tmp_path: Path, method: int) -> None:
    """Compressed bytes must not be taken for the page."""
    error = refused(tmp_path, with_member(Entry("W1.bag/data/x", b"x", method=method, content=b"?")))
    assert error.member == "W1.bag/data/x"
    assert f"method {method}" in error.reason


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    """An error page saved as a zip is the commonest bad download."""
    for content in (b"", b"x", b"<html>" * 100_000):
        assert "no zip" in bytes_refused(tmp_path, content).reason


def test_a_zip_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    """A download that broke off must never pass for a shorter bag."""
    whole = zip_bytes(right_entries())
    for length in range(0, len(whole), 7):
        bytes_refused(tmp_path, whole[:length])


def test_a_zip_that_lacks_bytes_in_its_middle_is_refused(tmp_path: Path) -> None:
    """The end record alone is no proof that all is there."""
    whole = zip_bytes(right_entries())
    bytes_refused(tmp_path, whole[:100] + whole[200:])


@pytest.mark.parametrize("disk", [1, 2, 0xFFFF])
def test_one_part_of_an_archive_on_several_disks_is_refused(tmp_path: Path, disk: int) -> None:
    """The rest of it is elsewhere."""
    reason = bytes_refused(tmp_path, zip_bytes(right_entries(), disk=disk)).reason
    assert "several disks" in reason or "truncated" in reason


def test_a_member_on_another_disk_is_refused(tmp_path: Path) -> None:
    """Its bytes are not in this file, whatever lies at its offset."""
    assert "another disk" in refused(tmp_path, with_member(Entry("W1.bag/data/x", b"x", disk=3))).reason


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """The zip bomb that expands 28 million times has thousands of members over the same compressed bytes."""
    zeros = deflated(bytes(10_000))
    first = Entry("W1.bag/data/a", bytes(10_000), DEFLATED, content=zeros)
    second = Entry("W1.bag/data/b", bytes(10_000), DEFLATED, content=b"", packed=len(zeros), offset=0)
    error = refused(tmp_path, [first, second, *right_entries()])
    assert "overlap" in error.reason
    assert error.member in ("W1.bag/data/a", "W1.bag/data/b")


def test_a_member_whose_long_local_header_reaches_into_the_next_is_refused(tmp_path: Path) -> None:
    """Overlap can hide in the local header's extra field, whose length the directory does not have."""
    inner = zip_bytes([Entry("W1.bag/data/b", b"inner")])
    local = inner[: inner.index(b"PK\1\2")]
    outer = Entry("W1.bag/data/a", b"", local_extra=extra_field(0x4141, local), content=b"", packed=0)
    start = 30 + len("W1.bag/data/a") + 4
    hidden = Entry("W1.bag/data/b", b"inner", offset=start)
    error = refused(tmp_path, [outer, hidden, *right_entries()])
    assert "overlap" in error.reason or "directory" in error.reason


@pytest.mark.parametrize("offset", [10**6, MAX32 - 1], ids=["behind the end", "far off"])
def test_a_member_outside_the_file_is_refused(tmp_path: Path, offset: int) -> None:
    """There is nothing there to read."""
    error = refused(tmp_path, with_member(Entry("W1.bag/data/x", b"x", offset=offset)))
    assert error.member == "W1.bag/data/x"
    assert "outside" in error.reason


def test_a_member_that_reaches_into_the_directory_is_refused(tmp_path: Path) -> None:
    """The directory's bytes are no page."""
    last = Entry("W1.bag/data/x", b"x", packed=4000, size=4000)
    error = refused(tmp_path, [*right_entries(), last])
    assert error.member == "W1.bag/data/x"


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (Entry("W1.bag/data/x", b"x", local_name=b"W1.bag/data/y"), "name"),
        (Entry("W1.bag/data/x", b"x", local_method=DEFLATED), "compression"),
        (Entry("W1.bag/data/x", b"x", local_size=7), "size"),
        (Entry("W1.bag/data/x", b"x", local_crc=7), "CRC"),
        (Entry("W1.bag/data/x", b"x", offset=1), "overlap"),
    ],
    ids=["name", "method", "size", "CRC", "offset"],
)
def test_a_local_header_that_says_other_than_the_directory_is_refused(tmp_path: Path, entry: Entry, what: str) -> None:
    """Two readers of such a zip see two different bags."""
    assert what in refused(tmp_path, with_member(entry)).reason


def test_a_stored_member_with_two_sizes_is_refused(tmp_path: Path) -> None:
    """Stored is as long inside as outside."""
    error = refused(tmp_path, with_member(Entry("W1.bag/data/x", b"xyz", size=2)))
    assert error.member == "W1.bag/data/x"


def test_extra_fields_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Where they end is where the content begins."""
    error = refused(tmp_path, with_member(Entry("W1.bag/data/x", b"x", extra=struct.pack("<2H", 1, 900))))
    assert "extra" in error.reason


def test_more_members_bytes_or_ratio_than_allowed_are_refused(tmp_path: Path) -> None:
    """A bomb fills the scratch disk, on which every other work is waiting."""
    files = entries_of(bag_files({"zeros": bytes(1_000_000)}), method=DEFLATED)
    content = zip_bytes(files)
    assert "members" in bytes_refused(tmp_path, content, limits=ZipLimits(members=4)).reason
    assert "bytes" in bytes_refused(tmp_path, content, limits=ZipLimits(bytes=10_000)).reason
    assert "100 to 1" in bytes_refused(tmp_path, content).reason
    assert bytes_debagged(tmp_path, content, limits=ZipLimits(ratio=10_000)).bytes == 1_000_000


def test_a_directory_that_counts_other_members_than_it_has_is_refused(tmp_path: Path) -> None:
    """Some members would be there for one reader and not for another."""
    entries = right_entries()
    assert "lists" in bytes_refused(tmp_path, zip_bytes(entries, count=len(entries) - 1)).reason


def test_a_zip_with_other_bytes_before_it_and_a_comment_behind_is_read(tmp_path: Path) -> None:
    """Self-extracting zips have a program before them, and some tools sign theirs with a comment."""
    for number, zip64 in enumerate((False, True)):
        folder = tmp_path / str(number)
        folder.mkdir()
        content = zip_bytes(
            right_entries(), before=b"MZ" + bytes(5000), comment=b"PK\5\6 made by hand", zip64_end=zip64
        )
        assert bytes_debagged(folder, content).works[0].files == len(PAYLOAD)


def test_zip64_sizes_and_offsets_are_read(tmp_path: Path) -> None:
    """Every bag over 4 GB has them; here they are small, and in the same fields."""
    content = b"wide"
    both = struct.pack("<2Q", len(content), len(content))
    field, local = extra_field(1, both + bytes(8)), extra_field(1, both)
    entry = Entry("W1.bag/data/x", content, size=MAX32, packed=MAX32, extra=field, local_extra=local, offset=MAX32)
    files = [made for made in with_member(Entry("W1.bag/data/x", content)) if made.name != entry.name]
    debagged(tmp_path, [entry, *files])
    assert (tmp_path / "out/W1/x").read_bytes() == content


def test_a_zip64_field_that_is_missing_or_short_is_refused(tmp_path: Path) -> None:
    """The size would be 4 GB less one byte, and the member all that follows."""
    for extra in (b"", extra_field(1, bytes(4))):
        assert "zip64" in refused(tmp_path, with_member(Entry("W1.bag/data/x", b"x", size=MAX32, extra=extra))).reason


def test_sizes_that_come_in_a_descriptor_after_the_content_are_taken_from_the_directory(tmp_path: Path) -> None:
    """What is zipped into a pipe has no sizes in its local headers."""
    descriptor = b"PK\7\x08" + bytes(12)
    plain = Entry("W1.bag/data/x", b"streamed", flags=1 << 3, local_size=0, local_crc=0, after=descriptor)
    debagged(tmp_path, with_member(plain))
    assert (tmp_path / "out/W1/x").read_bytes() == b"streamed"


def test_attributes_of_a_dos_host_have_no_mode(tmp_path: Path) -> None:
    """Old Windows tools leave chance in the upper half, which was read as that of a symbolic link (APPNOTE 4.4.15)."""
    files = [
        Entry(entry.name, entry.data, mode=0o120777 if number % 2 else 0o040755, host=(0, 10, 11, 14)[number % 4])
        for number, entry in enumerate(right_entries())
    ]
    debagged(tmp_path, files)
    assert (tmp_path / "out/W1/sources/note.txt").read_bytes() == b"a note"


@pytest.mark.parametrize("host", [3, 19], ids=["Unix", "macOS"])
def test_a_link_of_a_unix_host_is_refused_whichever_it_is(tmp_path: Path, host: int) -> None:
    """A Mac has another number than the rest."""
    error = refused(tmp_path, with_member(Entry("W1.bag/data/x", b"/etc/passwd", mode=0o120777, host=host)))
    assert "symbolic link" in error.reason


@pytest.mark.parametrize(("of_directory", "of_header"), [(8, 0), (0, 8)])
@pytest.mark.parametrize("method", [0, DEFLATED])
def test_a_local_header_that_differs_in_where_the_sizes_stand_alone_is_taken(
    tmp_path: Path, of_directory: int, of_header: int, method: int
) -> None:
    """Tools that rewrite a directory drop its bit 3; content, place and CRC are the same for all readers."""
    member = Entry(
        "W1.bag/data/x",
        b"streamed" * 50,
        method,
        flags=1 << 11 | of_directory,
        local_flags=1 << 11 | of_header,
        **({"local_size": 0, "local_crc": 0, "after": b"PK\7\x08" + bytes(12)} if of_header else {}),
    )
    debagged(tmp_path, with_member(member))
    assert (tmp_path / "out/W1/x").read_bytes() == b"streamed" * 50


def test_a_local_header_that_has_no_sizes_and_does_not_say_where_they_are_is_told_as_what_it_is(
    tmp_path: Path,
) -> None:
    """ "Another compression" was the reason given, and none of it was true: who reads on from the header sees an empty
    file.
    """
    member = Entry("W1.bag/data/x", b"streamed", flags=1 << 11 | 8, local_flags=1 << 11, local_size=0, local_crc=0)
    reason = refused(tmp_path, with_member(member)).reason
    assert "bit 3" in reason
    assert "zip -r" in reason


def test_a_member_that_is_encrypted_by_its_local_header_alone_is_refused_as_that(tmp_path: Path) -> None:
    """It has the same compression, which was the reason given."""
    reason = refused(tmp_path, with_member(Entry("W1.bag/data/x", b"x", local_flags=1 << 11 | 1))).reason
    assert "encrypted" in reason
