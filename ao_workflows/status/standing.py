"""Where a work stands: from what DRS, the receipts, the download's progress, the work's lock and Dagster say of it.

What belongs here: what the evidence comes to, and where it contradicts itself. What does not: the evidence
(``ao_workflows.status.evidence``), and showing a standing.

Dagster knows best what happens now and what failed; receipts and DRS know best what was done. Each may have lost
something: a run that was killed, a scratch disk that was renewed, a database that was restored from a backup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ao_workflows.drs.rows import Entry, Progress
from ao_workflows.errors import NewerStored, OtherObject, ReceiptRefused
from ao_workflows.events.dropped_files import DroppedFile
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import StageReceipt
from ao_workflows.status.evidence import GOES_ON, HELD, Evidence, Noted, RunSeen, Transfer, event_in_force, lost_event
from ao_workflows.works.stages import RUN_STAGES, Stage

REFUSALS = ("BagInvalid", "ZipRefused")
"""The errors that no second run mends: the bag has to be made again."""


NOTHING_IS_LOST = "Nothing is lost. To do the work again once this is mended: "
"""How the last line of a failed run begins; a command follows."""


class State(StrEnum):
    """What a work is at, in words."""

    UNKNOWN = "not known"
    ASKED = "asked of Glacier"
    QUEUED = "waits its turn"
    UNDER_WAY = "under way"
    FAILED = "failed"
    STOPPED = "stopped"
    HELD = "held"
    IN_ARCHIVE = "in the archive"


@dataclass(frozen=True)
class Limits:
    """How long a work may be in one stage, and how long Glacier may take, before it is called stuck."""

    stage: timedelta
    restore: timedelta

    @property
    def least(self) -> timedelta:
        """The shorter of the two: what was touched since is not stuck."""
        return min(self.stage, self.restore)


@dataclass(frozen=True)
class Standing:
    """Where a work stands. ``stage`` is the one that it is in or failed in; ``since`` is None where nobody knows.

    ``done`` says when each stage was done. ``failure`` is what went wrong and ``advice`` what to do, each empty where
    there is nothing. ``held`` is why a delivery of the work waits for a person's word, though an older one of it may be
    in the archive. ``disagreements`` has a sentence for each place where the sources contradict each other. ``remarks``
    has what else must be known, by its kind: ``unproven``, that no manifest came with it, ``batch``, that the works in
    the archive are others than this one, and ``receipts``, which of its receipts cannot be used.
    """

    rid: str
    state: State
    stage: str
    since: datetime | None
    stuck: bool
    done: Mapping[str, datetime]
    transfer: Transfer | None
    run_id: str
    failure: str
    held: str
    advice: str
    disagreements: tuple[str, ...]
    remarks: Mapping[str, str] = field(default_factory=dict)


def standing(evidence: Evidence, now: datetime, limits: Limits) -> Standing:
    """What the evidence comes to, at the time ``now``."""
    refused = evidence.receipts.refused
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
    noted = _noted_failure(row) if row_counts else None
    if lost := lost_event(evidence):
        state, stage, since = _stopped_before_it_began(lost)
    else:
        state, stage, since = _state(evidence, done, noted, goes_on=goes_on)
    if held and goes_on:
        held = None  # Perhaps it is what the run is for.
    waits = held is not None and (held.undecided or not (held.behind or state is State.IN_ARCHIVE))
    if held and waits and not lost and state is not State.FAILED:
        state, stage, since = State.HELD, "", held.at
    failure = _failure(run, noted) if state is State.FAILED else ""
    if state is State.UNDER_WAY and run and run.said:
        failure = f"Tried again after: {run.said}"
    patience = limits.restore if state is State.ASKED else limits.stage
    may_stick = state in {State.ASKED, State.UNDER_WAY, State.FAILED, State.STOPPED, State.HELD}
    stuck = may_stick and since is not None and now - since > patience
    disagreements = tuple(_disagreements(evidence, state, event, receipts, row_counts=row_counts))
    if held and state in {State.HELD, State.IN_ARCHIVE}:
        advice = f"To do it all the same: ao reprocess {evidence.rid} --force"
        if held.undecided:
            compare = f" --from {Stage.SYNCED_ARCHIVE}" if Stage.SYNCED_ARCHIVE in receipts else ""
            advice += f"; to leave the archive as it is: ao reprocess {evidence.rid}{compare}"
    else:
        advice = _advice(evidence, state, stage, stuck=stuck, disagrees=bool(disagreements))
    transfer = evidence.transfer
    if state is not State.UNDER_WAY or (run and transfer and transfer.run_id != run.run_id):
        transfer = None
    return Standing(
        rid=evidence.rid,
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
        remarks=(_noted_remarks(row) if row_counts else {}) | _refused_remarks(refused),
    )


@dataclass(frozen=True)
class _Held:
    """Why a delivery waits, and since when; ``error`` is its error's class. ``undecided``: it is of another object, so
    that either may be right; ``behind``: what is to be done is the newer one, which is stored.
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
    """The delivery of the last run that was held, or else the one that was kept."""
    run, kept = evidence.run, evidence.receipts.held
    if run and _did_nothing(run):
        why = run.said.partition("\n")[0].removeprefix(f"{evidence.rid}: ")
        return _Held(why, run.at, run.error)
    return _Held(kept.why, kept.at, kept.error) if kept else None


