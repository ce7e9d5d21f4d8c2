"""A work's runs, as Dagster has them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.status.runs import (
    failure_message,
    newest_run,
    run_in_flight,
    stored_event_config,
    times_of_done_events,
    works_of_runs,
)

EVENT = ObjectEvent("ObjectRestore:Completed", "2026-11-21T09:00:00Z", "r", "b", "W1.bag.zip", etag="e")
LATER = ObjectEvent("ObjectRestore:Completed", "2026-11-21T11:00:00Z", "r", "b", "W1.bag.zip", etag="f")
Status = dg.DagsterRunStatus


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def made(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    event: ObjectEvent | None = None,
    rid: str = "W1",
    **tags: str,
) -> str:
    @dg.op(config_schema=dg.Noneable(dict))
    def restored_message() -> None:
        """Nothing."""

    @dg.job
    def restore_work() -> None:
        restored_message()

    config = {"ops": {"restored_message": {"config": {"intake": "fpl", **asdict(event)}}}} if event else {}
    tags = {"dagster/partition": rid, **{f"dagster/{name}": value for name, value in tags.items()}}
    return instance.create_run_for_job(restore_work, run_config=config, tags=tags, status=status).run_id


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (Status.NOT_STARTED, "queued"),
        (Status.STARTED, "under way"),
        (Status.CANCELING, "under way"),
        (Status.SUCCESS, "succeeded"),
        (Status.FAILURE, "failed"),
        (Status.CANCELED, "canceled"),
    ],
)
def test_each_of_dagster_s_states_is_one_of_ours(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, state: str
) -> None:
    """A run that is being cancelled still has the work."""
    run_id = made(instance, status, EVENT)
    seen = newest_run(instance, "W1")
    assert seen
    assert (seen.run_id, seen.state, seen.event, seen.intake) == (run_id, state, EVENT, "fpl")
    assert (run_in_flight(instance, "W1") is not None) is (state in {"queued", "under way"})


def test_a_work_without_runs_has_none_and_another_s_is_not_its(instance: dg.DagsterInstance) -> None:
    """A work whose name differs in case alone is another work."""
    made(instance, Status.STARTED, rid="w1")
    assert newest_run(instance, "W1") is run_in_flight(instance, "W1") is None
    assert works_of_runs(instance, [Status.STARTED], 5) == ["w1"]


def test_a_failed_run_that_dagster_runs_again_says_so_until_the_other_is_there(instance: dg.DagsterInstance) -> None:
    """A person must not be asked for what is done by itself."""
    made(instance, Status.FAILURE, will_retry="true")
    seen = newest_run(instance, "W1")
    assert seen
    assert seen.again
    made(instance, Status.FAILURE, will_retry="true", auto_retry_run_id="other")
    seen = newest_run(instance, "W1")
    assert seen
    assert not seen.again
    assert failure_message(instance, seen.run_id) == ""


def test_the_newest_event_that_only_a_run_s_config_has_is_taken_from_there(instance: dg.DagsterInstance) -> None:
    """A run that was killed before its first stage left it nowhere else."""
    assert stored_event_config(instance, "W1", None) is None
    made(instance, Status.FAILURE, LATER)
    made(instance, Status.FAILURE, EVENT)
    made(instance, Status.FAILURE)
    found = stored_event_config(instance, "W1", None)
    assert found
    assert found["ops"]["restored_message"]["config"]["time"] == LATER.time


def test_only_what_succeeded_since_then_was_done(instance: dg.DagsterInstance) -> None:
    """A note is removed by it: one whose run failed is all that is left of its event."""
    now = datetime.now(UTC)
    made(instance, Status.FAILURE, LATER)
    made(instance, Status.SUCCESS, EVENT)
    assert times_of_done_events(instance, "W1", now - timedelta(hours=1)) == [EVENT.time]
    assert times_of_done_events(instance, "W1", now + timedelta(hours=1)) == []
