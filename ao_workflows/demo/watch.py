"""Watching the demo's works: what stage each is at and what it is doing, read from Dagster as a person would.

What belongs here: reading the runs, and showing them as a live table or as plain lines. What does not: judging the
result (``ao_workflows.demo.verdict``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from ao_workflows.demo.aws import EmulatedAws
from ao_workflows.demo.samples import Sample
from ao_workflows.status.runs import failure_message
from ao_workflows.works import run_tags
from ao_workflows.works.part_tags import PART
from ao_workflows.works.stages import Stage

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LOOK_EVERY_SECONDS = 0.5

_DOING: dict[str, str] = {
    Stage.RESTORED_MESSAGE: "reading its message",
    Stage.DOWNLOADED_BAG: "downloading",
    Stage.DEBAGGED_WORK: "unpacking",
    Stage.SYNCED_ARCHIVE: "syncing",
}
_STEP_EVENTS = {DagsterEventType.STEP_START, DagsterEventType.ASSET_MATERIALIZATION}
"""The only events that show where a run is: its log has the events of the planned steps from the start."""

_STYLES = {"in the archive": "green", "refused": "yellow", "asked of Glacier": "dim", "waiting its turn": "dim"}


@dataclass(frozen=True)
class SampleProgress:
    """How far a work is: its stage in words, what it does now, and whether its run has ended."""

    stage: str
    doing: str = ""
    ended: bool = False


def watch(
    read: Callable[[Mapping[str, SampleProgress]], dict[str, SampleProgress]],
    samples: Sequence[Sample],
    aws: EmulatedAws,
    console: Console,
    started: float,
    give_up_seconds: float,
) -> dict[str, SampleProgress]:
    """Shows how far each work is, until all have ended and the queue is empty; returns how far they are then.

    :param read: returns how far the works are now; called with how far they were before.
    :param started: when the works were started, as a moment of ``time.monotonic()``.
    :param give_up_seconds: how long after ``started`` the watching ends in any case.
    """
    from rich.live import Live

    progress_by_rid: dict[str, SampleProgress] = {}
    with ExitStack() as stack:
        shows_tables = console.is_terminal and not console.is_dumb_terminal
        live = stack.enter_context(Live(console=console)) if shows_tables else None
        # A message is deleted one tick after its run exists, so the queue may be the last thing to wait for.
        while not progress_by_rid or not all(s.ended for s in progress_by_rid.values()) or aws.waiting():
            seconds = time.monotonic() - started
            if seconds > give_up_seconds:
                break
            before, progress_by_rid = progress_by_rid, read(progress_by_rid)
            if live:
                live.update(samples_table(samples, progress_by_rid, seconds))
            else:
                for line in changes(before, progress_by_rid):
                    console.print(f"{seconds:6.1f} s  {line}", highlight=False, soft_wrap=True)
            time.sleep(LOOK_EVERY_SECONDS)
    return progress_by_rid


def read_sample_progress(
    instance: DagsterInstance,
    samples: Sequence[Sample],
    before: Mapping[str, SampleProgress],
    since: datetime | None = None,
) -> dict[str, SampleProgress]:
    """Returns how far each sample's work is now. A work whose run has ended is not read again.

    :param before: how far the works were before.
    :param since: only runs that were created after this time count; None for all runs.
    """
    runs: dict[str, DagsterRun] = {}
    for run in reversed(instance.get_runs(RunsFilter(created_after=since))):
        if rid := run.tags.get(run_tags.PARTITION):
            runs[run.tags.get(PART, rid)] = run
    return {
        sample.rid: before[sample.rid]
        if sample.rid in before and before[sample.rid].ended
        else _of_all_parts([_progress_of_run(instance, runs.get(name)) for name in _names(sample)])
        for sample in samples
    }


def _names(sample: Sample) -> list[str]:
    return [path.name.removesuffix(".bag.zip") for path in sample.parts] or [sample.rid]


def _of_all_parts(parts: Sequence[SampleProgress]) -> SampleProgress:
    """Returns how far a work is: as its first part that has not ended, else as one that was refused, if any was."""
    ended = sorted(parts, key=lambda part: part.stage == "in the archive")[0]
    return next((part for part in parts if not part.ended), ended)


def _progress_of_run(instance: DagsterInstance, run: DagsterRun | None) -> SampleProgress:
    if run is None:
        return SampleProgress("asked of Glacier")
    if run.status is DagsterRunStatus.SUCCESS:
        return SampleProgress("in the archive", ended=True)
    # Dagster sets the tag that says whether it retries a run a moment after the run's status.
    if run.status is DagsterRunStatus.FAILURE and run.tags.get(run_tags.WILL_RETRY) != "false":
        return SampleProgress("waiting its turn", "its run died, and is run again")
    if run.status in (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED):
        said = failure_message(instance, run.run_id)
        return SampleProgress("refused", said or "the run ended without saying why; its log says more", ended=True)
    if run.status in (DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED):
        return SampleProgress("waiting its turn")
    step, said = "", ""
    for record in instance.get_records_for_run(run.run_id, limit=20, ascending=False).records:
        entry = record.event_log_entry
        if entry.is_dagster_event and entry.get_dagster_event().event_type not in _STEP_EVENTS:
            continue
        step = step or entry.step_key or ""
        if not said and not entry.is_dagster_event and entry.step_key == step:
            said = entry.user_message.removeprefix(f"{run.tags[run_tags.PARTITION]}: ")
    return SampleProgress(_DOING.get(step, "starting"), said)


def samples_table(samples: Sequence[Sample], progress_by_rid: Mapping[str, SampleProgress], seconds: float) -> Table:
    """Returns the works as a table for a terminal, one line for each."""
    from rich.table import Table
    from rich.text import Text

    done = sum(progress.ended for progress in progress_by_rid.values())
    shown = Table(
        title=f"{done} of {len(samples)} works done, {seconds:.0f} s", title_justify="left", expand=True, box=None
    )
    shown.add_column("work", no_wrap=True)
    shown.add_column("stage", no_wrap=True)
    shown.add_column("what it is, what it is doing", no_wrap=True, overflow="ellipsis", ratio=1)
    for sample in samples:
        progress = progress_by_rid.get(sample.rid, SampleProgress("being made"))
        shown.add_row(
            sample.rid,
            Text(progress.stage, style=_STYLES.get(progress.stage, "cyan")),
            Text(
                progress.doing.splitlines()[0] if progress.doing else sample.title,
                style="" if progress.doing else "dim",
            ),
        )
    return shown


def changes(before: Mapping[str, SampleProgress], after: Mapping[str, SampleProgress]) -> list[str]:
    """Returns a plain line for each work whose stage is not the same as before."""
    return [
        f"{rid:<12} {progress.stage}"
        + (f": {progress.doing.splitlines()[0]}" if progress.ended and progress.doing else "")
        for rid, progress in after.items()
        if rid not in before or before[rid].stage != progress.stage
    ]