def _did_nothing(run: RunSeen) -> bool:
    return run.state == "failed" and run.error in HELD


def _without_held(evidence: Evidence) -> Evidence:
    """Without what a delivery that is held has left: its run, and its receipts where it was held late."""
    run, stored, kept = evidence.run, evidence.receipts.restored, evidence.receipts.held
    late = run.event.identity if run and run.event and _did_nothing(run) else ""
    of_held = {late, kept.event.identity if kept else ""} - {""}
    if stored and stored.event.identity in of_held and stored.over is None:
        evidence = replace(evidence, receipts=Receipts())
    return replace(evidence, run=None) if run and _did_nothing(run) else evidence


def start_from(stage: str, *, zip_there: bool, tree_there: bool) -> str:
    """The stage to start from so that ``stage`` finds its input: itself, or the one that brings what is gone."""
    if stage == Stage.DEBAGGED_WORK and zip_there:
        return stage
    if stage == Stage.SYNCED_ARCHIVE and tree_there:
        return stage
    if stage == Stage.SYNCED_ARCHIVE and zip_there:
        return Stage.DEBAGGED_WORK
    return Stage.RESTORED_MESSAGE if stage == Stage.RESTORED_MESSAGE else Stage.DOWNLOADED_BAG


def _asked_anew(evidence: Evidence) -> bool:
    """Whether Glacier was asked for the work once more, after all that its receipts and its last run tell of."""
    row, run = evidence.row, evidence.run
    if row is None or set(row.times) != {Stage.RESTORE_REQUESTED}:
        return False
    before = [receipt.at for receipt in evidence.receipts.by_stage().values()] + ([run.at] if run else [])
    ended = run is None or run.state not in GOES_ON
    return ended and bool(before) and max(before) < row.times[Stage.RESTORE_REQUESTED]


def _state(
    evidence: Evidence,
    done: Mapping[Stage, datetime],
    noted: tuple[datetime | None, str] | None,
    *,
    goes_on: bool,
) -> tuple[State, str, datetime | None]:
    """What the work is at, in which stage, and since when."""
    run = evidence.run
    next_stage = next((stage for stage in RUN_STAGES if stage not in done), RUN_STAGES[-1]).value
    last = max(done.values(), default=None)
    synced = done.get(Stage.SYNCED_ARCHIVE)
    if run and goes_on:
        state = State.QUEUED if run.state == "queued" else State.UNDER_WAY
        return state, run.stage or (run.selected[0] if run.selected else next_stage), run.at
    if evidence.lock == "held":
        return State.UNDER_WAY, next_stage, evidence.transfer.at if evidence.transfer else last
    if run and run.state == "failed" and (synced is None or run.at > synced):
        return State.FAILED, run.stage or next_stage, run.at
    return _state_by_what_was_done(evidence, done, noted, next_stage)


