"""The evidence of where a work stands: what DRS, its receipts, its lock and Dagster say of it, as plain values.

What belongs here: the values, and which restore event is in force. What does not: gathering them
(``ao_workflows.status.gathering``), and what follows from them (``ao_workflows.status.standing``).
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
"""The classes of the errors of a run whose delivery waits for a person's decision: such a run did nothing."""

LockState = Literal["free", "held", "abandoned"]
"""``abandoned``: the lock's file is there but no process has locked it, so the process that had was killed."""


@dataclass(frozen=True)
class RunSeen:
    """A run of a work, as Dagster has it.

    ``stage`` is the step that the run is in or failed in, empty if there is none. ``at`` is when the run came to its
    state or, if it is under way, to its stage. ``reason`` is the text of the error with which the run failed, or after
    which its stage is tried again. ``error`` is the name of the class of the error with which it failed, empty if
    that is not one of this platform's. ``selected`` has the stages that the run was requested for.

    ``event`` is the restore event in the run's config, and ``intake`` the intake through which it came. ``event`` is
    None if the config has none, or if the run begins after the stage that stores an event: it then works on the event
    that is stored. ``again`` says that the run failed and Dagster is going to run it again by itself.
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
    """A download under way: how much of it is done, its rate, and when (``at``) that was written.

    ``seconds_left`` is None while the rate is not known.
    """

    percent: float
    megabytes_per_second: float
    seconds_left: int | None
    run_id: str
    at: datetime


@dataclass(frozen=True)
class NotedEvent:
    """An event that was received from the queue of ``intake`` at the time ``at``, and that no run has stored since."""

    intake: str
    event: ObjectEvent
    at: datetime


@dataclass(frozen=True)
class Evidence:
    """Everything that is known about one work, or one part of a work.

    ``rid`` is its name on the scratch disk: the RID, or that of the part (see ``ao_workflows.works.parts``).
    ``row`` is the row of DRS that was updated last, ``run`` the newest run in Dagster; each is None if there is none.
    ``report`` is the path of the report on a bag that was refused. ``zip_there`` and ``tree_there`` say whether the
    scratch disk has the zip and the unpacked works. ``noted`` is the last event that no run has stored, if it is later
    than the stored one. ``asked_drs``, ``asked_dagster`` and ``asked_staging`` are false if that source could not be
    asked.
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
        """The sources that could not be asked, in words."""
        sources = {"DRS": self.asked_drs, "Dagster": self.asked_dagster, "the scratch disk": self.asked_staging}
        return tuple(name for name, asked in sources.items() if not asked)


def event_in_force(evidence: Evidence) -> tuple[str, WorkEvent] | None:
    """Returns the restore event that the work's stages are for, and the intake through which it came; None if there is
    none.

    It is the event of the newest run if that may still store it, which a run whose delivery waits for a person never
    does, and if Dagster has not lost a later event. Otherwise it is the noted event, which has no run, or else the
    stored one.
    """
    run, noted = evidence.run, evidence.noted
    may_store = run is not None and (run.state in GOES_ON or (run.state == "failed" and run.error not in HELD))
    if run and run.event and may_store and not lost_event(evidence):
        return run.intake, run.event
    found = noted or evidence.receipts.restored
    return (found.intake, found.event) if found else None


def lost_event(evidence: Evidence) -> NotedEvent | None:
    """Returns the event that came from a queue but of which Dagster has no run; None if there is no such event.

    That happens if Dagster's database was put back to a state from before the event's message was deleted.
    """
    run, row, noted = evidence.run, evidence.row, evidence.noted
    if noted is None or not evidence.asked_dagster or evidence.lock == "held":
        return None
    if row is not None and row.event == noted.event.identity:
        return None
    if run and (run.state in GOES_ON or (run.event and in_order(run.event.time) >= in_order(noted.event.time))):
        return None
    return noted
