"""The archivists' page acts on nothing: every change that Dagster's schema has is asked of it, and refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget, PythonFileTarget
from graphql import GraphQLScalarType, get_named_type

from ao_workflows_tests.support.page_questions import answer, page_schema

REPOSITORY = 'repositoryName: "__repository__", repositoryLocationName: "x"'
PARTITIONS = f'repositorySelector: {{{REPOSITORY}}}, partitionsDefName: "works"'
RUN = f'selector: {{{REPOSITORY}, jobName: "j"}}, runConfigData: {{}}, mode: "default"'
SENSOR = f'{{{REPOSITORY}, sensorName: "s"}}'
SCHEDULE = f'{{{REPOSITORY}, scheduleName: "c"}}'
ASSET = '{path: ["a"]}'

ASKED = {
    "addDynamicPartition": f'{PARTITIONS}, partitionKey: "W1"',
    "cancelPartitionBackfill": 'backfillId: "planned"',
    "deleteAppManagedComponent": 'locationName: "x", componentId: "a"',
    "deleteConcurrencyLimit": 'concurrencyKey: "a"',
    "deleteDynamicPartitions": f'{PARTITIONS}, partitionKeys: ["W1"]',
    "deletePipelineRun": 'runId: "RUN"',
    "deleteRun": 'runId: "RUN"',
    "freeConcurrencySlots": 'runId: "RUN"',
    "freeConcurrencySlotsForRun": 'runId: "RUN"',
    "launchMultipleRuns": f"executionParamsList: [{{{RUN}}}]",
    "launchPartitionBackfill": f"backfillParams: {{allPartitions: false, assetSelection: [{ASSET}]}}",
    "launchPipelineExecution": f"executionParams: {{{RUN}}}",
    "launchPipelineReexecution": 'reexecutionParams: {parentRunId: "RUN", strategy: ALL_STEPS}',
    "launchRun": f"executionParams: {{{RUN}}}",
    "launchRunReexecution": 'reexecutionParams: {parentRunId: "RUN", strategy: ALL_STEPS}',
    "reexecutePartitionBackfill": 'reexecutionParams: {parentRunId: "done", strategy: ALL_STEPS}',
    "refreshComponentState": 'locationName: "x", defsStateKey: "a"',
    "reloadRepositoryLocation": 'repositoryLocationName: "x"',
    "reloadWorkspace": "",
    "reportAssetCheckEvaluations": f'eventParams: {{assetKey: {ASSET}, checkName: "n", passed: true}}',
    "reportRunlessAssetEvents": f"eventParams: {{eventType: ASSET_MATERIALIZATION, assetKey: {ASSET}}}",
    "resetSchedule": f"scheduleSelector: {SCHEDULE}",
    "resetSensor": f"sensorSelector: {SENSOR}",
    "resumePartitionBackfill": 'backfillId: "planned"',
    "scheduleDryRun": f"selectorData: {SCHEDULE}, timestamp: 1800000000.0",
    "sensorDryRun": f'selectorData: {SENSOR}, cursor: ""',
    "setAppManagedComponent": 'locationName: "x", componentId: "a", attributes: "{}", componentType: "x"',
    "setAutoMaterializePaused": "paused: false",
    "setConcurrencyLimit": 'concurrencyKey: "a", limit: 1',
    "setSensorCursor": f'sensorSelector: {SENSOR}, cursor: "a"',
    "shutdownRepositoryLocation": 'repositoryLocationName: "x"',
    "startSchedule": f"scheduleSelector: {SCHEDULE}",
    "startSensor": f"sensorSelector: {SENSOR}",
    "stopRunningSchedule": 'id: "SCHEDULE"',
    "stopSensor": 'id: "SENSOR"',
    "terminatePipelineExecution": 'runId: "RUN"',
    "terminateRun": 'runId: "RUN"',
    "terminateRuns": 'runIds: ["RUN"]',
    "wipeAssets": f"assetPartitionRanges: [{{assetKey: {ASSET}}}]",
}
HARMLESS = {"logTelemetry", "setNuxSeen"}
"""What is no right: telemetry is off, and that the greeting was seen is a file that the page cannot make."""

CODE = """
import dagster as dg

@dg.asset
def a(): ...

@dg.op
def o(): ...

@dg.job
def j():
    o()

