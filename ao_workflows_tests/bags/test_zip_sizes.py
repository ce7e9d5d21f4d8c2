"""The unpacked size of a zip, from its directory: as Python's own reader finds it."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao_workflows.bags import zip_records
from ao_workflows.bags.zip_sizes import UnpackedSize, unpacked_size


def zipped(sizes: list[int], comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, size in enumerate(sizes):
            archive.writestr(f"W1.bag/data/{number}", b"\0" * size)
        archive.comment = comment
    return out.getvalue()


def measured(content: bytes) -> UnpackedSize | None:
    return unpacked_size(lambda start, end: content[start:end], len(content))


@given(sizes=st.lists(st.integers(0, 5000), max_size=20), comment=st.binary(max_size=100))
def test_files_and_bytes_are_those_of_the_directory(sizes: list[int], comment: bytes) -> None:
    """Too small a figure meets a full disk, too large a one waits for room that it does not need."""
    if b"PK\x05\x06" not in comment:
        assert measured(zipped(sizes, comment)) == UnpackedSize(len(sizes), sum(sizes))


def test_more_files_than_fit_the_old_format_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A work of 70,000 pages has a zip64 directory, and one that is larger than what is read at once."""
    monkeypatch.setattr(zip_records, "_WINDOW", 300_000)
    assert measured(zipped([3] * 70_000)) == UnpackedSize(70_000, 210_000)


def test_a_file_larger_than_4_gib_is_counted() -> None:
    """Its size is in the extra field; what stands in its place is the largest number of 32 bits."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"abc")
        archive.filelist[0].file_size = 5 << 30
    assert measured(out.getvalue()) == UnpackedSize(1, 5 << 30)


@pytest.mark.parametrize(
    "damage",
    [b"", b"no zip at all", b"PK\x05\x06", zipped([5])[:-3], zipped([5])[40:]],
    ids=["empty", "no zip at all", "an end alone", "cut off", "its beginning lost"],
)
def test_what_has_no_directory_has_no_size(damage: bytes) -> None:
    """The size is guessed then; the stage that unpacks says what is wrong."""
    assert measured(damage) is None


def test_each_file_takes_a_block_more_on_the_disk() -> None:
    """200,000 small files take 800 MB more than their bytes."""
    assert UnpackedSize(200_000, 1000).on_disk == 1000 + 200_000 * 4096
