"""What goes of Dagster's storage when it is old, and above all what stays, in SQLite and in PostgreSQL."""

# No `from __future__ import annotations`: Dagster looks at the assets' annotations.

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.test_utils import create_run_for_test
from dagster_postgres.event_log import PostgresEventLogStorage

from ao_workflows.instance import old_records
from ao_workflows_tests.support.instances import instance_on
from ao_workflows_tests.support.postgres import Postgres

TOMORROW = datetime.now(UTC) + timedelta(days=1)
HISTORY = {
    "ASSET_MATERIALIZATION",
    "ASSET_OBSERVATION",
    "ASSET_CHECK_EVALUATION",
    "STEP_FAILURE",
    "STEP_START",
    "PIPELINE_START",
    "PIPELINE_FAILURE",
}


@dg.asset(check_specs=[dg.AssetCheckSpec("proven", asset="thing")])
def thing(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """A text of a work's own that looks like a debug row must not be taken for one."""
    for number in range(100):
        context.log.debug(f"which bucket: {number}")
    context.log.info('a message with "level": 10, in it')
    context.log_event(dg.AssetObservation("thing"))
    return dg.MaterializeResult(
        metadata={"digest": "of the work"}, check_results=[dg.AssetCheckResult(check_name="proven", passed=True)]
    )


@dg.asset(deps=[thing])
def failing(context: dg.AssetExecutionContext) -> None:
    context.log.warning("it is about to fail")
    raise RuntimeError("it failed")


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def instance(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance with a run that failed at its second step."""
    tmp_path = tmp_path_factory.mktemp("home")
    if request.param == "SQLite":
        (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        made = dg.DagsterInstance.from_config(str(tmp_path))
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        made = instance_on(postgres.database(), tmp_path)
    with made:
        assert not dg.materialize([thing, failing], instance=made, raise_on_error=False).success
        yield made


def rows(instance: dg.DagsterInstance) -> Counter[tuple[str, int]]:
    """The rows of the only run that ended, by type and level."""
    (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    logs = instance.all_logs(run.run_id)
    return Counter((log.dagster_event.event_type_value if log.dagster_event else "", log.level) for log in logs)


def file_size(instance: dg.DagsterInstance) -> int:
    """The size of the run's own SQLite file; PostgreSQL has none."""
    (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    storage = instance.event_log_storage
    return Path(storage.path_for_shard(run.run_id)).stat().st_size if hasattr(storage, "path_for_shard") else 0


def test_debug_rows_go_and_all_that_tells_of_a_work_stays(instance: dg.DagsterInstance) -> None:
    """Ten years on, somebody asks when a work was proven, and by which digest."""
    before, size_before = rows(instance), file_size(instance)
    assert old_records.remove_debug_rows(instance, datetime.now(UTC) - timedelta(days=30)).count == 0
    assert rows(instance) == before, "a run that failed today is looked at today"
    removed = old_records.remove_debug_rows(instance, TOMORROW)
    gone = before - rows(instance)
    assert {level for _, level in gone} == {10}
    assert ("", 10) in gone
    assert ("ENGINE_EVENT", 10) in gone
    assert removed.count == gone.total() > 100
    assert removed.bytes > 100 * removed.count
    assert file_size(instance) < size_before or isinstance(instance.event_log_storage, PostgresEventLogStorage)
    assert not HISTORY & {kind for kind, _ in gone}
    assert {kind for kind, _ in rows(instance)} >= HISTORY
    assert {level for kind, level in rows(instance) if not kind} == {20, 30}
    event = instance.get_latest_materialization_event(dg.AssetKey("thing"))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["digest"].value == "of the work"
    assert len(instance.fetch_observations(dg.AssetKey("thing"), limit=9).records) == 1
    # A night that looks at every run there ever was takes longer each year.
    assert instance.daemon_cursor_storage.get_cursor_values({"ao/housekeeping"}) == {
        "ao/housekeeping": TOMORROW.isoformat()
    }
    assert old_records.remove_debug_rows(instance, TOMORROW).count == 0


def test_a_run_under_way_is_known_by_its_beginning(instance: dg.DagsterInstance) -> None:
    """Its logs are still being written."""
    run = create_run_for_test(instance, "restore_work", status=dg.DagsterRunStatus.STARTED)
    (began,) = old_records.beginnings_of_runs(instance, but="another")
    assert abs(datetime.now(UTC) - began) < timedelta(minutes=10)
    assert old_records.beginnings_of_runs(instance, but=run.run_id) == []


def test_ticks_of_schedules_and_of_what_is_switched_off_go_and_one_under_way_stays(
    instance: dg.DagsterInstance,
) -> None:
    """Dagster purges those of running sensors only; a tick that is under way holds the run requests that it made."""
    for name, kind in (("nightly", InstigatorType.SCHEDULE), ("intake", InstigatorType.SENSOR)):
        state = _state(name, kind)
        instance.add_instigator_state(state)
        for days, status in ((40, TickStatus.SUCCESS), (40, TickStatus.STARTED), (1, TickStatus.SUCCESS)):
            at = (datetime.now(UTC) - timedelta(days=days)).timestamp()
            instance.create_tick(
                TickData(state.instigator_origin_id, name, kind, status, at, run_ids=[], selector_id=state.selector_id)
            )
    assert old_records.remove_ticks(instance, datetime.now(UTC) - timedelta(days=30)).count == 2
    for name, kind in (("nightly", InstigatorType.SCHEDULE), ("intake", InstigatorType.SENSOR)):
        state = _state(name, kind)
        left = instance.get_ticks(state.instigator_origin_id, state.selector_id)
        assert sorted(tick.status.value for tick in left) == ["STARTED", "SUCCESS"]


def _state(name: str, kind: InstigatorType) -> InstigatorState:
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("ao_workflows"), "__repository__")
    data = ScheduleInstigatorData("0 3 * * *") if kind is InstigatorType.SCHEDULE else SensorInstigatorData()
    return InstigatorState(RemoteInstigatorOrigin(origin, name), kind, InstigatorStatus.STOPPED, data)
