"""Lost runs: a sensor that finds runs whose process is gone, and has Dagster run them again.

What belongs here: telling that a run is lost, and saying so to Dagster, whose run retries do the rest. What does
not: how a living run is told from a dead one (``ao_workflows.staging.run_locks``), or the retry itself.

Dagster's code server reports the death of a run's process that it started. When the server was killed before it
could, nobody does: Dagster's run monitoring knows no way of asking after a run of the default launcher, so the run
would stay "started" for ever and hold one of the few places of the run queue. And where Dagster could not start a
retry, because the code server was away at that moment, it never tries again.
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
"""Dagster's own daemon looks every five seconds: it has had its turn then."""

NOT_RETRIED_SINCE = timedelta(hours=1)
"""A retry that failed is made up for within minutes, or at the next start after a night; not weeks later."""

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
    """Whether somebody executes the run, or has it still to do; None where that cannot be told."""
    launcher: Any = instance.run_launcher
    if run_tags.CELERY_TASK in run.tags and hasattr(launcher, "lives"):
        # The worker may be on a host whose locks are not seen here.
        return bool(launcher.lives(run))
    # It has its lock once it has begun. Other jobs, which have no work, need not have the resource that holds it.
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
    """Asks Dagster again for the retries that it should have made by its own rule, and has not."""
    told = []
    now = datetime.now(UTC)
    for run in run_deaths.owed_a_retry(instance, now - NOT_RETRIED_SINCE, now - NOT_RETRIED_FOR):
        said = f"Run {run.run_id} died, and its retry could not be started: it is tried again."
        run_deaths.ask_for_its_retry(instance, run, said)
        told.append(said)
    return told


def _sweep(instance: dg.DagsterInstance, locks: RunLocks) -> None:
    """Removes what runs that were killed, and have ended since, left behind."""
    for run_id in locks.left_behind():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            locks.remove(run_id)
