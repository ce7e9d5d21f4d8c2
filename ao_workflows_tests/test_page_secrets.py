"""No secret is on Dagster's page: everything that its schema can be asked is asked, as operators and as archivists.

The archivists' page asks a code server that has neither a secret nor a storage, and has all its answers.

The secrets are planted wherever a site's files and variables may have one. A value that is no secret is planted beside
them: where it is not found, the questions no longer reach what Dagster shows of a configuration.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget, ModuleTarget
from graphql import GraphQLSchema

from ao_workflows import clients
from ao_workflows.definitions import build
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows_tests.support.page_questions import Word, answer, page_schema, questions
from ao_workflows_tests.support.postgres import Postgres
from ao_workflows_tests.support.viewer_code import viewer_code

CHECKOUT = Path(__file__).resolve().parents[1]
LOCATION = "ao_workflows"
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}
JOB = {**REPOSITORY, "pipelineName": "restore_work"}
ASSET = {"path": ["synced_archive"]}

GIVEN: dict[str, object] = {
    "assetKey": ASSET,
    "assetKeys": [ASSET],
    "ascending": True,
    "backfillId": "none",
    "checkName": "none",
    "dagsterTypeName": "Any",
    "evaluationId": "1",
    "eventTypeSelectors": [Word("MATERIALIZATION")],
    "fileKey": "none",
    "handleID": "synced_archive",
    "instigationSelector": {**REPOSITORY, "name": "lost_runs"},
    "limit": 20,
    "locationName": LOCATION,
    "mode": "default",
    "name": LOCATION,
    "partition": "W1",
    "partitionName": "W1",
    "pipeline": JOB,
    "pipelineName": "restore_work",
    "pipelineSelector": JOB,
    "repositoryID": "none",
    "repositorySelector": REPOSITORY,
    "resourceSelector": {**REPOSITORY, "resourceName": "staging"},
    "scheduleSelector": {**REPOSITORY, "scheduleName": "nightly_housekeeping"},
    "selector": JOB,
    "sensorSelector": {**REPOSITORY, "sensorName": "demo_intake"},
    "tickId": "1",
    "tickTimestamp": 1_800_000_000,
    "timestampMillis": "1",
    "view": Word("RUNS"),
    "Query.assetBackfillPreview.params": {"partitionNames": ["W1"], "assetSelection": [ASSET]},
    "Query.graphOrError.selector": {**REPOSITORY, "graphName": "restore_work"},
    "Query.partitionSetOrError.partitionSetName": "restore_work_partition_set",
    "Query.pipelineOrError.params": JOB,
    "Query.pipelineSnapshotOrError.activePipelineSelector": JOB,
    "Query.runTagsOrError.tagKeys": ["dagster/partition"],
    "Repository.usedSolid.name": "synced_archive",
}

SHOW_CONFIGURATION = {
    "allTopLevelResourceDetailsOrError",
    "pipelineOrError",
    "pipelineSnapshotOrError",
    "resourcesOrError",
    "runConfigSchemaOrError",
    "topLevelResourceDetailsOrError",
}
"""The queries by which Dagster shows what a resource is configured with."""

NOTHING_THERE = {
    "assetConditionEvaluationForPartition",
    "assetConditionEvaluationRecordsOrError",
    "instigationStatesOrError",
    "latestDefsStateInfo",
    "truePartitionsForAutomationConditionEvaluationNode",
}
"""The queries that have no answer: the platform has no automation conditions and no components of Dagster's, and some
ask by an id of Dagster's own for what other queries tell too."""


@dataclass(frozen=True)
class Pages:
    """The two pages of a site, with what was planted in it: secrets by the places where they are, and what is none."""

    schema: GraphQLSchema
    by_role: dict[str, WorkspaceProcessContext]
    secrets: dict[str, str]
    shown: str
    run_id: str

    def answers(self, role: str) -> Iterator[tuple[str, Any, str]]:
        given = {**GIVEN, "runId": self.run_id, "logKey": [self.run_id, "compute_logs", "none"]}
        for query, question in questions(self.schema, given).items():
            data, text = answer(self.by_role[role], self.schema, question)
            yield query, data, text


