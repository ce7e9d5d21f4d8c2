"""Which event a work's stages are for, by all that is known of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ao_workflows.drs.rows import DrsEntry, DrsRow
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.status.evidence import Evidence, NotedEvent, RunSeen, RunState, event_in_force, lost_event
from ao_workflows.works.stages import Stage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EARLY = ObjectEvent("ObjectRestore:Completed", "2026-11-21T09:00:00Z", "r", "b", "W1.bag.zip", etag="e")
LATE = replace(EARLY, time="2026-11-21T11:00:00Z")
NOTED = NotedEvent("fpl", LATE, NOON)


def run(state: RunState, event: ObjectEvent | None = None, error: str = "") -> RunSeen:
    return RunSeen("0123456789ab", state, NOON, error=error, event=event, intake="fpl" if event else "")


def test_a_noted_event_that_dagster_knows_nothing_of_is_lost() -> None:
    """Its message is deleted, so nobody else asks for it."""
    assert lost_event(Evidence("W1", noted=NOTED)) == NOTED
    assert lost_event(Evidence("W1", noted=NOTED, run=run("succeeded", EARLY))) == NOTED
    assert lost_event(Evidence("W1", noted=NOTED, run=run("failed"))) == NOTED


@pytest.mark.parametrize(
    "more",
    [
        {"noted": None},
        {"asked_dagster": False},
        {"lock": "held"},
        {"run": run("queued")},
        {"run": run("under way", EARLY)},
        {"run": run("failed", LATE)},
        {"row": DrsRow(1, "W1", {}, (DrsEntry(NOON, Stage.RESTORED_MESSAGE, LATE.identity, {}),), NOON, NOON)},
    ],
)
def test_an_event_that_somebody_has_or_of_which_nothing_can_be_known_is_not_lost(more: dict[str, object]) -> None:
    """Done a second time, it would be a second sync beside the first."""
    assert lost_event(Evidence("W1", **({"noted": NOTED} | more))) is None  # type: ignore[arg-type]


def test_the_event_in_force_is_that_of_a_run_which_may_still_store_it() -> None:
    """What the work's stages did for an earlier one is nothing that was done for this."""
    for state in ("queued", "under way", "failed"):
        assert event_in_force(Evidence("W1", run=run(state, LATE))) == ("fpl", LATE)  # type: ignore[arg-type]
    assert event_in_force(Evidence("W1", run=run("succeeded", LATE))) is None
    assert event_in_force(Evidence("W1", run=run("canceled", LATE))) is None
    assert event_in_force(Evidence("W1")) is None


@pytest.mark.parametrize("error", ["OlderDelivery", "NewerStored", "OtherObject"])
def test_a_run_whose_delivery_is_held_never_stores_its_event(error: str) -> None:
    """The work would be told as failed, though the archive has what it should."""
    assert event_in_force(Evidence("W1", run=run("failed", LATE, error))) is None


def test_a_lost_event_goes_before_that_of_an_earlier_run() -> None:
    """It is the newer one, and waits for somebody to do it."""
    assert event_in_force(Evidence("W1", run=run("failed", EARLY), noted=NOTED)) == ("fpl", LATE)


def test_what_could_not_be_asked_is_told_in_words() -> None:
    """A source that is away must not pass for one that has nothing to say."""
    assert Evidence("W1").not_asked == ()
    assert Evidence("W1", asked_drs=False, asked_staging=False).not_asked == ("DRS", "the scratch disk")
