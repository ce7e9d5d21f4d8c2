"""Watching the demo's works: where each stands, read from Dagster, and what is said when that changes."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from ao_workflows.demo.watch import SampleProgress, changes, read_sample_progress, samples_table
from ao_workflows_tests.demo.test_verdict import RID, sample


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def made(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> None:
    @dg.job
    def work() -> None:
        """Nothing."""

    run = instance.create_run_for_job(work, tags={"dagster/partition": RID, **tags}, status=status)
    assert run.status is status


@pytest.mark.parametrize(
    ("status", "tags", "stage", "ended"),
    [
        (dg.DagsterRunStatus.NOT_STARTED, {}, "waiting its turn", False),
        (dg.DagsterRunStatus.STARTED, {}, "starting", False),
        (dg.DagsterRunStatus.SUCCESS, {}, "in the archive", True),
        (dg.DagsterRunStatus.CANCELED, {}, "refused", True),
        (dg.DagsterRunStatus.FAILURE, {}, "waiting its turn", False),
        (dg.DagsterRunStatus.FAILURE, {"dagster/will_retry": "true"}, "waiting its turn", False),
        (dg.DagsterRunStatus.FAILURE, {"dagster/will_retry": "false"}, "refused", True),
    ],
)
def test_a_work_stands_where_its_run_is(
    instance: dg.DagsterInstance,
    tmp_path: Path,
    status: dg.DagsterRunStatus,
    tags: dict[str, str],
    stage: str,
    ended: bool,
) -> None:
    """A run that is going to be run again is not refused: the demo would end too early."""
    made(instance, status, **tags)
    standing = read_sample_progress(instance, [sample(tmp_path)], {})[RID]
    assert (standing.stage, standing.ended) == (stage, ended)


def test_a_work_without_a_run_is_asked_of_glacier_and_one_that_has_ended_is_not_read_again(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Read anew twice a second, a hundred works would keep Dagster busy."""
    assert read_sample_progress(instance, [sample(tmp_path)], {})[RID].stage == "asked of Glacier"
    ended = SampleProgress("refused", "for a reason", ended=True)
    made(instance, dg.DagsterRunStatus.SUCCESS)
    assert read_sample_progress(instance, [sample(tmp_path)], {RID: ended})[RID] is ended


def test_a_line_is_said_for_each_stage_and_the_reason_at_the_end() -> None:
    """Without a terminal, each look would print all works."""
    busy, ended = SampleProgress("downloading", "10 %"), SampleProgress("refused", "bad\nand more", ended=True)
    assert changes({}, {RID: busy}) == [f"{RID:<12} downloading"]
    assert changes({RID: busy}, {RID: SampleProgress("downloading", "20 %")}) == []
    assert changes({RID: busy}, {RID: ended}) == [f"{RID:<12} refused: bad"]


def test_the_table_counts_what_is_done_and_shows_the_title_until_something_is_said(tmp_path: Path) -> None:
    """A person who looks once must see how far it is."""
    shown = samples_table([sample(tmp_path)], {RID: SampleProgress("in the archive", ended=True)}, 3.0)
    assert shown.title == "1 of 1 works done, 3 s"
    assert str(next(iter(shown.columns[2].cells))) == "a work"
    shown = samples_table([sample(tmp_path)], {RID: SampleProgress("downloading", "10 %\nmore")}, 3.0)
    assert str(next(iter(shown.columns[2].cells))) == "10 %"
