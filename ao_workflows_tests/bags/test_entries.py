"""The manifests' entries: what is listed is found again, and takes little memory."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from ao_workflows.bags.entries import Entries, PackedDigests
from ao_workflows.bags.memory import Memory
from ao_workflows.errors import ZipRefused

MD5, OTHER = "0" * 31 + "1", "f" * 32


def test_each_path_has_the_digests_by_which_it_is_listed() -> None:
    """A digest in another file's place would prove the wrong page, or none."""
    entries = Entries(["data/a", "data/b", "bagit.txt"])
    sha1 = "a" * 40
    for path, digest in {"data/b": MD5, "data/gone": OTHER, "data/gone too": MD5}.items():
        assert entries.note(0, "md5", path, digest) is None
    assert entries.note(1, "sha1", "data/gone too", sha1) is None
    assert entries.note(1, "sha1", "data/a", sha1) is None
    assert entries == {
        "data/a": {"sha1": sha1},
        "data/b": {"md5": MD5},
        "data/gone": {"md5": OTHER},
        "data/gone too": {"md5": MD5, "sha1": sha1},
    }
    assert dict(entries.each()) == dict(entries)
    assert "bagit.txt" not in entries
    with pytest.raises(KeyError):
        entries["bagit.txt"]


def test_a_file_that_no_manifest_lists_is_not_among_the_entries() -> None:
    """It would count as listed, and as proven by no digest at all."""
    entries = Entries(["data/a"])
    assert ([*entries.each()], [*entries], len(entries)) == ([], [], 0)
    entries.note(0, "md5", "data/b", MD5)
    assert [path for path, _ in entries.each()] == ["data/b"]


def test_a_second_digest_is_told_and_the_first_one_stays() -> None:
    """Which of the two is the file's, nobody knows; the same one in another manifest is no second one."""
    entries = Entries(["a"])
    assert entries.note(0, "md5", "a", MD5) is None
    assert entries.note(0, "md5", "a", MD5) == MD5
    assert entries.note(0, "md5", "a", OTHER) == MD5
    assert entries.note(1, "md5", "a", MD5) is None
    assert entries.note(1, "md5", "a", OTHER) == MD5
    assert entries["a"] == {"md5": MD5}


@pytest.mark.parametrize("digest", ["aa", "no hex" * 5, "é", MD5 * 2])
def test_what_cannot_be_a_digest_is_held_as_it_is_written(digest: str) -> None:
    """The report shows what the manifest says, and nothing has such a digest."""
    entries = Entries(["a", "b"])
    entries.note(0, "md5", "a", digest)
    entries.note(0, "md5", "b", MD5)
    assert dict(entries.each()) == {"a": {"md5": digest}, "b": {"md5": MD5}}
    assert entries.note(0, "md5", "a", MD5) == digest


def test_packed_digests_are_like_a_dictionary_of_hex() -> None:
    """They go into the list of fixity, and are compared with what a receipt says."""
    raw = hashlib.sha256(b"x").digest()
    digests = PackedDigests(("sha256",), (raw,))
    assert digests == {"sha256": raw.hex()}
    assert repr(digests) == repr(dict(digests))
    with pytest.raises(KeyError):
        digests["md5"]


COUNT = 20_000


def bytes_each(work: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        held = work()
        size = tracemalloc.get_traced_memory()[0]
        del held
    finally:
        tracemalloc.stop()
    return size / COUNT


@pytest.mark.parametrize(
    ("algorithm", "of_the_bag"), [("sha512", True), ("sha256", True), ("sha256", False), ("md5", False)]
)
def test_an_entry_takes_at_most_200_bytes(algorithm: str, of_the_bag: bool) -> None:
    """A manifest of 32 MB took 473 MB."""
    files = [f"data/images/W1NLM4700-I1NLM4700_001/I1NLM4700{number:06}.jpg" for number in range(COUNT)]
    digest = hashlib.new(algorithm, b"").hexdigest()

    def note_all() -> Entries:
        entries = Entries(files if of_the_bag else [])
        for number, file in enumerate(files):
            entries.note(0, algorithm, file if of_the_bag else f"data/{number:06}", digest)
        return entries

    assert 16 < bytes_each(note_all) <= 200


def test_what_takes_too_much_is_refused_before_it_is_held() -> None:
    """Names without a file are the cheapest way to fill memory."""
    memory = Memory(Path("W1.bag.zip"), 1)
    entries = Entries([], memory)
    with pytest.raises(ZipRefused, match="memory_mib"):
        for number in range(COUNT):
            entries.note(0, "md5", f"data/{number}", MD5)
    assert len(entries) < COUNT / 10
