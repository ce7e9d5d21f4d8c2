"""The order of deliveries, and which of them wait for a person's word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ao_workflows.drs.rows import DrsRow, entry_of, stored_entry
from ao_workflows.errors import OlderDelivery, OtherObject
from ao_workflows.events.dropped_files import Claim, event_of
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.status.deliveries import (
    Delivery,
    SyncedDelivery,
    delivery_of,
    is_older,
    reason_to_hold,
    synced_deliveries,
)
from ao_workflows.works.object_keys import PLACES
from ao_workflows.works.stages import Stage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIRST = ObjectEvent("ObjectRestore:Completed", "2026-11-21T06:00:00.000Z", "r", "b", "Archive0/W1.bag.zip", etag="e1")
SECOND = replace(FIRST, time="2026-11-21T07:00:00.000Z", etag="e2")
ELSEWHERE = replace(SECOND, key="trash/2019/W1.bag.zip", time="2026-11-21T08:00:00.000Z")


def dropped(at: datetime) -> Delivery:
    claim = Claim("W1", at, "0a1b2c3d", "4e5f6071", ".bag.zip")
    return delivery_of(event_of(claim, "/mnt/drop", 0.0, 7))


def of(event: ObjectEvent = FIRST, **others: Any) -> Delivery:
    modified = others.pop("modified", "")
    return delivery_of(replace(event, **others), modified=modified)


def row(*events: ObjectEvent, noted: bool = True, stage: Stage | None = Stage.SYNCED_ARCHIVE, **data: Any) -> DrsRow:
    """A row of DRS that has these as synced, an hour each after the other."""
    entries = [
        entry_of(
            stored_entry(
                stage,
                NOON + number * timedelta(hours=1),
                ({"delivery": delivery_of(event).noted()} if noted else {}) | data,
                event.identity,
            )
        )
        for number, event in enumerate(events)
    ]
    return DrsRow(1, "W1", {}, tuple(entries), NOON, NOON)


def held(this: ObjectEvent | Delivery, *rows: DrsRow) -> str:
    """The class of the reason to hold a delivery; empty where there is none."""
    delivery = this if isinstance(this, Delivery) else delivery_of(this)
    found = reason_to_hold("W1", delivery, synced_deliveries("W1", rows))
    return type(found[0]).__name__ if found else ""


@pytest.mark.parametrize(
    ("this", "other"),
    [
        (of(), of(SECOND)),
        (of(sequencer="0055AED6DCD90281E5"), of(SECOND, sequencer="0055AED6DCD90281E6")),
        # The shorter is filled up at its right: 0055… is not the number 55…
        (of(SECOND, sequencer="0055"), of(sequencer="00550001")),
        (of(SECOND, sequencer="005"), of(sequencer="0051")),
        (of(SECOND, sequencer="00aa"), of(sequencer="00AB")),
        # One of them has none, or they are of two objects, so that their sequencers say nothing.
        (of(sequencer="ff"), of(SECOND)),
        (of(sequencer="ff"), of(SECOND, bucket="c", sequencer="00")),
        (of(sequencer="ff"), of(ELSEWHERE, sequencer="00")),
        (of(sequencer="no number"), of(SECOND, sequencer="00")),
        (of(sequencer="0055"), of(SECOND, sequencer="005500")),
        # Another zone, and no zone at all.
        (of(time="2026-11-21T08:00:00+02:00"), of(time="2026-11-21T06:30:00Z")),
        (of(time="2026-11-21T06:00:00"), of(time="2026-11-21T06:30:00Z")),
        (of(time="2026-11-21T06:00:00.100Z"), of(time="2026-11-21T06:00:00.200Z")),
        # Glacier was asked for an old version, after the new one.
        (of(SECOND, modified="2024-01-01T00:00:00+00:00"), of(modified="2025-01-01T00:00:00+00:00")),
        (dropped(NOON - timedelta(hours=12)), of()),
        (of(), dropped(NOON)),
        (dropped(NOON), dropped(NOON + timedelta(microseconds=1))),
    ],
)
def test_of_two_deliveries_one_is_older_and_never_both(this: Delivery, other: Delivery) -> None:
    """What is taken for newer overwrites the archive."""
    assert is_older(this, other)
    if not this.modified:
        assert not is_older(other, this)


@pytest.mark.parametrize(
    ("this", "other"),
    [
        (of(), of()),
        (of(), of(time="2026-11-21T06:00:00Z")),
        # The same event by way of EventBridge, which says whole seconds.
        (of(time="2026-11-21T06:00:00Z"), of(time="2026-11-21T06:00:00.900Z")),
        (of(), of(etag="e2")),
        (of(time="yesterday"), of(SECOND)),
        (of(SECOND, modified="2024-01-01T00:00:00+00:00"), of(modified="soon")),
    ],
)
def test_what_cannot_be_told_apart_is_not_older(this: Delivery, other: Delivery) -> None:
    """Nothing is held without a reason: a person would be asked what nobody knows."""
    assert not is_older(this, other)


def test_an_older_delivery_is_held_for_any_row_that_has_a_newer_one_as_synced() -> None:
    """DRS has a row a restore, and the one that was updated last is that of the late event itself, or of a request."""
    late = row(FIRST, stage=Stage.DEBAGGED_WORK)
    assert held(FIRST, late, row(SECOND)) == OlderDelivery.__name__
    assert held(FIRST, row(SECOND), late) == OlderDelivery.__name__
    assert held(FIRST, late) == held(FIRST) == ""
    assert held(SECOND, row(FIRST)) == ""


def test_the_newest_one_counts_also_where_an_older_one_was_synced_after_it() -> None:
    """A person had the older one done all the same; that was no word for the one between them."""
    between = replace(FIRST, time="2026-11-21T06:30:00.000Z")
    assert held(between, row(SECOND, FIRST)) == OlderDelivery.__name__
    found = reason_to_hold("W1", delivery_of(between), synced_deliveries("W1", [row(SECOND, FIRST)]))
    assert found
    assert found[1].identity == SECOND.identity


def test_what_was_synced_is_done_again_at_will() -> None:
    """A redo of what the archive has is the platform's everyday work."""
    assert held(SECOND, row(FIRST), row(SECOND)) == ""


