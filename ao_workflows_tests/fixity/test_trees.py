"""The list of what was bagged, and a tree read against it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from ao_workflows.fixity.trees import (
    FileFixity,
    compare_tree,
    files_beside,
    payload_counts,
    read_fixity,
    strongest,
    write_fixity,
)

CONTENT = {"images/1.jpg": b"one", "images/བསྟན 2.jpg": b"two\n", "empty": b"", "line\nfeed": b"x" * 3_000_000}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, content in CONTENT.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def bagged() -> Iterator[tuple[str, FileFixity]]:
    for name, content in CONTENT.items():
        digests = {"md5": hashlib.md5(content).hexdigest(), "sha256": hashlib.sha256(content).hexdigest()}  # noqa: S324
        yield name, FileFixity("W1", name, len(content), digests)


def found(tree: Path, how: Literal["checksum", "size"] = "checksum") -> list[tuple[str, str]]:
    return [(problem.path, problem.kind) for problem in compare_tree(tree, list(bagged()), how)]


def test_the_list_comes_back_as_it_was(tmp_path: Path) -> None:
    """A name that a line of JSON cannot hold would make two files of one, or none."""
    files = [file for _, file in bagged()]
    write_fixity(tmp_path / "fixity.jsonl", files)
    assert list(read_fixity(tmp_path / "fixity.jsonl")) == files
    assert len((tmp_path / "fixity.jsonl").read_bytes().splitlines()) == len(files)


def test_payload_is_all_but_what_lies_in_the_folder_of_the_bags_own_files() -> None:
    """A payload folder that is called nearly like that one, or like another work's, is payload."""
    names = ["W1.bag.1/bagit.txt", "W1.bag/bagit.txt", "W1.bag.10/a", "a", "W1.bag.1"]
    files = [FileFixity("W1", name, 10, {}) for name in names] + [FileFixity("W2", "W1.bag.1/x", 1, {})]
    assert payload_counts(files, {"W1": "W1.bag.1", "W2": ""}) == (6, {"W1": (4, 40), "W2": (1, 1)})
    assert payload_counts([], {"W1": "W1.bag"}) == (0, {"W1": (0, 0)})
    with pytest.raises(KeyError):
        payload_counts(files, {"W1": "W1.bag.1"})


def test_the_longest_digest_is_the_strongest() -> None:
    """Compared by MD5 where SHA-512 is known, a forged file would pass."""
    digests = {"md5": "0" * 32, "sha512": "0" * 128, "sha256": "0" * 64, "sha1": "0" * 40}
    assert strongest(digests) == "sha512"


def test_a_digest_is_the_whole_files(tmp_path: Path) -> None:
    """A file of several pieces must not be known by its first, nor by one of another file."""
    content = bytearray(os.urandom((2 << 20) + 5))
    (tmp_path / "large").write_bytes(content)
    (tmp_path / "small").write_bytes(b"small")
    files = [
        ("large", FileFixity("W1", "large", len(content), {"sha256": hashlib.sha256(content).hexdigest()})),
        ("small", FileFixity("W1", "small", 5, {"sha256": hashlib.sha256(b"small").hexdigest()})),
    ]
    assert compare_tree(tmp_path, files, "checksum") == []
    content[-1] ^= 1
    (tmp_path / "large").write_bytes(content)
    assert [problem.path for problem in compare_tree(tmp_path, files, "checksum")] == ["large"]


def test_a_tree_that_is_as_bagged_has_no_problem(tree: Path) -> None:
    """And what else is there is no business of the comparison's."""
    (tree / "more").write_text("more")
    assert found(tree) == found(tree, "size") == []


def test_a_changed_byte_is_found_by_checksum_and_not_by_size(tree: Path) -> None:
    """This is what the proof is for."""
    (tree / "images/1.jpg").write_bytes(b"onE")
    assert found(tree, "size") == []
    (problem,) = compare_tree(tree, list(bagged()), "checksum")
    assert (problem.path, problem.kind, problem.algorithm) == ("images/1.jpg", "checksum", "sha256")
    assert problem.expected == hashlib.sha256(b"one").hexdigest()
    assert problem.found == hashlib.sha256(b"onE").hexdigest()


def _longer(path: Path) -> None:
    path.write_bytes(b"one and more")


def _removed(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _below_a_file(path: Path) -> None:
    path.unlink()
    for other in path.parent.iterdir():
        other.unlink()
    path.parent.rmdir()
    path.parent.write_bytes(b"")


@pytest.mark.parametrize("how", ["checksum", "size"])
@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (_longer, "size"),
        (_removed, "missing"),
        (_folder, "structure"),
        (_link, "structure"),
        (_pipe, "structure"),
        (_below_a_file, "unreadable"),
    ],
)
def test_a_file_that_is_not_as_bagged_is_named(
    tree: Path, spoil: Callable[[Path], None], kind: str, how: Literal["checksum", "size"]
) -> None:
    """Every file that differs, once, in words; a pipe must not be waited for, nor a link be followed."""
    spoil(tree / "images/1.jpg")
    assert ("images/1.jpg", kind) in found(tree, how)


def test_every_problem_is_found_in_the_order_of_the_list(tree: Path) -> None:
    """A report with only the first of a thousand files is made anew a thousand times."""
    for name in CONTENT:
        (tree / name).unlink()
    assert found(tree) == [(name, "missing") for name in CONTENT]


def test_many_files_are_compared_on_any_number_of_threads(tmp_path: Path) -> None:
    """A result that depends on who reads first would be flaky proof."""
    files = []
    for number in range(300):
        content = str(number).encode()
        (tmp_path / str(number)).write_bytes(content)
        digests = {"sha256": hashlib.sha256(content if number % 100 else b"other").hexdigest()}
        files.append((str(number), FileFixity("W1", str(number), len(content), digests)))
    for threads in (1, 4):
        problems = compare_tree(tmp_path, list(files), "checksum", threads)
        assert [problem.path for problem in problems] == ["0", "100", "200"]


def test_few_files_are_taken_before_they_are_read(tmp_path: Path) -> None:
    """A work of a million files would lie in memory whole, digests and all."""
    taken, most = 0, 0
    content = b"x"
    (tmp_path / "x").write_bytes(content)
    digests = {"sha256": hashlib.sha256(content).hexdigest()}
    compared: list[str] = []

    class Watched(FileFixity):
        def __getattribute__(self, name: str) -> object:
            nonlocal most
            if name == "size":
                compared.append("")
                most = max(most, taken - len(compared))
            return super().__getattribute__(name)

    def files() -> Iterator[tuple[str, FileFixity]]:
        nonlocal taken
        for _ in range(5000):
            taken += 1
            yield "x", Watched("W1", "x", 1, digests)

    assert compare_tree(tmp_path, files(), "size", 2) == []
    assert len(compared) == 5000
    assert most < 500


def test_what_lies_beside_the_bagged_files_is_named(tree: Path) -> None:
    """Links and pipes too: whatever a reader of the archive would meet; and nothing behind a link."""
    assert list(files_beside(tree, CONTENT)) == []
    (tree / "images/more").write_bytes(b"")
    (tree / "deep/er").mkdir(parents=True)
    (tree / "deep/er/old").write_bytes(b"")
    (tree / "link").symlink_to(tree / "images")
    os.mkfifo(tree / "pipe")
    assert set(files_beside(tree, CONTENT)) == {"images/more", "deep/er/old", "link", "pipe"}
    assert list(files_beside(tree / "none", CONTENT)) == []