@pytest.fixture(scope="module")
def pages(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    folder = tmp_path_factory.mktemp("pages")
    (storage,) = {line.rpartition(":")[2] for line in postgres.passfile.read_text().splitlines()}
    places = ("drs.url", "sync.env", "AO_SYNC__ENV__", "WORKERS_BROKER", "run_launcher.env_vars", "registry")
    planted = {place: secrets.token_hex(12) for place in places} | {"storage": storage}
    site = f'[sync.env]\nTOKEN = "{planted["sync.env"]}"\n\n[drs]\n'
    url = f"mysql+pymysql://drs:{planted['drs.url']}@127.0.0.1:9/drs"
    text = demo_site(folder, "http://127.0.0.1:9").replace("[drs]\n", site)
    (folder / "site.toml").write_text(text.replace(f"sqlite:///{folder}/drs.sqlite", url))

    settings = yaml.safe_load((CHECKOUT / "docker/config/dagster.yaml").read_text())
    address = postgres.database().partition("?")[0].replace("dagster@", f"dagster:{storage}@")
    settings["storage"]["postgres"]["postgres_url"] = address
    settings["compute_logs"]["config"]["folder"] = str(folder / "compute")
    settings["local_artifact_storage"]["config"]["base_dir"] = str(folder / "artifacts")
    containers = settings["run_launcher"]["config"]["containers"]
    containers["env_vars"].append(f"TOKEN={planted['run_launcher.env_vars']}")
    containers["registry"] = {"url": "registry.example", "username": "ao", "password": planted["registry"]}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))

    environment = {
        "AO_NETWORK": "none",
        "AO_SITE": str(folder / "site.toml"),
        "AO_SYNC__ENV__OTHER": planted["AO_SYNC__ENV__"],
        "COMPUTE_LOGS": "",
        "COMPUTE_LOGS_ENDPOINT": "",
        "COMPUTE_LOGS_REGION": "us-east-1",
        "DAGSTER_HOME": str(folder),
        "DAGSTER_STORAGE": address,
        "RUNS_AT_ONCE": "2",
        "RUNS_IN": "containers",
        "WORKERS_BROKER": f"redis://:{planted['WORKERS_BROKER']}@127.0.0.1:9/0",
    }
    with ExitStack() as until_asked, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        instance = until_asked.enter_context(dg.DagsterInstance.from_config(str(folder)))
        run_id = _runs(instance, (folder / "site.toml").read_text())
        module = ModuleTarget("ao_workflows.definitions", None, None, LOCATION)
        operators = until_asked.enter_context(WorkspaceProcessContext(instance, module))
        port = until_asked.enter_context(viewer_code(folder / "site.toml"))
        server = GrpcServerTarget("127.0.0.1", port, None, LOCATION)
        archivists = until_asked.enter_context(WorkspaceProcessContext(instance, server, read_only=True))
        by_role = {"operators": operators, "archivists": archivists}
        yield Pages(page_schema(), by_role, planted, str(folder / "staging"), run_id)


def _runs(instance: dg.DagsterInstance, text: str) -> str:
    """Puts two runs into the storage: one of a work, which waits, and one that failed, since it could not reach DRS."""
    site = parse(text, "the test's site")
    definitions = build(site)
    instance.add_dynamic_partitions("works", ["W1"])
    job: Any = definitions.resolve_job_def("restore_work")
    instance.create_run_for_job(job, tags={"dagster/partition": "W1"})
    away = {**clients.resources(site), "drs": clients.drs(site, patience=0)}
    watching: list[Any] = [each for each in definitions.assets or () if getattr(each, "partitions_def", 0) is None]
    failed = dg.materialize(watching, instance=instance, resources=away, raise_on_error=False)
    assert not failed.success
    return failed.run_id


@pytest.mark.parametrize("role", ["operators", "archivists"])
def test_no_secret_is_in_any_answer_of_the_page(role: str, pages: Pages) -> None:
    """The database's password and all that the sync script is given were in the configuration of a resource, which
    Dagster shows to everyone who may look at its page, and keeps with each run.
    """
    found: dict[str, list[str]] = {}
    reached, failed = set(), set()
    for query, data, text in pages.answers(role):
        for place in [place for place, secret in pages.secrets.items() if secret in text]:
            found.setdefault(place, []).append(query)
        reached |= {query} if pages.shown in text else set()
        told = (data or {}).get(query)
        if told is None or (isinstance(told, dict) and told["__typename"] == "PythonError"):
            failed.add(query)
    assert found == {}
    assert reached >= SHOW_CONFIGURATION, "the questions no longer reach what is shown of a configuration"
    assert failed == NOTHING_THERE, "these are asked for what is not there"