@dg.sensor(target=j, default_status=dg.DefaultSensorStatus.RUNNING)
def s():
    raise RuntimeError("a person who may only look had it executed")

@dg.schedule(cron_schedule="0 3 * * *", target=j, default_status=dg.DefaultScheduleStatus.RUNNING)
def c():
    raise RuntimeError("a person who may only look had it executed")

defs = dg.Definitions([a], jobs=[j], sensors=[s], schedules=[c])
"""

MORE = {
    "launchMultipleRuns": "... on LaunchMultipleRunsResult { launchMultipleRunsResult { __typename } }",
    "terminatePipelineExecution": "... on TerminateRunFailure { message }",
    "terminateRun": "... on TerminateRunFailure { message }",
    "terminateRuns": "... on TerminateRunsResult { terminateRunResults { ... on TerminateRunFailure { message } } }",
}
"""Where the answer has a refusal in its parts, or in words, what is asked for besides."""

SCHEMA = page_schema()
REFUSED = re.compile("UnauthorizedError|You do not have permission")


@dg.job
def j() -> None:
    """A job by a name that the page has."""


@dataclass
class Pages:
    """The operators' page and the archivists', and what stands for an id in what is asked."""

    operators: WorkspaceProcessContext
    archivists: WorkspaceProcessContext
    ids: dict[str, str]

    def asked(self, page: WorkspaceProcessContext, change: str) -> str:
        assert SCHEMA.mutation_type
        words = ASKED[change]
        for word, is_id in self.ids.items():
            words = words.replace(word, is_id)
        words = f"({words})" if words else ""
        inner = (
            ""
            if isinstance(get_named_type(SCHEMA.mutation_type.fields[change].type), GraphQLScalarType)
            else (f"{{ __typename ... on PythonError {{ message }} {MORE.get(change, '')} }}")
        )
        return answer(page, SCHEMA, f"mutation {{ {change}{words} {inner} }}")[1]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    folder = tmp_path_factory.mktemp("rights")
    (folder / "x.py").write_text(CODE)
    target = PythonFileTarget(str(folder / "x.py"), None, str(folder), "x")
    with dg.instance_for_test() as instance, WorkspaceProcessContext(instance, target) as operators:
        instance.add_dynamic_partitions("works", ["W1"])
        (code,) = operators.create_request_context().code_locations
        (repository,) = code.get_repositories().values()
        origin = repository.get_full_job("j").get_remote_origin()
        run = instance.create_run_for_job(j, remote_job_origin=origin, status=dg.DagsterRunStatus.STARTED)
        asked = {"asset_selection": [dg.AssetKey("a")], "from_failure": False, "tags": {}, "backfill_timestamp": 0.0}
        instance.add_backfill(PartitionBackfill("planned", BulkActionStatus.REQUESTED, **asked))
        instance.add_backfill(PartitionBackfill("done", BulkActionStatus.COMPLETED_FAILED, **asked))
        server = GrpcServerTarget("localhost", None, code.socket, "x")  # type: ignore[attr-defined]
        ids = {
            "RUN": run.run_id,
            "SENSOR": repository.get_sensors()[0].get_compound_id().to_string(),
            "SCHEDULE": repository.get_schedules()[0].get_compound_id().to_string(),
        }
        with WorkspaceProcessContext(instance, server, read_only=True) as archivists:
            yield Pages(operators, archivists, ids)


@pytest.mark.parametrize("change", sorted(ASKED))
def test_no_change_can_be_asked_of_the_archivists_page(change: str, pages: Pages) -> None:
    """Each has its own check in Dagster, and one that has none would act, or execute code, for whoever may look."""
    told = pages.asked(pages.archivists, change)
    assert REFUSED.search(told), told


def test_each_change_of_the_schema_is_asked_for() -> None:
    """A later Dagster's new one might be open to everyone."""
    assert SCHEMA.mutation_type
    assert set(SCHEMA.mutation_type.fields) == set(ASKED) | HARMLESS


def test_the_operators_page_refuses_none_of_these(pages: Pages) -> None:
    """Else the tests above show nothing."""
    assert not REFUSED.search(pages.asked(pages.operators, "setSensorCursor"))
    assert "DryRunInstigationTick" in pages.asked(pages.operators, "sensorDryRun")
