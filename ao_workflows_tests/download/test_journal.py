"""The journal of a download: what of it can be believed, after a crash and after a power cut."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from ao_workflows.download.journal import FinishedPart, Journal, PartDigests
from ao_workflows.errors import StagingFull
from ao_workflows_tests.support.download_side import CONTENT, MIB, Side, raise_at

pytestmark = pytest.mark.usefixtures("_without_aws_variables")


def test_after_a_boot_only_what_the_disk_still_has_is_believed(side: Side) -> None:
    """Nothing is flushed on the way: after a power cut the journal may name parts that the disk never got."""
    with pytest.raises(InterruptedError):
        side.bring(raise_at(6 * MIB))
    journal = side.places.journal.read_text().splitlines(keepends=True)
    finished = [json.loads(line)[0] for line in journal[1:]]
    assert len(finished) >= 2
    head = json.loads(journal[0]) | {"boot": "an earlier one"}
    side.places.journal.write_text(json.dumps(head) + "\n" + "".join(journal[1:]))
    with side.places.part.open("r+b") as part:
        part.seek(finished[0] * MIB + 5)
        part.write(b"\0\0\0\0")
    side.server.clear()
    side.bring()
    assert side.holds(CONTENT)
    fetched = {asked.start // MIB for asked in side.server.asked}
    assert finished[0] in fetched
    assert not fetched & set(finished[1:])


def test_a_torn_last_line_of_the_journal_is_none(side: Side) -> None:
    """A process that dies while it writes must not leave a journal that nobody can read."""
    with pytest.raises(InterruptedError):
        side.bring(raise_at(6 * MIB))
    text = side.places.journal.read_bytes()
    side.places.journal.write_bytes(text[:-9])
    side.server.clear()
    side.bring()
    assert side.holds(CONTENT)
    assert side.places.journal.read_bytes().count(b"\n") == 1 + 9


ABOUT = {"etag": "e", "part_size": 4}
FIRST, THIRD = FinishedPart(0, "aaaa", ("d0",)), FinishedPart(2, "cccc", ())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with two parts."""
    journal = Journal(tmp_path / "W1.journal", ABOUT)
    journal.begin([FIRST])
    journal.add(THIRD)
    journal.close()
    return tmp_path / "W1.journal"


def never(_part: FinishedPart) -> bool:
    raise AssertionError("a part was read again")


def test_what_was_finished_in_this_boot_is_believed_unread(path: Path) -> None:
    """Reading 300 GB again would take as long as half of the download."""
    assert Journal(path, ABOUT).resume(never) == {0: FIRST, 2: THIRD}


@pytest.mark.parametrize("about", [{"etag": "other", "part_size": 4}, {"etag": "e", "part_size": 8}, {}])
def test_a_journal_of_another_object_or_cut_is_none(path: Path, about: dict[str, object]) -> None:
    """The parts of one object in the file of another: no byte would be right."""
    assert Journal(path, about).resume(never) is None


@pytest.mark.parametrize("text", [b"", b"[]\n", b"no json\n", b'"a text"\n', b"\xff\xfe\n"])
def test_a_journal_that_is_none_has_the_download_begun_anew(path: Path, text: bytes) -> None:
    """Whatever a power cut left there must not keep the work from being downloaded."""
    path.write_bytes(text)
    assert Journal(path, ABOUT).resume(never) is None
    path.unlink()
    assert Journal(path, ABOUT).resume(never) is None


def test_a_line_that_is_none_ends_what_is_believed(path: Path) -> None:
    """What follows on a torn line was written after it, or is no journal's."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1], b'[2, "cc', b"\n", lines[2]]))
    assert Journal(path, ABOUT).resume(never) == {0: FIRST}
    path.write_bytes(b"".join([lines[0], b'["a", "b", []]\n', b"{}\n", lines[2]]))
    assert Journal(path, ABOUT).resume(never) == {2: THIRD}


def test_of_an_earlier_boot_each_part_is_believed_by_its_bytes_alone_and_from_then_on(path: Path) -> None:
    """Nothing is flushed: the journal may be on the disk, and the part not. Once read, it is as good as new."""
    text = path.read_text()
    boot = json.loads(text.splitlines()[0])["boot"]
    path.write_text(text.replace(boot, "the boot before"))
    assert Journal(path, ABOUT).resume(lambda part: part.part == 2) == {2: THIRD}
    assert Journal(path, ABOUT).resume(never) == {2: THIRD}


def test_a_journal_that_is_full_or_closed_takes_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line would take the next one with it; a thread that comes too late must not write at all."""
    journal = Journal(path, ABOUT)
    journal.resume(never)
    before = path.read_bytes()
    monkeypatch.setattr(os, "write", lambda handle, data: 3)
    with pytest.raises(StagingFull):
        journal.add(FIRST)
    monkeypatch.undo()
    journal.close()
    journal.add(FIRST)
    assert path.read_bytes() == before
    journal.remove()
    assert not path.exists()
    journal.remove()


def test_a_part_has_its_own_checksum_and_the_digests_that_the_proof_wants_of_it() -> None:
    """The one is compared after a boot, the others are put together at the end."""
    part = PartDigests("md5", 3, [2, 1])
    part.update(b"ab")
    part.update(b"c")
    found = part.finished()
    assert (found.part, len(found.digests)) == (3, 2)
    assert found.digests[1] == hashlib.md5(b"c").hexdigest()  # noqa: S324
    unclaimed = PartDigests(None, 3, [3])
    unclaimed.update(b"abc")
    assert unclaimed.finished() == FinishedPart(3, found.crc64nvme, ())
