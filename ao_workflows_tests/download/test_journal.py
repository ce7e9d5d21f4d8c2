"""The journal of a download: what of it can be believed, after a crash and after a power cut."""

from __future__ import annotations

import json

import pytest

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
