"""A message of many records: which of them ask for a run, and that all come to one, a few at each tick."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ao_workflows.events.message_parts import (
    MessageInParts,
    WantedRun,
    after_hiding,
    newest_of_each,
    next_part,
    plan_parts,
)
from ao_workflows_tests.status.test_standing import EVENT


def wanted(rid: str, **event: str | None) -> WantedRun:
    return WantedRun(rid, replace(EVENT, key=f"{rid}.bag.zip", **event))  # type: ignore[arg-type]


def test_of_several_records_of_one_object_the_newest_asks_for_a_run() -> None:
    """1,400 records of one work made 1,400 runs, each of which downloaded it anew."""
    records = [wanted("W1", time=f"2026-11-21T{hour:02d}:00:00Z") for hour in (9, 23, 11)]
    assert newest_of_each(records) == [records[1]]
    shifted = wanted("W1", time="2026-11-21T23:30:00+23:00")
    assert newest_of_each([*records, shifted]) == [records[1]], "half past noon in UTC"


def test_another_object_version_or_etag_asks_for_a_run_of_its_own() -> None:
    """What the one run does not bring would be lost."""
    records = [
        wanted("W1"),
        wanted("W1", etag="other"),
        wanted("W1", version_id="v1"),
        wanted("W1", version_id="v2"),
        wanted("W1", bucket="other"),
        wanted("W2"),
    ]
    assert newest_of_each(records) == records
    unknown = [wanted("W1", etag=None, time=f"2026-11-21T{hour:02d}:00:00Z") for hour in (9, 10)]
    assert newest_of_each(unknown) == unknown, "nobody can say whether it is one object"


def _always() -> bool:
    return True


def test_a_part_goes_on_after_what_is_done_and_asks_for_no_more_than_there_is_room_for() -> None:
    """Each look for a run costs a question to the database, and a tick has 18 seconds."""
    events = [wanted(f"W{number}") for number in range(9)]
    there = {each.event.identity for each in events[:4]}
    asked: list[str] = []

    def has_run(key: str) -> bool:
        asked.append(key)
        return key in there

    part = next_part(events, 2, has_run, (), 3, _always)
    assert [each.staged for each in part.missing.values()] == ["W4", "W5", "W6"]
    assert (part.done, part.whole) == (4, False)
    assert len(asked) == 6
    last = next_part(events, 4, lambda _: False, (), 5, _always)
    assert (len(last.missing), last.whole) == (5, True)
    full = next_part(events, 4, lambda _: False, (), 0, _always)
    assert (full.missing, full.done, full.whole) == ({}, 4, False)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 7), st.integers(1, 30)), min_size=1, max_size=20),
)
def test_several_messages_in_parts_end_whatever_room_and_time_each_tick_has(
    sizes: list[int], ticks: list[tuple[int, int]]
) -> None:
    """No event is left out, none asked for twice that has its run, and no tick asks for more than it may."""
    kept = {
        f"m{message}": [wanted(f"W{message}x{number}") for number in range(size)] for message, size in enumerate(sizes)
    }
    every = {each.event.identity for events in kept.values() for each in events}
    runs: set[str] = set()
    parts: tuple[MessageInParts, ...] = ()
    for room, looks in [*ticks, *[(3, 1000)] * 200]:
        left = iter([True] * looks)
        found = plan_parts(kept, parts, runs.__contains__, room, lambda left=left: next(left, False))  # type: ignore[misc]
        assert len(found.requests) <= room
        assert not found.requests.keys() & runs
        for each in found.ended:
            assert {event.event.identity for event in kept.pop(each.message_id)} <= runs
        runs |= found.requests.keys()
        parts = found.parts
    assert (runs, kept) == (every, {})


def test_a_message_of_which_nothing_is_kept_is_forgotten_and_one_that_is_not_known_goes_on() -> None:
    """The scratch disk was renewed, or the cursor of a renamed sensor is empty: either has still the other's word."""
    kept = {"m1": [wanted("W1")]}
    found = plan_parts(kept, [MessageInParts("gone", 7, "handle", 9.0)], lambda _: False, 1, _always)
    assert found.parts == (MessageInParts("m1"),)
    assert [each.staged for each in found.requests.values()] == ["W1"]


def test_a_message_that_sqs_will_show_again_has_no_receipt_any_more() -> None:
    """By a stale receipt it could be neither hidden nor deleted."""
    mine, other, refused = (
        MessageInParts("a", 1, "h1", 5.0),
        MessageInParts("b", 1, "h2", 5.0),
        MessageInParts("c", 1, "h3", 5.0),
    )
    done = [after_hiding(each, ["h1", "h3"], ["h3"], 99.0) for each in (mine, other, refused)]
    assert done == [replace(mine, hidden_until=99.0), other, MessageInParts("c", 1)]
