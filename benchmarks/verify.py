"""The proof that the archive holds a work: against ``bagit``'s validation of the same bytes, all in the page cache."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import bagit

from ao_workflows.fixity.trees import FileFixity, compare_tree, files_beside, read_fixity, write_fixity
from benchmarks.bag_zips import images
from benchmarks.measure import Result, at_least, at_most, seconds_in_turn

ROUNDS = 3


def run() -> list[Result]:
    """Needs some 2.5 GB of room for a while where temporary files go (TMPDIR)."""
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        return [
            *_compared(Path(folder) / "large", 2000, 1_000_000, "2 GB in 2,000 files"),
            *_compared(Path(folder) / "small", 20_000, 20_000, "400 MB in 20,000 files"),
        ]


def _compared(place: Path, count: int, size: int, name: str) -> list[Result]:
    bag = _bag(place / "W1", count, size)
    listed = place / "fixity.jsonl"
    write_fixity(listed, _files(bag))
    ours, one, two = seconds_in_turn(
        ROUNDS,
        partial(_ours, place / "W1", listed),
        partial(_bagit, place / "W1", 1),
        partial(_bagit, place / "W1", 2),
    )
    return [
        at_least(f"{name}: bagit, one process", ours, one, "s", 1.8),
        at_most(f"{name}: bagit, two processes", ours, two, "s", 1.1),
    ]


def _bag(place: Path, count: int, size: int) -> bagit.Bag:
    for number, content in enumerate(images(count, size)):
        path = place / f"images/W1-I{number // 500:04}/W1-I{number // 500:04}{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return bagit.make_bag(str(place), checksums=["sha512"])


def _files(bag: bagit.Bag) -> list[FileFixity]:
    return [
        FileFixity("W1", path, (Path(bag.path) / path).stat().st_size, digests) for path, digests in bag.entries.items()
    ]


def _ours(place: Path, listed: Path) -> None:
    """As ``synced_archive`` does it, the list of fixity read from the disk and what is extra looked for."""
    assert not compare_tree(place, ((file.path, file) for file in read_fixity(listed)), "checksum")
    names = {file.path for file in read_fixity(listed)}
    assert set(files_beside(place, names)) <= {"tagmanifest-sha512.txt"}


def _bagit(place: Path, processes: int) -> None:
    assert bagit.Bag(str(place)).validate(processes=processes)
