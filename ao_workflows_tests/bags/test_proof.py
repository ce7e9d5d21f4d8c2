"""The proof of bags and works: what each turned out to be, and the digests of every file that was written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ao_workflows.bags.debagging import debag, validate
from ao_workflows.bags.proof import prove_folder
from ao_workflows.errors import BagInvalid
from ao_workflows_tests.support.debagging import as_folder, debagged, right_entries
from ao_workflows_tests.support.zip_bytes import Entry, bag_files, entries_of, write_zip


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_each_file_that_is_written_is_listed_with_the_digests_of_its_manifest(tmp_path: Path) -> None:
    """What is not listed is not looked for in the archive."""
    done = debagged(tmp_path, entries_of(bag_files({"a": b"one"}, algorithms=("md5", "sha256"))))
    page = next(file for file in done.files if file.path == "a")
    assert page.digests == {"md5": hashlib.md5(b"one").hexdigest(), "sha256": sha256(b"one")}  # noqa: S324
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert {f"{file.work}/{file.path}" for file in done.files} == written
    (work,) = done.works
    assert (work.files, work.bytes, work.algorithms, work.proven, work.tags) == (
        1,
        3,
        ("md5", "sha256"),
        True,
        "W1.bag",
    )


def test_a_file_that_no_manifest_vouches_for_is_listed_with_what_was_found(tmp_path: Path) -> None:
    """The copy in the archive is compared with something, and nobody takes it for the bag's word."""
    done = debagged(tmp_path, [Entry("W1/images/a.jpg", b"page")])
    (file,), (work,) = done.files, done.works
    assert (file.path, file.digests) == ("images/a.jpg", {"sha256": sha256(b"page")})
    assert (work.rid, work.proven, work.tags, work.algorithms) == ("W1", False, "", ("sha256",))


def test_one_damaged_file_hides_no_other_bag_s_problems(tmp_path: Path) -> None:
    """A person mends a zip once: all of it must be told."""
    bad, other = bag_files({"a": b"one"}), bag_files({"b": b"two"})
    bad["data/a"], other["data/b"] = b"oNe", b"tWo"
    path = write_zip(tmp_path / "W1.bag.zip", [*entries_of(bad, "W1.bag"), *entries_of(other, "W2.bag")])
    with pytest.raises(BagInvalid) as caught:
        debag(path, tmp_path / "out")
    assert {problem.path for problem in caught.value.problems} == {"W1.bag/data/a", "W2.bag/data/b"}


def test_a_crc_that_is_not_the_zip_s_is_a_problem_though_the_manifest_agrees(tmp_path: Path) -> None:
    """The zip was damaged after it was made, or made wrong: either way it is not the one that was put there."""
    entries = [
        Entry(it.name, it.data, crc=1) if it.name == "W1.bag/data/sources/note.txt" else it for it in right_entries()
    ]
    (problem,) = validate(write_zip(tmp_path / "W1.bag.zip", entries)).problems
    assert (problem.path, problem.algorithm, problem.expected) == ("W1.bag/data/sources/note.txt", "crc32", "00000001")


def test_progress_counts_what_was_read_before_the_payload_too(tmp_path: Path) -> None:
    """The manifests of a million files are read first: a bar that began behind them would stand still."""
    told: list[tuple[int, int]] = []
    path = write_zip(tmp_path / "W1.bag.zip", right_entries())
    debag(path, tmp_path / "out", progress=lambda done, total: told.append((done, total)))
    total = sum(len(entry.data) for entry in right_entries())
    assert told[-1] == (total, total)


def test_a_folder_is_judged_by_what_it_holds_and_twins_are_told(tmp_path: Path) -> None:
    """Names that differ in case alone are one file on some of the disks that a bag passes."""
    folder = as_folder(tmp_path / "W1.bag", bag_files({"a": b"1", "A": b"2"}))
    found = prove_folder(folder, 2, None)
    (work,) = found.works
    assert (work.rid, work.files, work.proven, work.tags) == ("W1", 2, True, "W1.bag")
    assert found.problems == []
    assert any("data/a" in line and "data/A" in line for line in found.warnings)
