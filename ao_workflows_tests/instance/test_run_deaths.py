"""Runs that died, told to a real instance with the project's own dagster.yaml, whose retries act on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from ao_workflows.instance.run_deaths import ask_for_its_retry, owed_a_retry, report_death
from ao_workflows.site.sections import CHECKOUT
from ao_workflows.works import run_tags


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags={run_tags.PARTITION: "W1NLM4712"})


def tags_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, str]:
    found = instance.get_run_by_id(run.run_id)
    assert found
    return {**found.tags, "status": found.status.value}


def owed(instance: dg.DagsterInstance) -> list[str]:
    now = datetime.now(UTC)
    return [run.run_id for run in owed_a_retry(instance, now - timedelta(hours=1), now + timedelta(hours=1))]


def test_a_death_fails_the_run_for_a_reason_that_is_retried(instance: dg.DagsterInstance) -> None:
    """Told as a step's failure, it would end there: those are not retried."""
    run = started(instance)
    report_death(instance, run, "its process is gone")
    tags = tags_of(instance, run)
    assert (tags["status"], tags[run_tags.WILL_RETRY]) == ("FAILURE", "true")
    assert owed(instance) == [run.run_id]


def test_a_run_that_has_its_retry_is_owed_none(instance: dg.DagsterInstance) -> None:
    """Two retries of one run would be at the same work."""
    run = started(instance)
    report_death(instance, run, "its process is gone")
    instance.add_run_tags(run.run_id, {run_tags.RETRIED_AS: "another"})
    assert owed(instance) == []


def test_a_run_whose_step_failed_is_owed_no_retry(instance: dg.DagsterInstance) -> None:
    """A bad bag would be unpacked again and again."""
    run = started(instance)
    instance.report_run_failed(run, "a step failed")
    instance.add_run_tags(run.run_id, {run_tags.FAILURE_REASON: "STEP_FAILURE"})
    assert owed(instance) == []


def test_what_is_asked_for_again_is_marked_for_a_retry_once_more(instance: dg.DagsterInstance) -> None:
    """A daemon that was killed between the report and the retry never looks at the run again."""
    run = started(instance)
    report_death(instance, run, "its process is gone")
    instance.add_run_tags(run.run_id, {run_tags.WILL_RETRY: "false"})
    before = len(instance.all_logs(run.run_id))
    found = instance.get_run_by_id(run.run_id)
    assert found
    ask_for_its_retry(instance, found, "its retry was not made")
    assert tags_of(instance, run)[run_tags.WILL_RETRY] == "true"
    assert len(instance.all_logs(run.run_id)) > before
