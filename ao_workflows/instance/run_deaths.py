"""Runs that died: telling Dagster so, and finding those of which it has not made the retry that it owes.

What belongs here: the report of a death, which Dagster's run retries act on, and Dagster's own rule for a retry. What
does not: finding out that a run is dead (``ao_workflows.defs.sensors.lost_runs``).

Dagster has no public way to report why a run failed, or to ask whether it would retry one. If the private names change,
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
    """Fails a run whose process is gone, so that Dagster retries it as its ``run_retries`` say.

    :param why: the text that the run's log shows.
    """
    instance.report_run_failed(run, why, JobFailureData(None, RunFailureReason.UNEXPECTED_TERMINATION))


def owed_a_retry(instance: dg.DagsterInstance, since: datetime, until: datetime) -> Iterator[dg.DagsterRun]:
    """Finds the runs that failed between the two times and that Dagster, by its own rule, should have retried but has
    not.
    """
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since, updated_before=until)
    for run in instance.get_runs(failed):
        if run_tags.RETRIED_AS not in run.tags and auto_reexecution_should_retry_run(instance, run, _reason(run)):
            yield run


def ask_for_its_retry(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> None:
    """Reports a failed run once more, with the reason that it failed for, so that Dagster's daemon retries it.

    The daemon makes no second retry of a run that has one.

    :param why: the text that the run's log shows.
    """
    # The tag is set first: the daemon may read the report before Dagster itself has set the tag.
    instance.add_run_tags(run.run_id, {run_tags.WILL_RETRY: "true"})
    instance.report_run_failed(run, why, JobFailureData(None, _reason(run)))


def _reason(run: dg.DagsterRun) -> RunFailureReason:
    return RunFailureReason(run.tags.get(run_tags.FAILURE_REASON, RunFailureReason.UNKNOWN.value))
