"""The evidence of where a work stands: what DRS, its receipts, its lock and Dagster say of it, as plain values.

What belongs here: the values, and which restore event is in force. What does not: gathering them
(``ao_workflows.status.gathering``), and what they come to (``ao_workflows.status.standing``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ao_workflows.drs.rows import DrsRow
from ao_workflows.events.dropped_files import WorkEvent
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.machine.times import in_order
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.works.stages import RUN_STAGES

RunState = Literal["queued", "under way", "succeeded", "failed", "canceled"]
GOES_ON: frozenset[RunState] = frozenset({"queued", "under way"})
HELD = ("OlderDelivery", "NewerStored", "OtherObject")
"""The errors of a run whose delivery waits for a person's word: it did nothing."""

LockState = Literal["free", "held", "abandoned"]
"""``abandoned``: the lock's file is there and no process has it, so the one that had was killed."""


@dataclass(frozen=True)
class RunSeen:
    """The work's newest run in Dagster.

    ``at`` is when it came to its state or, under way, to its ``stage``: the step that it is in or failed in, empty
    where there is none. ``reason`` is what it failed with, or its stage is tried again after; ``error`` is the class of
    what it failed with. ``selected`` has the stages it was asked for. ``event`` is the restore event in its config,
    which came by ``intake``; None where it has none, or begins after the stage that stores one: it takes the event that
    is stored. ``again`` says of a failed one that Dagster runs it again by itself.
    """

    run_id: str
    state: RunState
    at: datetime
    stage: str = ""
    reason: str = ""
    error: str = ""
    selected: tuple[str, ...] = RUN_STAGES
    event: WorkEvent | None = None
    intake: str = ""
    again: bool = False


@dataclass(frozen=True)
class DownloadSeen:
    """A download under way. ``seconds_left`` is None while no rate is known."""

    percent: float
    megabytes_per_second: float
    seconds_left: int | None
    run_id: str
    at: datetime


@dataclass(frozen=True)
class NotedEvent:
    """An event that was taken from the queue of ``intake`` at that time, and that no run has stored since."""

    intake: str
    event: ObjectEvent
    at: datetime


@dataclass(frozen=True)
class Evidence:
    """All that is known of one work. ``run`` is None where Dagster has none; ``asked_dagster``, ``asked_drs`` and
    ``asked_staging`` are false where the one could not be asked. ``zip_there`` and ``tree_there`` say what the scratch
    disk holds. ``noted`` is the last event that no run has stored, where that is later than the stored one.
    """

    rid: str
    row: DrsRow | None = None
    receipts: Receipts = field(default_factory=Receipts)
    run: RunSeen | None = None
    transfer: DownloadSeen | None = None
    lock: LockState = "free"
    report: str | None = None
    zip_there: bool = False
    tree_there: bool = False
    noted: NotedEvent | None = None
    asked_drs: bool = True
    asked_dagster: bool = True
    asked_staging: bool = True

    @property
    def not_asked(self) -> tuple[str, ...]:
        """What could not be asked, in words."""
        sources = {"DRS": self.asked_drs, "Dagster": self.asked_dagster, "the scratch disk": self.asked_staging}
        return tuple(name for name, asked in sources.items() if not asked)


def event_in_force(evidence: Evidence) -> tuple[str, WorkEvent] | None:
    """The restore event that the work's stages are for, and its intake: the stored one, or that of a run which has not
    come to storing it, or one that has no run. A run whose delivery is held never comes to storing it.
    """
    run, noted = evidence.run, evidence.noted
    may_store = run is not None and (run.state in GOES_ON or (run.state == "failed" and run.error not in HELD))
    if run and run.event and may_store and not lost_event(evidence):
        return run.intake, run.event
    found = noted or evidence.receipts.restored
    return (found.intake, found.event) if found else None


def lost_event(evidence: Evidence) -> NotedEvent | None:
    """The event that came from a queue and that Dagster knows nothing of: its database was put back to an earlier state
    than the one in which the event's message was deleted.
    """
    run, row, noted = evidence.run, evidence.row, evidence.noted
    if noted is None or not evidence.asked_dagster or evidence.lock == "held":
        return None
    if row is not None and row.event == noted.event.identity:
        return None
    if run and (run.state in GOES_ON or (run.event and in_order(run.event.time) >= in_order(noted.event.time))):
        return None
    return noted
