"""The one pass: what is inflated, hashed, checked and written, and that it is done once."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ao_workflows.bags.debagging import debag
from ao_workflows.errors import StagingError
from ao_workflows_tests.support.debagging import PAYLOAD, debagged, invalid, refused, right_entries
from ao_workflows_tests.support.zip_bytes import (
    DEFLATED,
    Entry,
    bag_files,
    deflated,
    entries_of,
    extra_field,
    write_zip,
)

SIZES = [0, 1, 2047, 2048, 65_535, (1 << 20) - 200, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_500_000]


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - to fill files


@pytest.mark.parametrize("method", [0, DEFLATED])
@pytest.mark.parametrize("threads", [1, 3])
def test_contents_of_every_size_come_out_whole(tmp_path: Path, method: int, threads: int) -> None:
    """The edges of the reader's buffer are where bytes are lost or doubled."""
    payload = {f"{size}.bin": noise(size) for size in SIZES}
    path = write_zip(
        tmp_path / "W1.bag.zip", entries_of(bag_files(payload, algorithms=("md5", "sha512")), method=method)
    )
    done = debag(path, tmp_path / "out", threads=threads)
    assert {name: (tmp_path / "out/W1" / name).read_bytes() for name in payload} == payload
    by_path = {file.path: file for file in done.files}
    for name, content in payload.items():
        assert by_path[name].size == len(content)
        assert by_path[name].digests == {it: hashlib.new(it, content).hexdigest() for it in ("md5", "sha512")}


def test_a_member_with_a_very_long_local_header_is_read(tmp_path: Path) -> None:
    """The header's length is known only once it is read; a fixed allowance for it would cut the page's beginning."""
    files = bag_files({"x": noise(5000)})
    entries = [
        Entry(f"W1.bag/{path}", data, local_extra=extra_field(0x4141, bytes(60_000))) for path, data in files.items()
    ]
    debagged(tmp_path, entries)
    assert (tmp_path / "out/W1/x").read_bytes() == noise(5000)


@pytest.mark.parametrize("method", [0, DEFLATED])
def test_a_crc_that_disagrees_is_told_for_every_member_that_has_it(tmp_path: Path, method: int) -> None:
    """The digest may be right where the zip is damaged, and one damaged member must not hide the next."""
    files = bag_files({"a": b"first", "b": b"second", "c": b"third"})
    entries = [
        Entry(f"W1.bag/{path}", data, method, crc=1 if path in ("data/a", "data/c") else None)
        for path, data in files.items()
    ]
    error = invalid(tmp_path, entries)
    assert [(it.path, it.algorithm, it.expected) for it in error.problems] == [
        ("W1.bag/data/a", "crc32", "00000001"),
        ("W1.bag/data/c", "crc32", "00000001"),
    ]


def test_a_member_that_inflates_to_more_than_it_says_is_refused_at_once(tmp_path: Path) -> None:
    """The limits hold for what is really inflated: a bomb declares a few bytes."""
    files = bag_files({**PAYLOAD, "x": bytes(100)})
    bomb = Entry("W1.bag/data/x", bytes(100), DEFLATED, content=deflated(bytes(50_000_000)))
    error = refused(tmp_path, [bomb if it.name == bomb.name else it for it in entries_of(files)])
    assert error.member == "W1.bag/data/x"
    assert "inflates to more than the 100 bytes" in error.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (deflated(b"short"), "inflates to 5 bytes"),
        (deflated(bytes(100))[:-3], "inflates to"),
        (deflated(bytes(100)) + b"more", "bytes follow"),
        (b"\xff" * 40, "cannot be inflated"),
        (b"", "inflates to 0 bytes"),
    ],
    ids=["too little", "cut off", "more behind", "no deflate", "nothing"],
)
def test_compressed_content_that_is_damaged_is_told(tmp_path: Path, content: bytes, reason: str) -> None:
    """Half a page is not a page."""
    files = bag_files({**PAYLOAD, "x": bytes(100)})
    bad = Entry("W1.bag/data/x", bytes(100), DEFLATED, content=content)
    error = invalid(tmp_path, [bad if it.name == bad.name else it for it in entries_of(files)])
    (problem,) = error.problems
    assert problem.path == "W1.bag/data/x"
    assert reason in problem.reason


