"""Dagster's instance, asked from outside of a run: the runs of a work, and whether a daemon would start another.

What belongs here: the few questions, each of which is bounded. What does not: what follows from the answers
(``ao_workflows.status.standing``), and putting a run into the queue (``ao_workflows.instance.run_queue``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from ao_workflows.events.dropped_files import given_in
from ao_workflows.staging.receipts import Restored
from ao_workflows.status.deliveries import delivery_of, is_older
from ao_workflows.status.evidence import HELD, RunSeen, RunState
from ao_workflows.works import part_tags, run_tags
from ao_workflows.works.parts import part_staged_as
from ao_workflows.works.stages import DEEP_COPIED, RUN_STAGES, Stage

_LOOKED_AT = 20
"""How many runs of one work are looked at."""

_OF_ALL_PARTS = 2000
"""How many runs of a work in parts are looked at to find those for the part that is named as the work."""


_STATES: dict[dg.DagsterRunStatus, RunState] = {
    dg.DagsterRunStatus.QUEUED: "queued",
    dg.DagsterRunStatus.NOT_STARTED: "queued",
    dg.DagsterRunStatus.SUCCESS: "succeeded",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "canceled",
}
"""A run with any other status is under way."""

UNFINISHED = tuple(
    status for status in dg.DagsterRunStatus if _STATES.get(status) not in ("succeeded", "failed", "canceled")
)
"""The statuses of a run that has not ended."""


def newest_run(instance: dg.DagsterInstance, staged: str) -> RunSeen | None:
    """Returns the newest run of a work or a part, by its name on the scratch disk; None if there is none."""
    records = _records(instance, staged, 1)
    return run_seen(instance, records[0]) if records else None


def run_in_flight(instance: dg.DagsterInstance, staged: str) -> RunSeen | None:
    """Returns the newest run of a work or a part that has not ended; None if there is none."""
    records = _records(instance, staged, 1, statuses=list(UNFINISHED))
    return run_seen(instance, records[0]) if records else None


def has_run_in_flight(instance: dg.DagsterInstance, staged: str) -> bool:
    """Whether the work or part has a run that has not ended. It costs fewer questions than ``run_in_flight``."""
    return bool(_records(instance, staged, 1, statuses=list(UNFINISHED)))


def _records(instance: dg.DagsterInstance, staged: str, most: int, **more: Any) -> list[dg.RunRecord]:
    """Returns the newest runs of a work or a part.

    Dagster cannot be asked for runs without a tag, so for the part that is named as its work all runs of the work are
    looked at.
    """
    part = part_staged_as(staged)
    of_part = dg.RunsFilter(tags={run_tags.PARTITION: part.rid, **part_tags.tags_of(part)}, **more)
    first = instance.get_run_records(of_part, limit=most)
    if all(part_tags.is_run_of(part, each.dagster_run.tags) for each in first):
        return [*first]
    found = instance.get_run_records(of_part, limit=_OF_ALL_PARTS)
    return [each for each in found if part_tags.is_run_of(part, each.dagster_run.tags)][:most]


def works_of_runs(
    instance: dg.DagsterInstance,
    statuses: Sequence[dg.DagsterRunStatus],
    most: int,
    since: datetime | None = None,
    before: datetime | None = None,
) -> list[str]:
    """Returns, for each of the newest runs in some states, the RID of its work.

    A work that has several such runs is returned as often. For a run that is not of a work the name is empty.

    :param most: how many runs at most.
    :param since: only runs that were updated after this moment; ``before``: only those updated before that one.
    """
    within = dg.RunsFilter(statuses=list(statuses), updated_after=since, updated_before=before)
    return [run.tags.get(run_tags.PARTITION, "") for run in instance.get_runs(within, limit=most)]


def stored_event_config(instance: dg.DagsterInstance, staged: str, stored: Restored | None) -> dict[str, Any] | None:
    """Returns the run config with the newest restore event, of those that the work's last few runs were given; None if
    none of them is later than the ``stored`` one.

    If a run was killed before its first stage, or the scratch disk was lost, the run's config is the only place that
    has its event. A run whose delivery waits for a person is not considered: the person decides about its event.
    """
    newest, config = (delivery_of(stored.event) if stored else None), None
    for run in (record.dagster_run for record in _records(instance, staged, _LOOKED_AT)):
        if (given := _event_config(run)) and (event := given_in(given)):
            this = delivery_of(event)
            if (newest is None or is_older(newest, this)) and not _was_held(instance, run):
                newest, config = this, given
    return {"ops": {Stage.RESTORED_MESSAGE.value: {"config": config}}} if config else None


def _was_held(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run ended without doing anything, because its delivery waits for a person's decision."""
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return False
    entry = _last_event(instance, run.run_id, dg.DagsterEventType.STEP_FAILURE)
    return entry is not None and _failure(entry.get_dagster_event().step_failure_data)[1] in HELD


