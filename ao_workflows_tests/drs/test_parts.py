"""What DRS says of each part of a work, and when its columns say it of the work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from ao_workflows.drs.parts import by_parts, columns, known_parts, parts_of_rows, row_for
from ao_workflows.drs.rows import DrsEntry, DrsRow
from ao_workflows.works.stages import RUN_STAGES, Stage
from ao_workflows_tests.support.drs_sites import NOON, Site

pytest_plugins = ["ao_workflows_tests.support.mariadb"]

ASKED, CAME, SYNCED = Stage.RESTORE_REQUESTED, Stage.RESTORED_MESSAGE, Stage.SYNCED_ARCHIVE
I1, I2 = "W1-I1_1", "W1-I1_2"


def at(hours: int) -> datetime:
    return NOON + timedelta(hours=hours)


def entry(stage: Stage | None, hours: int, part: str = "", event: str = "") -> DrsEntry:
    return DrsEntry(at(hours), stage or "", event, {"part": part} if part else {})


def row(number: int, *entries: DrsEntry, columns_of: Sequence[Stage] = ()) -> DrsRow:
    return DrsRow(number, "W1", dict.fromkeys(columns_of, NOON), entries, NOON, NOON)


def record(site: Site, stage: Stage, hours: int, part: str = "", event: str = "") -> None:
    site.drs.record("W1", stage, at(hours), {"part": part} if part else {}, event=event)


def test_a_work_in_parts_is_one_row_and_is_synced_when_the_last_part_that_was_asked_for_is(site: Site) -> None:
    """The archive's reports read the column as the whole work's: one of a thousand groups is not it."""
    for number, part in enumerate(("W1", I1, I2)):
        record(site, ASKED, number, part)
    for number, part in enumerate((I2, "", I1)):
        assert site.only().times == {ASKED: at(2)}
        for stage in RUN_STAGES:
            record(site, stage, 10 + number, part, f"event of {part}")
    assert site.only().times == {ASKED: at(2)} | dict.fromkeys(RUN_STAGES, at(12))
    assert by_parts(site.only())[I2].times[SYNCED] == at(10)
    record(site, ASKED, 20, I1)
    assert site.drs.rows_of("W1")[0].times == {ASKED: at(20)}


def test_a_receipt_that_is_recorded_again_moves_no_column_back(site: Site) -> None:
    """Each run records its receipts again; the part that came first is not the one that made the work whole."""
    for part in ("W1", I1):
        record(site, ASKED, 0, part)
        record(site, CAME, 1 if part == I1 else 5, part, f"event of {part}")
    record(site, CAME, 1, I1, f"event of {I1}")
    assert site.only().times[CAME] == at(5)


def test_a_work_in_one_zip_is_recorded_as_ever(site: Site) -> None:
    """Whether its restore names the part or not."""
    for stage in Stage:
        record(site, stage, 1, "W1" if stage is ASKED else "", "" if stage is ASKED else "e")
    assert site.only().times == dict.fromkeys(Stage, at(1))


def test_a_part_that_is_asked_for_again_while_others_are_awaited_counts_anew(site: Site) -> None:
    """The work would be told as synced with what it had before."""
    for part in (I1, I2):
        record(site, ASKED, 0, part)
    record(site, SYNCED, 1, I1, "first")
    record(site, ASKED, 2, I1)
    record(site, SYNCED, 3, I2, "other")
    assert SYNCED not in site.only().times
    record(site, SYNCED, 4, I1, "second")
    assert site.only().times[SYNCED] == at(4)


def test_a_part_that_nobody_asked_for_joins_those_under_way(site: Site) -> None:
    """Another system may have asked Glacier: its request names no part."""
    record(site, CAME, 1, I1, "one")
    record(site, CAME, 2, I2, "two")
    record(site, SYNCED, 3, I1, "one")
    assert SYNCED not in site.only().times
    record(site, SYNCED, 4, I2, "two")
    record(site, CAME, 5, "W1-I1_3", "three")
    assert len(site.drs.rows_of("W1")) == 2


def test_what_another_system_asked_for_is_no_part_that_is_waited_for() -> None:
    """Its row would never be synced."""
    before = row(1, columns_of=[ASKED])
    assert row_for("W1", [before], CAME, entry(CAME, 1, I1, "e")) is before
    assert columns("W1", before, CAME, entry(CAME, 1, I1, "e")) == {CAME: at(1)}


WAITS = row(1, entry(ASKED, 0, I1), entry(ASKED, 0, I2), columns_of=[ASKED])
IN = row(2, entry(ASKED, 0, I1), entry(SYNCED, 1, I1, "e"), columns_of=[ASKED, SYNCED])
STUCK = row(3, entry(Stage.DOWNLOADED_BAG, 0, "", "w"), columns_of=[CAME, Stage.DOWNLOADED_BAG])


@pytest.mark.parametrize(
    ("rows", "new", "chosen"),
    [
        ([WAITS], entry(CAME, 3, I2, "f"), 1),
        ([IN, WAITS], entry(CAME, 3, I2, "f"), 1),
        ([IN, WAITS], entry(CAME, 3, I1, "f"), None),
        ([IN, WAITS], entry(None, 3, I1, "e"), 2),
        ([WAITS], entry(CAME, 3, "W1-2025-inventory", "f"), 1),
        ([IN], entry(CAME, 3, I2, "f"), None),
        ([IN], entry(ASKED, 3, I2), None),
        ([WAITS], entry(ASKED, 3, "W1"), 1),
        ([STUCK], entry(ASKED, 3, I1), None),
        ([STUCK], entry(CAME, 3, I1, "f"), None),
        ([], entry(ASKED, 3, I1), None),
        ([IN], entry(None, 3, I2), 2),
    ],
)
def test_a_part_s_entry_goes_to_the_row_of_its_restore(rows: list[DrsRow], new: DrsEntry, chosen: int | None) -> None:
    """In another's it would make that one whole, or never whole."""
    found = row_for("W1", rows, Stage(new.stage) if new.stage else None, new)
    assert (found.row if found else None) == chosen