def _stopped_before_it_began(lost: Noted) -> tuple[State, str, datetime | None]:
    """The same of an event whose run Dagster has lost."""
    return State.STOPPED, Stage.RESTORED_MESSAGE.value, lost.at


def _state_by_what_was_done(
    evidence: Evidence,
    done: Mapping[Stage, datetime],
    noted: tuple[datetime | None, str] | None,
    next_stage: str,
) -> tuple[State, str, datetime | None]:
    """The same where no run goes on or has failed since."""
    last = max(done.values(), default=None)
    if Stage.SYNCED_ARCHIVE in done:
        return State.IN_ARCHIVE, "", done[Stage.SYNCED_ARCHIVE]
    if noted is not None:
        return State.FAILED, next_stage, noted[0] or last
    if evidence.run is not None:
        return State.STOPPED, next_stage, evidence.run.at
    if set(done) == {Stage.RESTORE_REQUESTED}:
        return State.ASKED, Stage.RESTORED_MESSAGE.value, last
    # A row or a receipt without a single time is still somebody's trace.
    if done or evidence.row is not None or evidence.receipts.by_stage():
        return State.STOPPED, next_stage, last
    return State.UNKNOWN, "", None


def _noted_failure(row: Progress | None) -> tuple[datetime | None, str] | None:
    """The failure that DRS has as the last thing of the work: when, and in which words."""
    last = _last_of_its_own(row) if row else None
    if last is None:
        return None
    said = last.data.get("refused") or last.data.get("failed")
    return (last.at, str(said)) if said and not last.stage else None


def _last_of_its_own(row: Progress) -> Entry | None:
    """The last entry of the row that is of its restore. A delivery that was held since, or another work's zip that
    brought the work, has not mended what failed.
    """
    others = {"held", "brought_by"}
    return next((entry for entry in reversed(row.entries) if not others & entry.data.keys()), None)


def _noted_remarks(row: Progress | None) -> dict[str, str]:
    """What DRS has of the work's last unpacking that is out of the common, by its kind."""
    entries = row.entries if row else ()
    last = next((entry for entry in reversed(entries) if entry.stage == Stage.DEBAGGED_WORK), None)
    return {kind: str(last.data[kind]) for kind in ("unproven", "batch") if kind in last.data} if last else {}


def _refused_remarks(refused: Sequence[ReceiptRefused]) -> dict[str, str]:
    """Which of the work's receipts cannot be used, and what is wrong with them."""
    return {"receipts": "; ".join(map(str, refused))} if refused else {}


def _was_refused(evidence: Evidence) -> bool:
    """Whether the work failed for its bag: by its run, or by DRS where another run came after it, or it is gone."""
    if evidence.run:
        return evidence.run.error in REFUSALS
    last = _last_of_its_own(evidence.row) if evidence.row else None
    return last is not None and "refused" in last.data


def _failure(run: RunSeen | None, noted: tuple[datetime | None, str] | None) -> str:
    if run and run.state == "failed":
        # What to do is said by the advice, which knows more than the run did.
        return run.said.partition(f"\n{NOTHING_IS_LOST}")[0] or "Its run was ended from outside, and could not say why"
    return noted[1] if noted else ""