def times_of_done_events(instance: dg.DagsterInstance, staged: str, since: datetime) -> list[str]:
    """Returns the times of the restore events that were done: those given to the last few successful runs of a work or
    a part.

    :param since: only runs that were made after this moment.
    """
    done = _records(instance, staged, _LOOKED_AT, statuses=[dg.DagsterRunStatus.SUCCESS], created_after=since)
    return [event["time"] for record in done if (event := _event_config(record.dagster_run))]


def run_seen(instance: dg.DagsterInstance, record: dg.RunRecord) -> RunSeen:
    """Returns what a work's standing needs to know about a run.

    For a run that is under way or failed, Dagster is asked more: for its step, and the error that it failed with.
    """
    run = record.dagster_run
    state = _STATES.get(run.status, "under way")
    at = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else _utc(record.update_timestamp)
    stage = said = error = ""
    if state == "queued":
        at = _utc(record.create_timestamp)
    elif state == "under way":
        at = datetime.fromtimestamp(record.start_time, UTC) if record.start_time else at
        if entry := _last_event(instance, run.run_id, dg.DagsterEventType.STEP_START):
            stage, at = entry.step_key or "", datetime.fromtimestamp(entry.timestamp, UTC)
        if (retry := _last_event(instance, run.run_id, dg.DagsterEventType.STEP_UP_FOR_RETRY)) and (
            retry.step_key == stage
        ):
            said = _retried(retry.get_dagster_event().step_retry_data)
    elif state == "failed" and (entry := _last_event(instance, run.run_id, dg.DagsterEventType.STEP_FAILURE)):
        stage = entry.step_key or ""
        said, error = _failure(entry.get_dagster_event().step_failure_data)
    chosen = {key.to_user_string() for key in run.asset_selection} if run.asset_selection else set(RUN_STAGES)
    keys = run.step_keys_to_execute or RUN_STAGES
    config = _event_config(run) or {}
    return RunSeen(
        run_id=run.run_id,
        state=state,
        at=at,
        stage=stage if stage in (*RUN_STAGES, DEEP_COPIED) else "",
        reason=said,
        error=error,
        selected=tuple(each.value for each in RUN_STAGES if each in chosen and each.value in keys),
        event=given_in(config),
        intake=config.get("intake", ""),
        again=state == "failed" and run.tags.get(run_tags.WILL_RETRY) == "true" and run_tags.RETRIED_AS not in run.tags,
    )


def failure_message(instance: dg.DagsterInstance, run_id: str) -> str:
    """Returns the error message of the run's step that failed last; empty if none has failed."""
    entry = _last_event(instance, run_id, dg.DagsterEventType.STEP_FAILURE)
    return _failure(entry.get_dagster_event().step_failure_data)[0] if entry else ""


def _last_event(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> dg.EventLogEntry | None:
    records = instance.get_records_for_run(run_id, of_type=kind, limit=1, ascending=False).records
    return records[0].event_log_entry if records else None


def _failure(data: Any) -> tuple[str, str]:
    """Returns a failed step's message, and the class of its error if that is one of this platform's, else empty."""
    failure = data.user_failure_data
    if failure and failure.description:
        name = failure.metadata.get("error")
        return failure.description, str(name.value) if name else ""
    if data.error and data.error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
        return "Its run was interrupted", ""
    return (data.error.message.strip() if data.error else ""), ""


def _retried(data: Any) -> str:
    """Returns the message of the error after which a step is tried again, without the name of its class."""
    error = data.error and (data.error.cause or data.error)
    return error.message.strip().partition(": ")[2] if error else ""


def _event_config(run: dg.DagsterRun) -> dict[str, Any] | None:
    """Returns the restore event in a run's config; None if it has none, or if the run does not store it."""
    config: Any = run.run_config
    # A run that starts from a later stage still has the config, but works on the event that is stored by then.
    keys = run.step_keys_to_execute
    if keys and RUN_STAGES[0].value not in keys:
        return None
    for key in ("ops", Stage.RESTORED_MESSAGE.value, "config"):
        config = config.get(key) if isinstance(config, dict) else None
    return config if isinstance(config, dict) and given_in(config) else None


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