def test_of_each_part_the_last_restore_counts_whichever_row_has_it() -> None:
    """Groups that were restored last year are in the archive still."""
    known = parts_of_rows([WAITS, IN, row(4, entry(SYNCED, 1, "", "w"), columns_of=[SYNCED])])
    assert {part: set(each.times) for part, each in known.items()} == {I1: {ASKED}, I2: {ASKED}, "W1": {SYNCED}}


def test_which_parts_are_known_is_what_the_last_request_saw() -> None:
    """A group that was made since would be overlooked; and it is no part's entry."""
    notes = [DrsEntry(at(hour), "", "", {"known": names}) for hour, names in ((1, ["W1"]), (2, ["W1", I1]))]
    assert known_parts([row(2), row(1, entry(ASKED, 0, I1), *notes)]) == ("W1", I1)
    assert list(by_parts(row(1, entry(ASKED, 0, I1), *notes))) == [I1]
    assert known_parts([row(1, DrsEntry(None, "", "", {"known": 7}))]) == ()
    assert row_for("W1", [WAITS], None, notes[0]) is WAITS


def test_a_part_s_row_has_the_part_s_event_and_failures_alone() -> None:
    """One part's failure would be told of another."""
    mixed = row(1, entry(CAME, 1, I1, "one"), entry(CAME, 2, I2, "two"), entry(None, 3, I2, "two"))
    parts = by_parts(mixed)
    assert [(parts[part].event, len(parts[part].entries)) for part in (I1, I2)] == [("one", 1), ("two", 2)]


def test_a_part_that_is_sent_anew_is_told_by_its_last_delivery_in_the_row_that_waits_for_it(site: Site) -> None:
    """A refused group is uploaded again, and another event comes: in another row, the first would wait for ever."""
    for part in (I1, I2):
        record(site, ASKED, 0, part)
    record(site, CAME, 1, I1, "refused")
    record(site, Stage.DOWNLOADED_BAG, 2, I1, "refused")
    record(site, CAME, 3, I1, "anew")
    of_part = by_parts(site.only())[I1]
    assert of_part.times == {ASKED: at(0), CAME: at(3)}
    assert of_part.event == "anew"
    for part in (I1, I2):
        record(site, SYNCED, 5, part, "anew" if part == I1 else "other")
    assert site.only().times[SYNCED] == at(5)
