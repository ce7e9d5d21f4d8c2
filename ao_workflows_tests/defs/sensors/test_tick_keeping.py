"""What a queue's tick keeps on the scratch disk: whatever fails, the message stays in its queue."""

from __future__ import annotations

import time
from pathlib import Path

import dagster as dg
import pytest

from ao_workflows.defs.sensors.tick_keeping import hide_parts, log_refused, note_events
from ao_workflows.errors import ServiceError, StagingError
from ao_workflows.events.message_parts import MessageInParts, WantedRun
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.intake.sqs import HIDDEN_SECONDS, Sqs
from ao_workflows.staging.staging import Staging
from ao_workflows.status.noted_events import works


@pytest.fixture
def context() -> dg.SensorEvaluationContext:
    return dg.build_sensor_context()


def wanted(rid: str) -> WantedRun:
    return WantedRun(rid, ObjectEvent("ObjectRestore:Completed", "2026-11-21T09:00:00Z", "r", "b", f"{rid}.bag.zip"))


def test_what_cannot_be_noted_is_named_and_a_tick_of_nothing_else_fails(
    context: dg.SensorEvaluationContext, tmp_path: Path
) -> None:
    """Without a note, a deleted message is lost with Dagster's database; a tick that does nothing must be red."""
    staging = Staging(root=str(tmp_path))
    staging.layout.events("W1").parent.mkdir(parents=True)
    staging.layout.events("W1").touch()
    assert note_events(context, staging, "fpl", [wanted("W1"), wanted("W2")]) == {wanted("W1").event.identity}
    assert "W2" in works(staging, 5)
    with pytest.raises(StagingError):
        note_events(context, staging, "fpl", [wanted("W1")])
    assert note_events(context, staging, "fpl", []) == frozenset()


class Refusing(Sqs):
    """A queue that refuses a handle, or does not answer."""

    away: bool = False

    def hide(self, intake: str, handles: object, until: float) -> list[str]:
        if self.away:
            raise ServiceError("hiding", "the queue", "no answer")
        return ["refused"]


def part(handle: str, hidden_until: float) -> MessageInParts:
    return MessageInParts(handle, 0, handle, hidden_until)


def test_a_message_is_hidden_again_before_its_time_is_over_and_not_at_each_tick(
    context: dg.SensorEvaluationContext,
) -> None:
    """Each further delivery brings it nearer to the dead letters."""
    now = time.time()
    parts = [part("due", now + 1), part("refused", now + 1), part("long", now + HIDDEN_SECONDS)]
    found = hide_parts(context, Refusing(connections={}, queues={}), "fpl", parts, now + 60)
    assert [each.hidden_until > now + HIDDEN_SECONDS / 2 for each in found] == [True, False, True]
    assert hide_parts(context, Refusing(connections={}, queues={}, away=True), "fpl", parts, now) == parts


def test_a_queue_that_refuses_or_is_away_ends_no_tick(context: dg.SensorEvaluationContext) -> None:
    """What it did not delete comes again, and is known by its runs."""

    def away() -> list[str]:
        raise ServiceError("deleting", "the queue", "no answer")

    log_refused(context, away)
    log_refused(context, lambda: ["one"])
    with pytest.raises(KeyError):
        log_refused(context, lambda: [{}["a mistake of ours"]])
