"""Runs that died: telling Dagster so, and finding those of which it has not made the retry that it owes.

What belongs here: the report of a death, which Dagster's run retries act on, and Dagster's own rule for a retry. What
does not: finding out that a run is dead (``ao_workflows.defs.sensors.lost_runs``).

Dagster has no public way of saying why a run failed, nor of asking whether it would retry one. When these names move,
runs whose process was killed stay "started" for ever and hold their place in the queue.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run

from ao_workflows.works import run_tags


def report_death(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> None:
    """Fails a run whose process is gone: Dagster retries it as its ``run_retries`` say.

    :param why: the words that the run's log shows.
    """
    instance.report_run_failed(run, why, JobFailureData(None, RunFailureReason.UNEXPECTED_TERMINATION))


def owed_a_retry(instance: dg.DagsterInstance, since: datetime, until: datetime) -> Iterator[dg.DagsterRun]:
    """The runs that failed between the two times, and that Dagster should have retried by its own rule and has not."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since, updated_before=until)
    for run in instance.get_runs(failed):
        if run_tags.RETRIED_AS not in run.tags and auto_reexecution_should_retry_run(instance, run, _reason(run)):
            yield run


def ask_for_its_retry(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> None:
    """Reports a failed run once more, for the reason that it has, so that Dagster's daemon retries it.

    It makes no second retry of a run that has one.
    """
    # Before the report, which the daemon may read before Dagster has seen to this tag.
    instance.add_run_tags(run.run_id, {run_tags.WILL_RETRY: "true"})
    instance.report_run_failed(run, why, JobFailureData(None, _reason(run)))


def _reason(run: dg.DagsterRun) -> RunFailureReason:
    return RunFailureReason(run.tags.get(run_tags.FAILURE_REASON, RunFailureReason.UNKNOWN.value))