def _advice(evidence: Evidence, state: State, stage: str, *, stuck: bool, disagrees: bool) -> str:
    rid = evidence.rid
    first = start_from(stage, zip_there=evidence.zip_there, tree_there=evidence.tree_there)
    redo = f"ao reprocess {rid}" + (f" --from {first}" if first != Stage.DOWNLOADED_BAG else "")
    in_force = event_in_force(evidence)
    has_event = in_force is not None
    advice = ""
    match state:
        case State.FAILED if _was_refused(evidence):
            if in_force and isinstance(dropped := in_force[1], DroppedFile):
                advice = (
                    f"Have the bag made again and put its zip into {dropped.folder}, which starts a new run; then "
                    f"remove the refused one, {dropped.source}."
                )
            else:
                advice = "Have the bag made and uploaded again; the event that follows starts a new run."
            if evidence.report:
                advice += f" What is wrong with it: {evidence.report}"
        case State.FAILED if evidence.run and evidence.run.again:
            advice = "Dagster runs it again by itself, from what is done, while its daemon is up."
        case State.FAILED if has_event:
            advice = f"When the cause is gone: {redo}"
        case State.STOPPED if has_event:
            advice = f"To go on with it: {redo}"
        case State.FAILED | State.STOPPED | State.UNKNOWN:
            # Glacier is paid for each answer: nobody is sent there for what may lie in the archive.
            advice = (
                f"Ask again when {' and '.join(evidence.not_asked)} can be asked: it may be done already."
                if evidence.not_asked
                else f"No restore event is stored to redo it by, so ask Glacier: ao restore request {rid}"
            )
        case State.ASKED if stuck:
            advice = f"To see how far Glacier is: ao restore status {rid}"
        case State.UNDER_WAY if evidence.lock == "abandoned" and evidence.run:
            advice = f"Dagster's run monitoring ends such a run in a minute or two; then: {redo}"
        case State.UNDER_WAY if stuck:
            advice = f"The run's log says what it waits for. To do it anew, end it in the web page, then: {redo}"
        case State.IN_ARCHIVE if disagrees and has_event:
            compare = f"ao reprocess {rid} --from {Stage.SYNCED_ARCHIVE}"
            advice = f"To compare the archive's copy and note it again: {compare}"
    return advice


def _disagreements(
    evidence: Evidence, state: State, event: str, receipts: Mapping[Stage, StageReceipt], *, row_counts: bool
) -> Iterable[str]:
    run, row = evidence.run, evidence.row
    goes_on = state in {State.QUEUED, State.UNDER_WAY}
    if run and run.state == "under way" and evidence.lock == "abandoned":
        yield f"Dagster says that run {run.run_id[:8]} is under way, and the process that had the work was killed"
    if lost := lost_event(evidence):
        came = f"{lost.at:%Y-%m-%d %H:%M} UTC"
        yield f"Its restore event came on {came}, and Dagster, perhaps put back from a backup, has no run of it"
        return
    if evidence.lock == "held" and evidence.asked_dagster and not (run and run.state == "under way"):
        yield "A process has the work's lock, and Dagster knows of no run of it that is under way"
    if goes_on:
        # What is being redone is noted in one place before it is in the other.
        return
    if evidence.asked_drs and receipts and row is None:
        yield f"{_listed(receipts)} are done by their receipts, and DRS has no row of the work"
    elif row is not None and receipts and not row_counts:
        yield "DRS's last row of the work is of another restore than the one in staging"
    elif row is not None and row_counts:
        if missing := [stage for stage in receipts if stage not in row.times]:
            yield f"{_listed(missing)}: done by the receipt, and not by DRS"
        # A version that did not name the whole chain in a receipt left one that is in force for nothing.
        unnamed = (evidence.receipts.debagged, evidence.receipts.synced)
        known = {Stage(receipt.stage) for receipt in unnamed if receipt and not receipt.origin.event}
        noted = [stage for stage in RUN_STAGES if stage in row.times and stage not in {*receipts, *known}]
        if receipts and noted and row.event == event:
            yield f"{_listed(noted)}: done by DRS, and no receipt says so"
    synced = row.times.get(Stage.SYNCED_ARCHIVE) if row is not None and row_counts else None
    ended_well = run is not None and run.state == "succeeded" and Stage.SYNCED_ARCHIVE in run.selected
    if run and ended_well and evidence.asked_drs and not synced and Stage.SYNCED_ARCHIVE not in receipts:
        yield f"Dagster says that run {run.run_id[:8]} ended well, and DRS does not have the work as synced"
    if run and state is State.FAILED and synced:
        yield f"DRS has the work as synced, and its last run, {run.run_id[:8]}, failed"


def _listed(stages: Iterable[Stage]) -> str:
    return ", ".join(stage.value for stage in stages)
