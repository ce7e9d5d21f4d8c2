"""Debagging in a test: a zip unpacked, or refused with nothing left behind.

What belongs here: what the tests of several of the modules that read zips ask for. What does not: making the zips
(``zip_bytes``).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from ao_workflows.bags.debagging import DebaggedZip, debag, validate
from ao_workflows.bags.zip_directory import ZipLimits
from ao_workflows.errors import BagInvalid, Problem, ZipRefused
from ao_workflows_tests.support.zip_bytes import Entry, bag_files, entries_of, write_zip, zip_bytes

PAYLOAD = {"images/W1-I1/W1-I10001.jpg": b"one page", "sources/note.txt": b"a note"}


def right_entries() -> list[Entry]:
    """The members of a small bag with which nothing is wrong."""
    return entries_of(bag_files(PAYLOAD))


def bytes_debagged(folder: Path, content: bytes, *, limits: ZipLimits | None = None, threads: int = 2) -> DebaggedZip:
    """Writes the zip into the folder and debags it to ``out`` beside it."""
    zip_path = folder / "W1.bag.zip"
    zip_path.write_bytes(content)
    return debag(zip_path, folder / "out", limits=limits, threads=threads)


def debagged(folder: Path, entries: Iterable[Entry]) -> DebaggedZip:
    """The same, of members."""
    return bytes_debagged(folder, zip_bytes(entries))


def bytes_refused(folder: Path, content: bytes, *, limits: ZipLimits | None = None) -> ZipRefused:
    """The refusal of a zip; nothing but the zip may be left in the folder."""
    with pytest.raises(ZipRefused) as caught:
        bytes_debagged(folder, content, limits=limits)
    assert [path.name for path in folder.iterdir()] == ["W1.bag.zip"], "something was left behind"
    return caught.value


def refused(folder: Path, entries: Iterable[Entry]) -> ZipRefused:
    """The same, of members."""
    return bytes_refused(folder, zip_bytes(entries))


def invalid(folder: Path, entries: Iterable[Entry]) -> BagInvalid:
    """What is wrong with a zip's bags; nothing but the zip may be left in the folder."""
    with pytest.raises(BagInvalid) as caught:
        debagged(folder, entries)
    assert [path.name for path in folder.iterdir()] == ["W1.bag.zip"], "something was left behind"
    return caught.value


PAGES = {"a": b"page a", "b": b"page b", "c": b"page c"}


def as_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def problems_of(folder: Path, files: dict[str, bytes]) -> list[Problem]:
    """What is wrong with a bag of these files, which must be the same in a zip and in a folder."""
    zipped = validate(write_zip(folder / "W1.bag.zip", entries_of(files)))
    (folder / "W1.bag/data").mkdir(parents=True)
    in_folder = validate(as_folder(folder / "W1.bag", files))

    def key(problem: Problem) -> tuple[str, str, str]:
        return problem.kind, problem.path.removeprefix("W1.bag/"), problem.algorithm

    assert sorted(map(key, zipped.problems)) == sorted(map(key, in_folder.problems))
    return list(zipped.problems)


def kinds(problems: list[Problem]) -> set[tuple[str, str]]:
    return {(problem.kind, problem.path.removeprefix("W1.bag/")) for problem in problems}