def test_every_byte_that_follows_in_large_compressed_content_is_seen(tmp_path: Path) -> None:
    """Content behind the first read of the compressed bytes must not be passed over."""
    data = noise(3_000_000)
    files = bag_files({"x": data})
    bad = Entry("W1.bag/data/x", data, DEFLATED, content=deflated(data) + bytes(2_000_000))
    error = invalid(tmp_path, [bad if it.name == bad.name else it for it in entries_of(files)])
    assert "bytes follow" in error.problems[0].reason


def test_folders_have_their_times_too(tmp_path: Path) -> None:
    """Set before the files are written, they would all be of today."""
    path = tmp_path / "W1.bag.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in bag_files({"images/a": b"x"}).items():
            archive.writestr(f"W1.bag/{name}", content)
        archive.writestr(zipfile.ZipInfo("W1.bag/data/images/", (2001, 2, 3, 4, 5, 6)), b"")
    debag(path, tmp_path / "out", time_zone=UTC)
    moment = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert (tmp_path / "out/W1/images").stat().st_mtime == moment.timestamp()


def test_no_member_is_read_twice_and_no_file_is_read_again(tmp_path: Path) -> None:
    """Reading again is what made the present tool slow, and what lies on the disk by then may be other bytes."""
    payload = {f"{number}.bin": noise(300_000) for number in range(20)} | {"large": noise(5_000_000)}
    path = write_zip(tmp_path / "W1.bag.zip", entries_of(bag_files(payload)))
    program = """
import json, os, sys
from pathlib import Path
opened, read = [], 0
def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        opened.append((os.fsdecode(args[0]), args[2]))
sys.addaudithook(watch)
from ao_workflows.bags import debagging as bags
really = os.preadv
def counted(descriptor, buffers, offset):
    global read
    got = really(descriptor, buffers, offset)
    read += got
    return got
os.preadv = counted
opened.clear()
bags.debag(Path(sys.argv[1]), Path(sys.argv[2]), threads=2)
print(json.dumps([opened, read]))
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(path), str(tmp_path / "out")], capture_output=True, text=True, check=True
    )
    opened, read = eval(run.stdout, {"null": None})  # noqa: S307 - what the program above printed
    for_reading = [name for name, flags in opened if not flags & os.O_WRONLY and not flags & os.O_DIRECTORY]
    inside = [name for name in for_reading if str(tmp_path) in name or name.endswith((".bin", ".txt", "large"))]
    assert inside == [str(path)]
    assert read <= path.stat().st_size


def test_a_zip_that_cannot_be_read_is_the_disks_fault_and_not_the_zips(tmp_path: Path) -> None:
    """A bag quarantined for a disk's failure would be asked of Glacier again for nothing."""
    with pytest.raises(StagingError, match=r"gone\.zip"):
        debag(tmp_path / "gone.zip", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_error_on_one_thread_ends_the_others_and_is_raised(tmp_path: Path) -> None:
    """A thread that dies in silence would leave a file out."""
    files = bag_files({f"{number}": noise(200_000) for number in range(40)})
    entries = entries_of(files)
    entries[20] = Entry(entries[20].name, entries[20].data, local_name=entries[20].raw.replace(b"data", b"atad"))
    assert "another name" in refused(tmp_path, entries).reason


def test_progress_is_told_up_to_all_the_bytes(tmp_path: Path) -> None:
    """A bar that stops at 93 % looks like a hang."""
    told: list[tuple[int, int]] = []
    path = write_zip(tmp_path / "W1.bag.zip", right_entries())
    debag(path, tmp_path / "out", progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == sum(len(entry.data) for entry in right_entries())
    assert told == sorted(told)
