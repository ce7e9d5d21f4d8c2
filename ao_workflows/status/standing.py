"""Where a work stands: from what DRS, the receipts, the download's progress, the work's lock and Dagster say of it.

What belongs here: everything that follows from the evidence, and where it contradicts itself. What does not: the
evidence (``ao_workflows.status.evidence``), the state of the work alone (``ao_workflows.status.state``), what a person
can do (``ao_workflows.status.advice``), and showing a standing.

Dagster knows best what happens now and what failed; receipts and DRS know best what was done. Each may have lost
something: a run that was killed, a scratch disk that was renewed, a database that was restored from a backup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ao_workflows.errors import NewerStored, OtherObject, ReceiptRefused
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import StageReceipt
from ao_workflows.status.advice import NOTHING_IS_LOST, advise
from ao_workflows.status.drs_notes import noted_failure, noted_remarks
from ao_workflows.status.evidence import GOES_ON, HELD, DownloadSeen, Evidence, RunSeen, event_in_force, lost_event
from ao_workflows.status.state import WorkState, state_of, stopped_before_it_began
from ao_workflows.works.parts import part_staged_as
from ao_workflows.works.stages import DEEP_COPIED, RUN_STAGES, Stage


@dataclass(frozen=True)
class StuckLimits:
    """How long a work may be in one ``stage``, and how long a ``restore`` by Glacier may take, before it is stuck."""

    stage: timedelta
    restore: timedelta

    @property
    def least(self) -> timedelta:
        """The shorter of the two: a work to which something happened within it is not stuck."""
        return min(self.stage, self.restore)


@dataclass(frozen=True)
class Standing:
    """Where a work stands, or a part of one: ``part`` is then its name.

    ``stage`` is the stage that it is in or failed in, empty if there is none. ``since`` is when it came to its state,
    None if that is not known. ``stuck`` says that it has been there for too long. ``done`` says when each stage was
    done. ``failure`` says what went wrong, and ``advice`` what to do; each is empty if there is nothing to say.
    ``held`` says why a delivery of the work waits for a person's decision, also if another delivery of it is in the
    archive; empty if none waits. ``disagreements`` has a sentence for each contradiction between the sources.

    ``remarks`` has what else must be known, by its kind: ``unproven``, that no manifest came with works of its zip,
    ``batch``, that its zip brought other works and not this one, and ``receipts``, which receipts cannot be used.
    """

    rid: str
    state: WorkState
    stage: str
    since: datetime | None
    stuck: bool
    done: Mapping[str, datetime]
    transfer: DownloadSeen | None
    run_id: str
    failure: str
    held: str
    advice: str
    disagreements: tuple[str, ...]
    remarks: Mapping[str, str] = field(default_factory=dict)
    part: str = ""


def standing_of(evidence: Evidence, now: datetime, limits: StuckLimits) -> Standing:
    """Returns where a work stands at the time ``now``, according to the evidence.

    :param limits: how long the work may be in one state before it is called stuck.
    """
    part, refused = part_staged_as(evidence.rid), evidence.receipts.refused
    if _asked_anew(evidence):
        evidence = replace(evidence, receipts=Receipts(), run=None)
    asked = evidence.run
    held = _held(evidence)
    if held:
        evidence = _without_held(evidence)
    run, row = evidence.run, evidence.row
    goes_on = run is not None and run.state in GOES_ON
    in_force = event_in_force(evidence)
    event = in_force[1].identity if in_force else ""
    receipts = evidence.receipts.in_force(event).by_stage()
    row_counts = row is not None and (not event or row.event in {"", event})
    done: dict[Stage, datetime] = {stage: receipt.at for stage, receipt in receipts.items()}
    if row is not None and row_counts:
        done |= row.times
    noted = noted_failure(row) if row_counts else None
    if lost := lost_event(evidence):
        state, stage, since = stopped_before_it_began(lost)
    else:
        state, stage, since = state_of(evidence, done, noted, goes_on=goes_on)
    if held and goes_on:
        held = None  # The run may be the one that does the delivery that waited.
    waits = held is not None and (held.undecided or not (held.behind or state is WorkState.IN_ARCHIVE))
    if held and waits and not lost and state is not WorkState.FAILED:
        state, stage, since = WorkState.HELD, "", held.at
    failure = _failure(run, noted) if state is WorkState.FAILED else ""
    if state is WorkState.UNDER_WAY and run and run.reason:
        failure = f"Tried again after: {run.reason}"
    patience = limits.restore if state is WorkState.ASKED else limits.stage
    may_stick = state in {WorkState.ASKED, WorkState.UNDER_WAY, WorkState.FAILED, WorkState.STOPPED, WorkState.HELD}
    stuck = may_stick and since is not None and now - since > patience
    disagreements = tuple(_disagreements(evidence, state, event, receipts, row_counts=row_counts))
    if held and state in {WorkState.HELD, WorkState.IN_ARCHIVE}:
        advice = f"To do it all the same: ao reprocess {part.redo} --force"
        if held.undecided:
            compare = f" --from {Stage.SYNCED_ARCHIVE}" if Stage.SYNCED_ARCHIVE in receipts else ""
            advice += f"; to leave the archive as it is: ao reprocess {part.redo}{compare}"
    else:
        advice = advise(evidence, state, stage, stuck=stuck, disagrees=bool(disagreements))
    transfer = evidence.transfer
    if state is not WorkState.UNDER_WAY or (run and transfer and transfer.run_id != run.run_id):
        transfer = None
    return Standing(
        rid=part.rid,
        state=state,
        stage=stage,
        since=since,
        stuck=stuck,
        done={name.value: at for name, at in sorted(done.items(), key=lambda item: list(Stage).index(item[0]))},
        transfer=transfer,
        run_id=asked.run_id if asked else "",
        failure=failure,
        held=held.why if held else "",
        advice=advice,
        disagreements=disagreements,
        part="" if part.is_named_as_work else part.name,
        remarks=(noted_remarks(row) if row_counts else {}) | _refused_remarks(refused),
    )


@dataclass(frozen=True)
class _Held:
    """Why a delivery waits for a person's decision, since when, and the class of its error.

    ``undecided`` says that it is of another object than what the archive has, so that either may be right. ``behind``
    says that a newer delivery, which is stored, is to be done instead.
    """

    why: str
    at: datetime
    error: str

    @property
    def undecided(self) -> bool:
        return self.error == OtherObject.__name__

    @property
    def behind(self) -> bool:
        return self.error == NewerStored.__name__


def _held(evidence: Evidence) -> _Held | None:
    """Returns why the last run's delivery waits or, if that does not, why the one that is kept in staging waits."""
    run, kept = evidence.run, evidence.receipts.held
    if run and _did_nothing(run):
        why = run.reason.partition("\n")[0].removeprefix(f"{part_staged_as(evidence.rid)}: ")
        return _Held(why, run.at, run.error)
    return _Held(kept.why, kept.at, kept.error) if kept else None