def test_what_an_older_version_of_the_platform_noted_is_known_by_its_event_s_identity() -> None:
    """The rows of the last years are what a late event meets."""
    odd = replace(SECOND, key="a|b/W1.bag.zip")
    assert held(FIRST, row(SECOND, noted=False)) == OlderDelivery.__name__
    assert held(replace(odd, time=FIRST.time), row(odd, noted=False)) == OlderDelivery.__name__
    assert held(ELSEWHERE, row(SECOND, noted=False)) == OtherObject.__name__
    file = dropped(NOON)
    entry = entry_of(stored_entry(Stage.SYNCED_ARCHIVE, NOON, {}, file.identity))
    assert held(FIRST, DrsRow(1, "W1", {}, (entry,), NOON, NOON)) == OlderDelivery.__name__


@pytest.mark.parametrize("identity", ["", "nothing", "a|b", "a|b|c", "FileDropped|W1.zip", "||||"])
def test_what_other_systems_wrote_says_nothing_and_holds_nothing(identity: str) -> None:
    """The archive's own systems know of no deliveries, and may write anything."""
    for data in ({}, {"delivery": "by lorry"}, {"delivery": {"time": 7}}, {"delivery": {"name": "n", "time": "t"}}):
        entry = entry_of(stored_entry(Stage.SYNCED_ARCHIVE, NOON, data, identity))
        assert held(FIRST, DrsRow(1, "W1", {}, (entry,), NOON, NOON)) == ""


def test_another_prefix_and_another_bucket_are_other_objects_whatever_their_time() -> None:
    """`trash/2019/W1.bag.zip` has the same file name, and not the same bytes."""
    for event in (ELSEWHERE, replace(ELSEWHERE, time=FIRST.time), replace(SECOND, bucket="c")):
        assert held(event, row(FIRST)) == OtherObject.__name__


def test_a_person_s_word_for_another_object_holds_for_that_object_s_next_delivery() -> None:
    """Else each restore of a bucket that was moved would be asked about."""
    later = replace(ELSEWHERE, time="2026-11-22T08:00:00.000Z")
    assert held(later, row(FIRST, ELSEWHERE)) == ""
    assert held(replace(FIRST, time=later.time), row(FIRST, ELSEWHERE)) == OtherObject.__name__


def test_a_batch_under_the_work_s_name_holds_no_other_object_since_it_brought_nothing_of_the_work() -> None:
    """The work's own zip was said to be of another object than what the archive has, which has nothing of it."""
    batch = row(SECOND, places={"W2": "/mnt/Archive0/00/W2", "W3": "/mnt/Archive0/00/W3"})
    assert held(ELSEWHERE, batch) == ""
    assert held(replace(ELSEWHERE, time=FIRST.time), batch) == ""
    assert held(FIRST, batch) == "OlderDelivery", "an older one of the batch itself is one all the same"


