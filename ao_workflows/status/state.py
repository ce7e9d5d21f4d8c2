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
    """What a work is at, in words."""

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
    """What the work is at, in which stage, and since when.

    :param done: When each stage was done.
    :param noted: The failure that DRS has as the last thing of the work: when, and in which words.
    :param goes_on: Whether its run is queued or under way.
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
    """The state, stage and moment of a work whose event came, and of whose run Dagster knows nothing."""
    return WorkState.STOPPED, Stage.RESTORED_MESSAGE.value, lost.at


def _state_by_what_was_done(
    evidence: Evidence,
    done: Mapping[Stage, datetime],
    noted: tuple[datetime | None, str] | None,
    next_stage: str,
) -> tuple[WorkState, str, datetime | None]:
    """The same where no run goes on or has failed since."""
    last = max(done.values(), default=None)
    if Stage.SYNCED_ARCHIVE in done:
        return WorkState.IN_ARCHIVE, "", done[Stage.SYNCED_ARCHIVE]
    if noted is not None:
        return WorkState.FAILED, next_stage, noted[0] or last
    if evidence.run is not None:
        return WorkState.STOPPED, next_stage, evidence.run.at
    if set(done) == {Stage.RESTORE_REQUESTED}:
        return WorkState.ASKED, Stage.RESTORED_MESSAGE.value, last
    # A row or a receipt without a single time is still somebody's trace.
    if done or evidence.row is not None or evidence.receipts.by_stage():
        return WorkState.STOPPED, next_stage, last
    return WorkState.UNKNOWN, "", None