def _did_nothing(run: RunSeen) -> bool:
    return run.state == "failed" and run.error in HELD


def _without_held(evidence: Evidence) -> Evidence:
    """Returns the evidence without the traces of a delivery that waits: its run, and its receipts if it had already
    been stored when it was found that it must wait.
    """
    run, stored, kept = evidence.run, evidence.receipts.restored, evidence.receipts.held
    late = run.event.identity if run and run.event and _did_nothing(run) else ""
    of_held = {late, kept.event.identity if kept else ""} - {""}
    if stored and stored.event.identity in of_held and stored.over is None:
        evidence = replace(evidence, receipts=Receipts())
    return replace(evidence, run=None) if run and _did_nothing(run) else evidence


def _asked_anew(evidence: Evidence) -> bool:
    """Whether Glacier was asked for the work again, after everything that its receipts and its last run are about."""
    row, run = evidence.row, evidence.run
    if row is None or set(row.times) != {Stage.RESTORE_REQUESTED}:
        return False
    before = [receipt.at for receipt in evidence.receipts.by_stage().values()] + ([run.at] if run else [])
    ended = run is None or run.state not in GOES_ON
    return ended and bool(before) and max(before) < row.times[Stage.RESTORE_REQUESTED]


def _failure(run: RunSeen | None, noted: tuple[datetime | None, str] | None) -> str:
    if run and run.state == "failed":
        # The end of the message says what to do; the advice says that too, and knows more than the run did.
        return (
            run.reason.partition(f"\n{NOTHING_IS_LOST}")[0] or "Its run was ended from outside, and could not say why"
        )
    return noted[1] if noted else ""


def _refused_remarks(refused: Sequence[ReceiptRefused]) -> dict[str, str]:
    """Returns the remark that says which of the work's receipts cannot be used, and what is wrong with them."""
    return {"receipts": "; ".join(map(str, refused))} if refused else {}


def _disagreements(
    evidence: Evidence, state: WorkState, event: str, receipts: Mapping[Stage, StageReceipt], *, row_counts: bool
) -> Iterable[str]:
    run, row = evidence.run, evidence.row
    goes_on = state in {WorkState.QUEUED, WorkState.UNDER_WAY}
    if run and run.state == "under way" and evidence.lock == "abandoned":
        yield f"Dagster says that run {run.run_id[:8]} is under way, and the process that had the work was killed"
    if lost := lost_event(evidence):
        came = f"{lost.at:%Y-%m-%d %H:%M} UTC"
        yield f"Its restore event came on {came}, and Dagster, perhaps put back from a backup, has no run of it"
        return
    if evidence.lock == "held" and evidence.asked_dagster and not (run and run.state == "under way"):
        yield "A process has the work's lock, and Dagster knows of no run of it that is under way"
    if goes_on:
        # While a stage is redone, one source notes it before the other does.
        return
    if evidence.asked_drs and receipts and row is None:
        yield f"{_listed(receipts)} are done by their receipts, and DRS has no row of the work"
    elif row is not None and receipts and not row_counts:
        yield "DRS's last row of the work is of another restore than the one in staging"
    elif row is not None and row_counts:
        if missing := [stage for stage in receipts if stage not in row.times]:
            yield f"{_listed(missing)}: done by the receipt, and not by DRS"
        # A receipt of a version of this program that did not name the whole origin is in force for no event.
        unnamed = (evidence.receipts.debagged, evidence.receipts.synced)
        known = {Stage(receipt.stage) for receipt in unnamed if receipt and not receipt.origin.event}
        noted = [stage for stage in RUN_STAGES if stage in row.times and stage not in {*receipts, *known}]
        if receipts and noted and row.event == event:
            yield f"{_listed(noted)}: done by DRS, and no receipt says so"
    synced = row.times.get(Stage.SYNCED_ARCHIVE) if row is not None and row_counts else None
    ended_well = run is not None and run.state == "succeeded" and Stage.SYNCED_ARCHIVE in run.selected
    if run and ended_well and evidence.asked_drs and not synced and Stage.SYNCED_ARCHIVE not in receipts:
        yield f"Dagster says that run {run.run_id[:8]} ended well, and DRS does not have the work as synced"
    if run and state is WorkState.FAILED and synced and run.stage != DEEP_COPIED:
        yield f"DRS has the work as synced, and its last run, {run.run_id[:8]}, failed"


def _listed(stages: Iterable[Stage]) -> str:
    return ", ".join(stage.value for stage in stages)