def test_a_dropped_file_is_a_person_s_word_and_has_its_time_alone() -> None:
    """Somebody put it there; but one that was dropped before the archive had a newer restore is older."""
    assert held(dropped(NOON), row(SECOND)) == ""
    assert held(dropped(NOON - timedelta(hours=12)), row(SECOND)) == OlderDelivery.__name__


def test_a_work_of_a_zip_of_several_counts_though_another_of_them_failed() -> None:
    """Its stage is not done then, and its bytes are in the archive."""
    assert held(FIRST, row(SECOND, stage=None, synced="W1")) == OlderDelivery.__name__
    assert held(FIRST, row(SECOND, stage=None, synced="W2")) == ""


def test_a_delivery_is_told_with_its_time_its_object_and_its_version() -> None:
    """A person decides by these."""
    said = str(delivery_of(replace(FIRST, version_id="v7"), modified="2024-01-01T00:00:00+00:00"))
    assert FIRST.time in said
    assert "s3://b/Archive0/W1.bag.zip (v7, written 2024-01-01" in said


def test_an_older_delivery_is_held_for_a_newer_one_that_is_stored_alone() -> None:
    """The newer one's run had failed: it was forgotten, and the archive left with what it was to replace."""
    found = reason_to_hold("W1", of(), [], of(SECOND))
    assert found
    assert (type(found[0]).__name__, found[1]) == ("NewerStored", of(SECOND))
    assert reason_to_hold("W1", of(SECOND), [], of()) is None
    assert reason_to_hold("W1", of(), [], of()) is None
    assert reason_to_hold("W1", of(ELSEWHERE), [], of()) is None, "which is right, nobody has said yet"


def test_a_work_that_another_works_zip_brought_comes_from_its_own_object_as_before() -> None:
    """A batch brought it once: its own zip was taken for another object, though it is the one that is named so."""
    batch = replace(SECOND, key="Archive0/W2.bag.zip")
    noted = {"synced": "W1", "brought_by": batch.identity, "delivery": delivery_of(batch).noted()}
    brought = row(FIRST, stage=None, **noted)
    (found,) = synced_deliveries("W1", [brought])
    assert found.delivery == delivery_of(batch)
    assert held(FIRST, brought) == OlderDelivery.__name__
    assert held(replace(FIRST, time="2026-11-21T08:00:00.000Z"), brought) == ""
    assert held(ELSEWHERE, brought, row(FIRST)) == OtherObject.__name__


BEFORE = replace(FIRST, key="Archive1/60/W160/W160.bag.zip")
NOW = replace(SECOND, key="Archive2/60/W160/W160.bag.zip", time="2026-11-21T05:00:00.000Z")
EARLY, LATE = "2019-01-01T00:00:00+00:00", "2025-03-02T00:00:00+00:00"


def in_places(this: Delivery, *synced: Delivery, places: tuple[str, ...] = PLACES) -> str:
    """The class of the reason to hold a delivery of W160, where these are synced; empty where there is none."""
    done = [SyncedDelivery(each, NOON) for each in synced]
    found = reason_to_hold("W160", this, done, places=places)
    return type(found[0]).__name__ if found else ""


def test_the_places_that_an_object_may_have_are_one_objects() -> None:
    """What deep-archive leaves for the zip of the work's name lies elsewhere than the work's zip of before 2024: every
    such part of the half of all works waited for a person.
    """
    assert in_places(of(NOW), of(BEFORE, modified=EARLY)) == "", "when it was written, S3 is asked later"
    assert in_places(of(NOW, modified=LATE), of(BEFORE, modified=EARLY)) == "", "its event may have come first"
    assert in_places(of(BEFORE, modified=EARLY), of(NOW, modified=LATE)) == "OlderDelivery"
    assert in_places(of(NOW), of(BEFORE)) == "OlderDelivery", "only the events have a time"
    trash = of(replace(NOW, key="trash/W160.bag.zip"), modified=LATE)
    assert in_places(trash, of(BEFORE, modified=EARLY)) == "OtherObject"
    assert in_places(of(NOW, bucket="c", modified=LATE), of(BEFORE, modified=EARLY)) == "OtherObject"
    assert in_places(of(NOW, modified=LATE), of(BEFORE, modified=EARLY), places=PLACES[:1]) == "OtherObject"
