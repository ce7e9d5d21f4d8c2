"""A part's bag as a stream: what other tools make of it, where it can begin again, and what stops it."""

from __future__ import annotations

import io
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from bag import bag_ops

from ao_workflows.bags.debagging import debag
from ao_workflows.deep_copy.bag_stream import read_bag
from ao_workflows.deep_copy.part_bag import FoundFile, PartBag
from ao_workflows.errors import DeepCopyError
from ao_workflows_tests.support.deep_copies import part_of, payload_of, tree_of, write_work

RANDOM = random.Random(4700)  # noqa: S311 - the same bytes each time
FILES = {
    "images/W1-I1/1.jpg": RANDOM.randbytes(70_000),
    "images/W1-I1/དཔེ་ཆ།.jpg": RANDOM.randbytes(3 << 20),
    "archive/W1-I1/a/1.tif": RANDOM.randbytes(1 << 20),
    "archive/W1-I1/a/2.tif": RANDOM.randbytes(2 << 20),
    "archive/W1-I1/empty.txt": b"",
}
PAYLOAD = {path: "W1-I1/{}/{}".format(path.split("/")[0], "/".join(path.split("/")[2:])) for path in sorted(FILES)}


@pytest.fixture
def bag(tmp_path: Path) -> PartBag:
    write_work(tmp_path / "W1", FILES)
    return PartBag(part_of(tmp_path / "W1", "W1-I1", PAYLOAD), {})


def read(bag: PartBag, place: Path, found: list[FoundFile] | None = None, start: int = 0) -> bytes:
    blocks = read_bag(bag, "W1", place, [] if found is None else found, start, lambda _found: None)
    return b"".join(map(bytes, blocks))


def turned(tree: dict[str, tuple[bytes, int]]) -> dict[str, tuple[bytes, int]]:
    return {PAYLOAD[path]: found for path, found in tree.items()}


def test_our_debag_takes_it_as_it_is(bag: PartBag, tmp_path: Path) -> None:
    """What is laid down so and cannot be taken back is lost, with its times too."""
    zipped = tmp_path / "W1-I1.bag.zip"
    zipped.write_bytes(content := read(bag, tmp_path / "W1"))
    assert len(content) == bag.size
    done = debag(zipped, tmp_path / "out")
    assert (done.works[0].files, done.works[0].proven) == (len(FILES), True)
    assert tree_of(tmp_path / "out" / "W1") == tree_of(tmp_path / "W1")


def test_the_archives_present_tool_takes_it(bag: PartBag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what the archive has to take works back with, until it has switched, and should it switch back."""
    zipped, out = tmp_path / "W1-I1.bag.zip", tmp_path / "theirs"
    out.mkdir()
    zipped.write_bytes(read(bag, tmp_path / "W1"))
    assert bag_ops.debag(str(zipped), str(out), True) == [out / "W1-I1"]
    theirs = tree_of(out / "W1-I1")
    ours = turned(tree_of(tmp_path / "W1"))
    # Its times are those of the zip's headers, which count in steps of two seconds.
    assert {path: (content, at // 2) for path, (content, at) in theirs.items()} == {
        path: (content, at // 2) for path, (content, at) in ours.items()
    }


def test_it_begins_again_at_any_byte(bag: PartBag, tmp_path: Path) -> None:
    """A killed upload goes on in the middle of a file, and its zip must be whole nevertheless."""
    found: list[FoundFile] = []
    whole = read(bag, tmp_path / "W1", found)
    assert zipfile.ZipFile(io.BytesIO(whole)).testzip() is None
    edges = [0, 1, len(bag.head), bag.starts[2], bag.starts[2] - 1, bag.starts[-1], bag.size - 1]
    for start in [*edges, *(RANDOM.randrange(bag.size) for _ in range(10))]:
        again = list(found)
        assert read(bag, tmp_path / "W1", again, start) == whole[start:]
        assert again == found


def test_its_files_are_read_once(bag: PartBag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive on a slow share would be read twice for each copy."""
    opened: list[str] = []
    really = os.open

    def noting(path: str | Path, *words: int, **others: int) -> int:
        opened.append(str(path))
        return really(path, *words, **others)

    monkeypatch.setattr(os, "open", noting)
    content = read(bag, tmp_path / "W1")
    assert sorted(opened) == sorted(str(tmp_path / "W1" / path) for path in FILES)
    assert payload_of(content, "W1-I1").keys() == set(PAYLOAD.values())


def _rot(path: Path) -> None:
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("name", ["images/W1-I1/1.jpg", "images/W1-I1/དཔེ་ཆ།.jpg"])
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_rot, "has another sha512 than was proven"),
        (lambda path: os.utime(path, (1, 1)), "was written to while the work was being copied"),
        (lambda path: path.write_bytes(b"other"), "was written to while the work was being copied"),
        (Path.unlink, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_not_what_was_proven_ends_it_before_its_last_byte(
    bag: PartBag, tmp_path: Path, spoil: Callable[[Path], object], why: str, name: str
) -> None:
    """Else the deep archive would have a rotten page, in a bag that is valid."""
    spoil(tmp_path / "W1" / name)
    given = 0
    with pytest.raises(DeepCopyError, match=why) as refused:
        for block in read_bag(bag, "W1", tmp_path / "W1", [], 0, lambda _found: None):
            given += len(block)
    assert refused.value.problems[0].path == name
    assert given < bag.starts[list(PAYLOAD).index(name) + 1]


def test_a_link_in_a_files_place_is_not_followed(bag: PartBag, tmp_path: Path) -> None:
    """What it leads to is not what the archive has."""
    path = tmp_path / "W1" / "images/W1-I1/1.jpg"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DeepCopyError, match="cannot be read"):
        read(bag, tmp_path / "W1")


def test_a_digest_of_another_kind_is_compared_too(tmp_path: Path) -> None:
    """A work that came in a bag of MD5s was proven by those."""
    write_work(tmp_path / "W1", {"a": b"a"})
    made = part_of(tmp_path / "W1", "W1", {"a": "W1/a"})
    (file,) = made.files
    right = file.__class__("a", "W1/a", 1, file.modified_ns, {"md5": "0cc175b9c0f1b6a831c399e269772661"})
    wrong = file.__class__("a", "W1/a", 1, file.modified_ns, {"md5": "1cc175b9c0f1b6a831c399e269772661"})
    found: list[FoundFile] = []
    read(PartBag(made.__class__("W1", [right]), {}), tmp_path / "W1", found)
    assert set(found[0].digests) == {"md5", "sha512"}
    with pytest.raises(DeepCopyError, match="has another md5"):
        read(PartBag(made.__class__("W1", [wrong]), {}), tmp_path / "W1")
