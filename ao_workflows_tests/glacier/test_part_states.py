"""How far each part of a work is, by a listing and by DRS."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ao_workflows.aws.listed import ListedObject
from ao_workflows.aws.objects import ObjectStorage
from ao_workflows.drs.rows import DrsEntry, DrsRow
from ao_workflows.errors import PartsMissing
from ao_workflows.glacier.part_states import is_left_open, part_statuses, parts_to_ask, state_of_all
from ao_workflows.glacier.rules import ObjectAddress, RestoreState, RestoreStatus
from ao_workflows.glacier.work_parts import KnownPart, WorkListing
from ao_workflows.works.parts import Part
from ao_workflows.works.stages import Stage

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEEP = ObjectStorage("DEEP_ARCHIVE")
THERE = ObjectStorage("DEEP_ARCHIVE", restored=True, expires=NOW + HOUR)
ONGOING = ObjectStorage("DEEP_ARCHIVE", ongoing=True)


def known(
    name: str, storage: ObjectStorage = DEEP, *, needed: bool = True, written: datetime | None = None
) -> KnownPart:
    key = f"Archive0/00/W1/{name}.bag.zip"
    listed = ListedObject(key, 7, written or NOW - 900 * 24 * HOUR, storage)
    return KnownPart(Part("W1", name), ObjectAddress("fpl", "b", key), listed, needed)


def noted(part: str, stage: Stage, ago: timedelta = HOUR) -> DrsEntry:
    return DrsEntry(NOW - ago, stage.value, "", {"part": part})


def row(*entries: DrsEntry) -> DrsRow:
    return DrsRow(1, "W1", {}, entries, NOW, NOW)


def statuses(parts: list[KnownPart], *rows: DrsRow, **seen: ObjectStorage) -> dict[str, RestoreStatus]:
    found = part_statuses(RestoreStatus("W1", "W1"), WorkListing(tuple(parts)), rows, NOW, seen)
    return {part.part: part for part in found}


def test_each_part_is_told_by_s3_and_by_what_drs_has_of_that_part() -> None:
    """One group that is in the archive must not make the others look so."""
    rows = row(
        *(noted(f"W1-I{n}", Stage.RESTORE_REQUESTED) for n in (2, 3, 4)),
        *(noted("W1-I5", stage) for stage in (Stage.RESTORE_REQUESTED, Stage.SYNCED_ARCHIVE)),
        noted("W1-I6", Stage.RESTORE_REQUESTED, 90 * 24 * HOUR),
        noted("W1-I7", Stage.RESTORE_REQUESTED),
    )
    parts = [known(f"W1-I{n}") for n in (1, 2, 5, 6)]
    found = statuses([*parts, known("W1-I3", ONGOING), known("W1-I4", THERE)], rows)
    assert [part.state.value for part in found.values() if part.state] == [
        "not asked", "asked", "under way", "restored", "synced", "expired", "gone"
    ]  # fmt: skip
    assert found["W1-I5"].synced == NOW - HOUR
    assert found["W1-I2"].requested == NOW - HOUR
    assert found["W1-I2"].size == 7
    assert not found["W1-I7"].needed


def test_a_part_that_was_written_since_it_was_synced_is_not_in_the_archive() -> None:
    """A group that was corrected would never be restored; nor what is in no group, once the whole work was."""
    rows = (
        row(noted("W1-I1", Stage.SYNCED_ARCHIVE), noted("W1-I2", Stage.SYNCED_ARCHIVE)),
        DrsRow(2, "W1", {Stage.SYNCED_ARCHIVE: NOW - 2000 * 24 * HOUR}, (), NOW, NOW),
    )
    found = statuses([known("W1"), known("W1-I1", written=NOW), known("W1-I2")], *rows)
    assert [part.state for part in found.values()] == [
        RestoreState.NOT_ASKED,
        RestoreState.NOT_ASKED,
        RestoreState.SYNCED,
    ]
    assert found["W1-I1"].synced is None


def test_what_was_seen_of_a_part_goes_before_its_listing() -> None:
    """Not every S3 lists restores."""
    assert statuses([known("W1-I1")], **{"W1-I1": THERE})["W1-I1"].state is RestoreState.RESTORED


def test_a_restore_in_one_zip_long_ago_is_no_part_that_is_gone() -> None:
    """Its row has no part, and the bucket has only groups now."""
    old = DrsRow(1, "W1", {Stage.SYNCED_ARCHIVE: NOW}, (), NOW, NOW)
    assert list(statuses([known("W1-I1")], old)) == ["W1-I1"]


@pytest.mark.parametrize(
    ("part", "asked", "left_open"),
    [
        (known("W1"), False, False),
        (known("W1"), True, True),
        (known("W1", ONGOING), True, False),
        (known("W1", ObjectStorage("STANDARD")), True, False),
        (known("W1", ObjectStorage("INTELLIGENT_TIERING")), False, True),
    ],
)
def test_s3_is_asked_once_more_only_for_what_a_listing_leaves_open(
    part: KnownPart, asked: bool, left_open: bool
) -> None:
    """A work of a thousand parts would take a minute to look at."""
    drs = DrsRow(1, "W1", {Stage.RESTORE_REQUESTED: NOW}, (), NOW, NOW) if asked else None
    assert is_left_open(part, drs) == left_open


def test_a_work_is_as_far_as_its_least_part_that_is_needed() -> None:
    """One group that nobody asked for would be overlooked."""
    found = statuses([known("W1-I1", THERE), known("W1-I2", ONGOING), known("W1-old", needed=False)])
    assert state_of_all(found.values()) is RestoreState.UNDER_WAY
    assert state_of_all([]) is None


def test_glacier_is_asked_for_what_is_needed_meant_and_not_there() -> None:
    """Each request costs."""
    rows = row(noted("W1-I3", Stage.RESTORE_REQUESTED), noted("W1-I3", Stage.SYNCED_ARCHIVE))
    found = statuses(
        [known("W1"), known("W1-I1"), known("W1-I2", THERE), known("W1-I3"), known("W1-old", needed=False)], rows
    )
    status = RestoreStatus("W1", "W1", parts=tuple(found.values()))
    assert [part.part for part in parts_to_ask(status, None, (), again=False)] == ["W1", "W1-I1"]
    assert [part.part for part in parts_to_ask(status, "images", (), again=True)] == ["W1-I1", "W1-I3"]
    assert parts_to_ask(status, None, ["I2"], again=True) == []
    at_hand = replace(found["W1-I2"], state=RestoreState.NOT_IN_GLACIER)
    for part, count in ((at_hand, 1), (replace(at_hand, requested=NOW), 0), (replace(at_hand, synced=NOW), 0)):
        assert len(parts_to_ask(RestoreStatus("W1", "W1", parts=(part,)), None, (), again=False)) == count
    with pytest.raises(PartsMissing, match="no image group old"):
        parts_to_ask(status, None, ["old"], again=False)
