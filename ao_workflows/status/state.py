"""The states that a work can be in: asked for, under way, failed, in the archive, and at which stage.

What belongs here: the states, and which of them the evidence means. What does not: what else is known of the work, and
what to do about it (``ao_workflows.status.standing``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from ao_workflows.status.evidence import Evidence, NotedEvent
from ao_workflows.works.stages import RUN_STAGES, Stage


class WorkState(StrEnum):
    """The state of a work; the values are the words for people."""

    UNKNOWN = "not known"
    ASKED = "asked of Glacier"
    QUEUED = "waits its turn"
    UNDER_WAY = "under way"
    FAILED = "failed"
    STOPPED = "stopped"
    HELD = "held"
    IN_ARCHIVE = "in the archive"


def state_of(
    evidence: Evidence,
    done: Mapping[Stage, datetime],
    noted: tuple[datetime | None, str] | None,
    *,
    goes_on: bool,
) -> tuple[WorkState, str, datetime | None]:
    """Returns the state of a work, its stage, and since when it is in that state.

    The stage is empty if the work is in the archive or not known. The time is None if it is not known.

    :param done: when each stage was done.
    :param noted: the time and the text of the failure, if a failure is the last that DRS has of the work.
    :param goes_on: whether its run is queued or under way.
    """
    run = evidence.run
    next_stage = next((stage for stage in RUN_STAGES if stage not in done), RUN_STAGES[-1]).value
    last = max(done.values(), default=None)
    synced = done.get(Stage.SYNCED_ARCHIVE)
    if run and goes_on:
        state = WorkState.QUEUED if run.state == "queued" else WorkState.UNDER_WAY
        return state, run.stage or (run.selected[0] if run.selected else next_stage), run.at
    if evidence.lock == "held":
        return WorkState.UNDER_WAY, next_stage, evidence.transfer.at if evidence.transfer else last
    if run and run.state == "failed" and (synced is None or run.at > synced):
        return WorkState.FAILED, run.stage or next_stage, run.at
    return _state_by_what_was_done(evidence, done, noted, next_stage)


def stopped_before_it_began(lost: NotedEvent) -> tuple[WorkState, str, datetime | None]:
    """Returns the state, stage and time of a work whose event came from a queue but of which Dagster has no run."""
    return WorkState.STOPPED, Stage.RESTORED_MESSAGE.value, lost.at


def _state_by_what_was_done(
    evidence: Evidence,
    done: Mapping[Stage, datetime],
    noted: tuple[datetime | None, str] | None,
    next_stage: str,
) -> tuple[WorkState, str, datetime | None]:
    """Returns the same as ``state_of`` for a work that no run is doing now, and whose run has not failed since."""
    last = max(done.values(), default=None)
    if Stage.SYNCED_ARCHIVE in done:
        return WorkState.IN_ARCHIVE, "", done[Stage.SYNCED_ARCHIVE]
    if noted is not None:
        return WorkState.FAILED, next_stage, noted[0] or last
    if evidence.run is not None:
        return WorkState.STOPPED, next_stage, evidence.run.at
    if set(done) == {Stage.RESTORE_REQUESTED}:
        return WorkState.ASKED, Stage.RESTORED_MESSAGE.value, last
    # A row or a receipt, even without any time in it, shows that something was done.
    if done or evidence.row is not None or evidence.receipts.by_stage():
        return WorkState.STOPPED, next_stage, last
    return WorkState.UNKNOWN, "", None
