"""Lost runs: a sensor that finds runs whose process is gone, and has Dagster run them again.

What belongs here: finding out that a run is lost, and reporting it to Dagster, whose run retries do the rest. What does
not: how a living run is distinguished from a dead one (``ao_workflows.staging.run_locks``), or the retry itself.

Dagster's code server reports the death of a run's process that it has started. If the server itself was killed before
that, nobody reports it: Dagster's run monitoring has no way to check a run of the default launcher, so the run would
stay "started" for ever, and would occupy one of the few places of the run queue. And if Dagster could not start a
retry because the code server was not running at that moment, it never tries again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from ao_workflows.instance import run_deaths
from ao_workflows.staging.run_locks import RunLocks
from ao_workflows.staging.staging import Staging
from ao_workflows.status.noted_events import forget_done
from ao_workflows.status.runs import times_of_done_events
from ao_workflows.works import run_tags

LOOK_SECONDS = 30
NOT_RETRIED_FOR = timedelta(minutes=1)
"""A retry is asked for again only after this time, when Dagster's daemon, which looks every 5 seconds, had its turn."""

NOT_RETRIED_SINCE = timedelta(hours=1)
"""Runs that failed longer ago than this are not retried any more: a missed retry is made up for within minutes, not
weeks later. A run that was lost while the services were off, as at night, counts as failed from when it is found.
"""

_BEGUN = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dg.sensor(
    name="lost_runs",
    minimum_interval_seconds=LOOK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Finds runs whose process was killed, and has them run again. It takes nothing from any queue.",
)
def lost_runs(context: dg.SensorEvaluationContext, staging: Staging) -> dg.SensorResult:
    """Reports lost runs as failed; the cursor holds those that looked dead at the last look.

    A run has no lock for a moment at its beginning and at its end. So one is lost only if two looks in a row find
    it without.
    """
    locks = staging.run_locks
    if not locks.can_be_made():
        return dg.SensorResult(
            skip_reason=dg.SkipReason(
                "the scratch disk is full: a run that has no lock may be waiting for room for it"
            ),
            cursor="[]",
        )
    suspected = set(json.loads(context.cursor or "[]"))
    begun = context.instance.get_runs(dg.RunsFilter(statuses=_BEGUN))
    lives = {run.run_id: _lives(context.instance, locks, run) for run in begun}
    watched = {run_id: alive for run_id, alive in lives.items() if alive is not None}
    without = {run_id for run_id, alive in watched.items() if not alive}
    told = [
        *_report(context.instance, sorted(without & suspected)),
        *_retry_what_was_not(context.instance),
    ]
    for said in told:
        context.log.warning(said)
    _sweep(context.instance, locks)
    forget_done(staging, lambda rid, since: times_of_done_events(context.instance, rid, since))
    return dg.SensorResult(
        skip_reason=dg.SkipReason("; ".join(told) or f"{len(watched)} runs under way, none lost"),
        cursor=json.dumps(sorted(without - suspected)),
    )


def _lives(instance: dg.DagsterInstance, locks: RunLocks, run: dg.DagsterRun) -> bool | None:
    """Whether a process executes the run, or is still going to; None if that cannot be found out."""
    launcher: Any = instance.run_launcher
    if run_tags.CELERY_TASK in run.tags and hasattr(launcher, "lives"):
        # The worker may be on another host, whose locks cannot be seen here.
        return bool(launcher.lives(run))
    # A run of a work takes its lock when it begins. A run of another job may lack the resource that does.
    if run.status is dg.DagsterRunStatus.STARTED and run_tags.PARTITION in run.tags:
        return locks.is_held(run.run_id)
    return None


def _report(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> list[str]:
    told = []
    for run_id in run_ids:
        run = instance.get_run_by_id(run_id)
        if run and run.status in _BEGUN:
            said = f"The process of run {run_id} is gone: it was killed, or its machine was restarted."
            run_deaths.report_death(instance, run, said)
            told.append(said)
    return told


def _retry_what_was_not(instance: dg.DagsterInstance) -> list[str]:
    """Asks Dagster again for the retries that it should have started by its own rule, and has not."""
    told = []
    now = datetime.now(UTC)
    for run in run_deaths.owed_a_retry(instance, now - NOT_RETRIED_SINCE, now - NOT_RETRIED_FOR):
        said = f"Run {run.run_id} died, and its retry could not be started: it is tried again."
        run_deaths.ask_for_its_retry(instance, run, said)
        told.append(said)
    return told


def _sweep(instance: dg.DagsterInstance, locks: RunLocks) -> None:
    """Removes the lock files that killed runs left behind, once Dagster has these runs as ended."""
    for run_id in locks.left_behind():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            locks.remove(run_id)
