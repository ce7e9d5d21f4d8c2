"""Which code the process of a run loads, in the process itself: the run in the storage is changed after its launch."""

# No `from __future__ import annotations`: Dagster looks at the ops' annotations.

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._cli import api
from dagster._core.code_pointer import CustomPointer, ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc import impl
from dagster._grpc.types import ExecuteRunArgs

from ao_workflows.instance import run_process
from ao_workflows.instance.own_code import as_launched
from ao_workflows.instance.run_queue import queue_run
from ao_workflows_tests.support.site_texts import WHOLE


@dg.job(executor_def=dg.in_process_executor)
def housekeeping() -> None:
    """A job by a name of ours."""


class Place(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A resource with a setting of the site."""

    folder: str


@dg.op
def write(place: Place) -> None:
    """What a stage does with a setting."""
    Path(place.folder).mkdir()


@dg.job(executor_def=dg.in_process_executor, resource_defs={"place": Place(folder="/nowhere")})
def writes() -> None:
    """A job with a resource."""
    write()


def code_of_writes() -> JobPythonOrigin:
    pointer = ModuleCodePointer("ao_workflows.definitions", "defs")
    return JobPythonOrigin("writes", RepositoryPythonOrigin("python", pointer))


@pytest.mark.parametrize(("start", "is_made"), [(None, False), (["python", "-m", "dagster"], True)], ids=str)
def test_code_that_was_written_into_the_storage_after_the_launch_is_not_loaded(
    tmp_path: Path, start: list[str] | None, is_made: bool
) -> None:
    """Whoever can write into the storage had all secrets of the archive; by Dagster's own command he has."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (tmp_path / "site.toml").write_text(WHOLE)
    made = tmp_path / "made"
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run_id = queue_run(instance, housekeeping, "works", "W1NLM4700", [], {}, {})
        run = instance.get_run_by_id(run_id)
        assert run is not None
        launched = as_launched(run, "ours:1").job_code_origin
        assert launched is not None
        if start:
            launched = JobPythonOrigin(launched.job_name, launched.repository_origin._replace(entry_point=start))
        command = ExecuteRunArgs(launched, run_id, instance.get_ref(), True).get_command_args()
        evil = CustomPointer(ModuleCodePointer("os", "system"), [f"touch {made}"], [])
        with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
            changed = run._replace(job_code_origin=JobPythonOrigin("housekeeping", RepositoryPythonOrigin("x", evil)))
            words = (dg.serialize_value(changed), run_id)
            connection.exec_driver_sql("UPDATE runs SET run_body = ? WHERE run_id = ?", words)
        environment = os.environ | {"AO_SITE": str(tmp_path / "site.toml"), "DAGSTER_HOME": str(tmp_path)}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            command, env=environment | {"PATH": path}, capture_output=True, text=True, cwd=tmp_path, check=False
        )
        said = [str(each.dagster_event.message) for each in instance.all_logs(run_id) if each.dagster_event]
    assert made.exists() == is_made, done.stderr
    if not is_made:
        assert any("Started process for run" in each for each in said), done.stderr


@pytest.mark.parametrize(("is_ours", "leaves"), [(True, False), (False, True)], ids=["ours", "dagster's"])
def test_settings_that_were_written_into_the_storage_after_the_launch_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_ours: bool, leaves: bool
) -> None:
    """The site's credentials went to the server that the run named, and its files to the folder; by Dagster they do."""
    monkeypatch.setattr(api, "recon_job_from_origin", lambda _: dg.reconstructable(writes))
    monkeypatch.setattr(impl, "execute_run_iterator", impl.execute_run_iterator)
    if is_ours:
        run_process.load_our_code_only()
        monkeypatch.setattr(api, "recon_job_from_origin", lambda _: dg.reconstructable(writes))
    with dg.instance_for_test() as instance:
        evil = {"resources": {"place": {"config": {"folder": str(tmp_path / "evil")}}}}
        run = instance.create_run_for_job(writes, run_config=evil, job_code_origin=code_of_writes())
        api._execute_run_command_body(run.run_id, instance, lambda _: None, set_exit_code_on_failure=True)
        said = " ".join(str(each.dagster_event) for each in instance.all_logs(run.run_id))
        ended = instance.get_run_by_id(run.run_id)
    assert (tmp_path / "evil").exists() == leaves
    assert ("brings its own configuration of resources.place" in said) == is_ours
    assert ended is not None
    assert ended.status is (dg.DagsterRunStatus.FAILURE if is_ours else dg.DagsterRunStatus.SUCCESS)
