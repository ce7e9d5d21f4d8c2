"""Runs whose process is gone: found, failed, and run again by Dagster; and no living run is touched."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, MAX_RETRIES_TAG, RUN_FAILURE_REASON_TAG, WILL_RETRY_TAG
from dagster._core.test_utils import create_run_for_test

from ao_workflows.defs.sensors.intakes import run_config
from ao_workflows.defs.sensors.lost_runs import lost_runs
from ao_workflows.events.message_parts import WantedRun
from ao_workflows.machine.disk import remove_tree
from ao_workflows.site.sections import CHECKOUT
from ao_workflows.staging.staging import Staging
from ao_workflows.status.noted_events import last_noted, note, works
from ao_workflows_tests.status.test_standing import EVENT
from ao_workflows_tests.support.small_disks import mounted, use_all_inodes

_EXECUTE = """
import signal, sys
from ao_workflows.status.noted_events import last_noted, note, works
from ao_workflows.staging.staging import Staging
from ao_workflows.defs.sensors.intakes import run_config
Staging(root=sys.argv[1]).run_locks.hold(sys.argv[2])
print("under way", flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance as the project ships it."""
    home = tmp_path_factory.mktemp("dagster")
    shutil.copy(CHECKOUT / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(root=str(tmp_path))


def _started(instance: dg.DagsterInstance, partition: str | None = "W1NLM4712", **tags: str) -> str:
    of_work = {"dagster/partition": partition} if partition else {}
    return create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=tags | of_work).run_id


def _status(instance: dg.DagsterInstance, run_id: str) -> tuple[dg.DagsterRunStatus, dict[str, str]]:
    run = instance.get_run_by_id(run_id)
    assert run
    return run.status, dict(run.tags)


def _look(instance: dg.DagsterInstance, staging: Staging, looks: int) -> str:
    cursor, said = None, []
    for _ in range(looks):
        with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"staging": staging}) as context:
            result = lost_runs(context)
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor
        said.append(str(result.skip_reason))
    return " ".join(said)


def test_a_run_whose_process_was_killed_fails_at_the_second_look_and_is_to_be_run_again(
    instance: dg.DagsterInstance, staging: Staging
) -> None:
    """Started for ever, it holds one of the two places of the run queue, and its work is never done."""
    run_id = _started(instance)
    process = subprocess.Popen([sys.executable, "-c", _EXECUTE, staging.root, run_id], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline()
        _look(instance, staging, 3)
        assert _status(instance, run_id)[0] is dg.DagsterRunStatus.STARTED, "it lives"
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    _look(instance, staging, 1)
    assert _status(instance, run_id)[0] is dg.DagsterRunStatus.STARTED, "it may be at its beginning, or at its end"
    assert run_id in _look(instance, staging, 2)
    status, tags = _status(instance, run_id)
    assert status is dg.DagsterRunStatus.FAILURE
    assert tags[WILL_RETRY_TAG] == "true"
    assert list(staging.layout.runs().iterdir()) == []


def test_no_run_is_lost_while_the_disk_has_no_room_for_a_lock(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """A run that waits for room for its lock would be run again, beside itself."""
    run_id = _started(instance)
    with mounted(tmp_path / "disk", "size=512k,nr_inodes=20") as disk:
        staging = Staging(root=str(disk))
        many = use_all_inodes(disk)
        assert "the scratch disk is full" in _look(instance, staging, 3)
        assert _status(instance, run_id)[0] is dg.DagsterRunStatus.STARTED
        remove_tree(many)
        staging.run_locks.hold(run_id)
        assert "none lost" in _look(instance, staging, 3)
        assert _status(instance, run_id)[0] is dg.DagsterRunStatus.STARTED
        staging.run_locks.release()
    instance.report_run_canceled(instance.get_runs(dg.RunsFilter(run_ids=[run_id]))[0])


def test_a_run_shows_that_it_lives_for_as_long_as_it_has_its_resources(
    instance: dg.DagsterInstance, staging: Staging
) -> None:
    """A run that showed nothing would be failed within a minute."""
    seen = []

    @dg.asset
    def looks(context: dg.AssetExecutionContext, staging: Staging) -> None:
        seen.append(Staging(root=staging.root).run_locks.is_held(context.run_id))

    assert dg.materialize([looks], instance=instance, resources={"staging": staging}).success
    assert seen == [True]
    assert list(staging.layout.runs().iterdir()) == []


@pytest.mark.parametrize(("most", "again"), [("4", True), ("0", False)])
@pytest.mark.parametrize("dagster_marked", ["false", "true"])
def test_a_retry_that_was_not_started_is_tried_again_while_the_rule_allows(
    instance: dg.DagsterInstance,
    staging: Staging,
    monkeypatch: pytest.MonkeyPatch,
    most: str,
    dagster_marked: str,
    *,
    again: bool,
) -> None:
    """With the code server away, Dagster gives a retry up for ever; or it read the run before it was marked."""
    run_id = _started(instance, **{MAX_RETRIES_TAG: most})
    run = instance.get_run_by_id(run_id)
    assert run
    instance.report_run_failed(run, "died", JobFailureData(None, RunFailureReason.UNEXPECTED_TERMINATION))
    instance.add_run_tags(run_id, {WILL_RETRY_TAG: dagster_marked})
    assert run_id not in _look(instance, staging, 1), "Dagster has its turn first"
    monkeypatch.setattr("ao_workflows.defs.sensors.lost_runs.NOT_RETRIED_FOR", timedelta())
    assert (run_id in _look(instance, staging, 1)) == again
    reports = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert len(reports) == (2 if again else 1)
    tags = _status(instance, run_id)[1]
    assert tags[RUN_FAILURE_REASON_TAG] == RunFailureReason.UNEXPECTED_TERMINATION.value
    if again:
        assert tags[WILL_RETRY_TAG] == "true"
        instance.add_run_tags(run_id, {AUTO_RETRY_RUN_ID_TAG: "the retry"})
        assert run_id not in _look(instance, staging, 1)


def test_a_run_of_another_job_is_never_taken_for_lost(instance: dg.DagsterInstance, staging: Staging) -> None:
    """The night's look at all works uses no staging, and so holds no lock."""
    run_id = _started(instance, partition=None)
    _look(instance, staging, 3)
    assert _status(instance, run_id)[0] is dg.DagsterRunStatus.STARTED


def test_a_run_that_failed_is_left_to_a_person(instance: dg.DagsterInstance, staging: Staging) -> None:
    """A bad bag that is tried again is as bad."""
    run_id = _started(instance)
    run = instance.get_run_by_id(run_id)
    assert run
    instance.report_run_failed(run, "a bad bag", JobFailureData(None, RunFailureReason.STEP_FAILURE))
    assert run_id not in _look(instance, staging, 2)
    assert _status(instance, run_id)[1][WILL_RETRY_TAG] == "false"


def test_it_looks_from_the_start_everywhere() -> None:
    """Unlike the intakes' sensors it takes nothing; switched off, it would find nothing."""
    assert lost_runs.default_status is dg.DefaultSensorStatus.RUNNING


def test_a_note_whose_event_was_done_on_another_host_goes(instance: dg.DagsterInstance, staging: Staging) -> None:
    """A run removes the note of its event from its own host's disk; the intake's, with notes of years, told of each."""
    early, late = (replace(EVENT, time=f"2026-11-21T{hour:02d}:00:00Z") for hour in (9, 11))
    note(
        staging, "fpl", [WantedRun("W1", early), WantedRun("W1", late), WantedRun("W2", early), WantedRun("W3", early)]
    )
    for rid, event, status in (
        ("W1", early, dg.DagsterRunStatus.SUCCESS),
        ("W2", early, dg.DagsterRunStatus.FAILURE),
        ("W3", late, dg.DagsterRunStatus.SUCCESS),
    ):
        tags = {"dagster/partition": rid}
        create_run_for_test(instance, status=status, tags=tags, run_config=run_config("fpl", event))
    _look(instance, staging, 1)
    left = {rid: last_noted(staging, rid, None) for rid in works(staging, 9)}
    assert {rid: noted and noted.event for rid, noted in left.items()} == {"W1": late, "W2": early}
    assert len(list(staging.layout.events("W1").iterdir())) == 1
