"""Where a zip's directory is: one reader, for the zip that is unpacked and for the room that is promised to it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ao_workflows.bags import zip_records
from ao_workflows.bags.debagging import debag
from ao_workflows.bags.zip_records import find_directory, walk
from ao_workflows.bags.zip_sizes import UnpackedSize, unpacked_size
from ao_workflows.errors import ZipRefused
from ao_workflows_tests.support.debagging import PAYLOAD, bytes_debagged, bytes_refused, right_entries
from ao_workflows_tests.support.zip_bytes import MAX32, Entry, end_record, entries_of, zip_bytes

ENTRIES = right_entries()
WHOLE = UnpackedSize(len(ENTRIES), sum(len(entry.data) for entry in ENTRIES))
_4_GIB = 1 << 32


def from_s3(content: bytes) -> ZipRefused:
    """The refusal of a zip that is read by ranges."""
    with pytest.raises(ZipRefused) as caught:
        find_directory(lambda start, end: content[start:end], len(content), Path("W1.bag.zip"))
    return caught.value


def test_an_end_record_in_the_comment_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    """The last one was taken for the zip's, so that no room was promised, and the zip filled the disk."""
    content = zip_bytes(ENTRIES, comment=b"made by hand " + end_record(comment=7) + b" and signed")
    assert unpacked_size(lambda start, end: content[start:end], len(content)) == WHOLE
    assert bytes_debagged(tmp_path, content).works[0].files == len(PAYLOAD)


@pytest.mark.parametrize("zip64", [False, True])
def test_two_end_records_that_fit_are_refused_in_the_same_words_by_both(tmp_path: Path, zip64: bool) -> None:
    """One reader sees an empty zip, the other the work: whichever is right, they must not be taken for the same."""
    content = zip_bytes(ENTRIES, comment=b"hello" + end_record(comment=3) + b"abc", zip64_end=zip64)
    reason = bytes_refused(tmp_path, content).reason
    assert "2 end records" in reason
    assert from_s3(content).reason == reason
    assert unpacked_size(lambda start, end: content[start:end], len(content)) is None


fakes = st.builds(
    end_record,
    entries=st.integers(0, 3),
    size=st.integers(0, 400),
    start=st.integers(0, 400),
    comment=st.integers(0, 60),
)


@settings(max_examples=200, derandomize=True)
@given(comment=st.lists(fakes | st.binary(max_size=30), max_size=4).map(b"".join), before=st.binary(max_size=30))
def test_the_room_is_that_of_the_zip_that_is_unpacked_whatever_its_comment_is(
    tmp_path_factory: pytest.TempPathFactory, comment: bytes, before: bytes
) -> None:
    """Two readers of one zip are two opinions of what is in it."""
    content = zip_bytes(ENTRIES, comment=comment, before=before)
    found = unpacked_size(lambda start, end: content[start:end], len(content))
    folder = tmp_path_factory.mktemp("zip")
    (folder / "W1.bag.zip").write_bytes(content)
    try:
        debag(folder / "W1.bag.zip", folder / "out")
    except ZipRefused:
        assert found is None
    else:
        assert found == WHOLE


@pytest.mark.parametrize("more", [b"\0\0", b"\n", bytes(70_000)], ids=["two zeros", "a line's end", "a block"])
@pytest.mark.parametrize("zip64", [False, True])
def test_bytes_after_the_end_record_are_counted_and_the_way_out_is_told(
    tmp_path: Path, more: bytes, zip64: bool
) -> None:
    """ "It is no zip, or it is truncated" sent people to look for what was not missing."""
    content = zip_bytes(ENTRIES, comment=b"signed", zip64_end=zip64)
    reason = bytes_refused(tmp_path, content + more).reason
    assert reason.startswith(f"{len(more)} bytes follow its end record")
    assert f"truncate -s {len(content)} W1.bag.zip" in reason
    assert from_s3(content + more).reason == reason
    (tmp_path / "cut").mkdir()
    assert bytes_debagged(tmp_path / "cut", (content + more)[: len(content)]).works[0].files == len(PAYLOAD)


def test_a_zip_in_a_zip_that_is_cut_off_is_not_taken_for_what_was_added_to(tmp_path: Path) -> None:
    """Its end record is whole and bytes follow it, but the zip that was uploaded has none."""
    inner = zip_bytes(right_entries())
    content = zip_bytes([*ENTRIES, Entry("W1.bag/data/inner.zip", inner)])
    cut = content[: content.index(inner) + len(inner) + 10]
    assert "truncated" in bytes_refused(tmp_path, cut).reason


def test_two_end_records_of_two_formats_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    """A reader without zip64 would see another directory."""
    content = zip_bytes(ENTRIES, zip64_end=True)
    assert unpacked_size(lambda start, end: content[start:end], len(content)) == WHOLE
    content = content[:-22] + end_record(entries=1, size=MAX32, start=MAX32)
    assert "do not say the same" in bytes_refused(tmp_path, content).reason


def finder_zip(path: Path) -> Path:
    """A zip of over 4 GiB as macOS's Archive Utility writes it: every number without its multiples of 4 GiB. Most of
    it is a hole.
    """
    large = _4_GIB + 4096
    local = struct.Struct("<4s5H3L2H")
    entry = struct.Struct("<4s6H3L5H2L")
    names = ["W1.bag/data/large", *(str(made.name) for made in entries_of({"bagit.txt": b""})[1:])]
    directory = b""
    with path.open("wb") as out:
        for number, name in enumerate(names):
            raw, size = name.encode(), 0 if number else large
            # fmt: off
            directory += entry.pack(b"PK\1\2", 789, 20, 0, 0, 0, 33, 0, size % _4_GIB, size % _4_GIB, len(raw), 0, 0, 0,
                                    0, 0o100644 << 16, out.tell() % _4_GIB) + raw
            # fmt: on
            out.write(local.pack(b"PK\3\4", 20, 0, 0, 0, 33, 0, size % _4_GIB, size % _4_GIB, len(raw), 0) + raw)
            out.seek(size, 1)
        start = out.tell()
        out.write(directory + end_record(len(names), len(directory), start % _4_GIB))
    return path


def test_a_finders_zip_over_4_gib_is_refused_with_how_to_make_it_again(tmp_path: Path) -> None:
    """ "It lies outside the file" made people upload the same zip again, and ask Glacier for it."""
    path = finder_zip(tmp_path / "W1.bag.zip")
    with pytest.raises(ZipRefused) as caught:
        debag(path, tmp_path / "out")
    for words in ("4 GiB", "no zip64", "Finder", "7-Zip", "zip -r W1.bag.zip"):
        assert words in caught.value.reason
    with path.open("rb") as stream:

        def read(start: int, end: int) -> bytes:
            stream.seek(start)
            return stream.read(end - start)

        assert unpacked_size(read, path.stat().st_size) is None


def test_the_directory_is_read_in_windows_whatever_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A work of a million files has a directory of 100 MB, which is not held in memory; an entry must not be cut."""
    entries = [Entry(f"{number:0{number % 50 + 1}}", extra=bytes(number % 4)) for number in range(300)]
    content, reads = zip_bytes(entries), []

    def read(start: int, end: int) -> bytes:
        reads.append(end - start)
        return content[start:end]

    directory = find_directory(read, len(content), Path("x"))
    for window in (1, 46, 1000, 10_000):
        monkeypatch.setattr(zip_records, "_WINDOW", window)
        reads.clear()
        assert [entry[10] for entry in walk(read, directory, Path("x"))] == [entry.raw for entry in entries]
        assert max(reads) <= window
