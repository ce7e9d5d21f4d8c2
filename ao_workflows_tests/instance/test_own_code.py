"""What a run in the storage may say of its process, and what becomes of one that says more: with each launcher."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.code_pointer import CodePointer, CustomPointer, FileCodePointer, ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from ao_workflows.errors import RunRefused, StackError
from ao_workflows.instance.own_code import as_launched, check_run, other_image
from ao_workflows.instance.run_queue import queue_run
from ao_workflows_tests.support.docker_api import docker_engine

CHECKOUT = Path(__file__).resolve().parents[2]
OURS = "ao_workflows.definitions"
IMAGE = "ao-workflows:9.9.9"
START = ["python", "-m", "ao_workflows.instance.run_process"]

ROOT_ON_THE_HOST = {
    "docker": {
        "container_kwargs": {
            "user": "0",
            "privileged": True,
            "cap_add": ["ALL"],
            "volumes": ["/:/host"],
            "entrypoint": ["sh", "-c", "chroot /host"],
            "mem_limit": "64g",
        },
        "networks": ["host"],
        "env_vars": ["LD_PRELOAD=/staging/works/evil.so"],
    }
}
ON_A_NODE = {"k8s": {"namespace": "kube-system", "run_k8s_config": {"container_config": {"image": "another"}}}}


@dg.job(executor_def=dg.in_process_executor)
def restore_work() -> None:
    """A job by the name of ours."""


def code(
    pointer: CodePointer | None = None, job: str = "restore_work", image: str | None = IMAGE, **others: Any
) -> JobPythonOrigin:
    """Where the code of a run is; as the code server says it, but for what is given."""
    pointer = pointer or ModuleCodePointer(OURS, "defs", str(Path.cwd()))
    others = {"entry_point": ["dagster"]} | others
    return JobPythonOrigin(job, RepositoryPythonOrigin("/opt/ao/venv/bin/python", pointer, image, **others))


def run_of(origin: JobPythonOrigin | None, tags: Mapping[str, str] | None = None) -> dg.DagsterRun:
    return dg.DagsterRun("restore_work", run_id="0a1b2c3d-aaaa", tags=dict(tags or {}), job_code_origin=origin)


ATTACKS = [
    (code(container_context=ROOT_ON_THE_HOST), {}, "setting docker.container_kwargs.privileged"),
    (code(container_context={"env_vars": ["PYTHONPATH=/staging"]}), {}, "setting env_vars"),
    (code(container_context=ON_A_NODE), {}, "setting k8s.run_k8s_config.container_config.image"),
    (code(entry_point=["sh", "-c", "id", "--"]), {}, "entry point"),
    (code(FileCodePointer("/staging/works/evil.py", "defs")), {}, "code (/staging/works/evil.py::defs)"),
    (code(ModuleCodePointer("evil", "defs")), {}, "code (from evil import defs)"),
    (code(ModuleCodePointer(OURS, "defs", "/staging/works/W1")), {}, "code ("),
    (code(CustomPointer(ModuleCodePointer("os", "system"), ["id"], [])), {}, "code (reconstructable using os.system)"),
    (code(), {"dagster-k8s/config": "{}"}, "tag dagster-k8s/config"),
    (code(), {"dagster-celery/queue": "another"}, "tag dagster-celery/queue"),
    (None, {}, "code (it names none)"),
]


@pytest.mark.parametrize(("origin", "tags", "named"), ATTACKS, ids=[each[2] for each in ATTACKS])
def test_a_run_that_brings_what_is_not_its_own_is_refused(
    origin: JobPythonOrigin | None, tags: dict[str, str], named: str
) -> None:
    """Whoever can write into the storage would be root on the host, or whoever executes runs."""
    with pytest.raises(RunRefused, match="find out who wrote this run") as refused:
        as_launched(run_of(origin, tags), IMAGE)
    assert any(each.startswith(named) for each in refused.value.brings)


def test_a_refusal_tells_no_values_and_stays_short() -> None:
    """It stands in the run's log, which every archivist reads."""
    many: dict[str, Any] = {f"A{number}": {"inner": "hidden"} for number in range(1000)} | {"\x1b[2J": "hidden"}
    with pytest.raises(RunRefused) as refused:
        check_run(run_of(code(container_context={"\x1b[2J" + "a" * 10_000: "hidden"} | many)))
    assert "hidden" not in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 1500
    assert refused.value.brings[-1] == "992 more"


@pytest.mark.parametrize("run_id", ["../../../mnt/Archive0", "0a1b/..", "0a1b.", "", "a" * 65, "0a1b\n"])
def test_a_run_whose_id_would_name_another_folder_is_refused(run_id: str) -> None:
    """What it unpacks and what it prints have its id in their names."""
    run = dg.DagsterRun("restore_work", run_id="0a1b", job_code_origin=code())._replace(run_id=run_id)
    with pytest.raises(RunRefused, match="run id"):
        check_run(run)


@pytest.mark.parametrize("place", [None, str(Path.cwd())])
@pytest.mark.parametrize("start", [None, ["dagster"], ["/opt/ao/venv/bin/python", "-m", "dagster"]])
def test_a_run_of_ours_is_launched_with_the_launcher_s_image_and_command(
    place: str | None, start: list[str] | None
) -> None:
    """As the code server and `ao reprocess` make runs; one that was queued before an update names the old image."""
    run = run_of(code(ModuleCodePointer(OURS, "defs", place), image="ao-workflows:0.0.1", entry_point=start))
    launched = as_launched(run, IMAGE)
    assert launched.job_code_origin is not None
    made = launched.job_code_origin.repository_origin
    assert (made.container_image, made.entry_point, made.container_context) == (IMAGE, START, None)
    assert launched.run_id == run.run_id
    assert other_image(run, IMAGE) == "ao-workflows:0.0.1"
    assert other_image(launched, IMAGE) is None


def test_the_image_is_the_setting_or_that_of_the_process_that_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without one would be given the one that the run names."""
    monkeypatch.delenv("DAGSTER_CURRENT_IMAGE", raising=False)
    with pytest.raises(StackError, match="DAGSTER_CURRENT_IMAGE"):
        as_launched(run_of(code()), None)
    monkeypatch.setenv("DAGSTER_CURRENT_IMAGE", "ours:1")
    launched = as_launched(run_of(code()), None)
    assert launched.job_code_origin is not None
    assert launched.job_code_origin.repository_origin.container_image == "ours:1"


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The deployment's instance, on SQLite."""
    settings = yaml.safe_load((CHECKOUT / "docker/config/dagster.yaml").read_text())
    del settings["storage"]
    settings["compute_logs"]["config"]["folder"] = str(tmp_path / "compute")
    settings["local_artifact_storage"]["config"]["base_dir"] = str(tmp_path)
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    names = (
        "AO_HOSTNAME ARCH_ROOT STAGING LOGS PROCESSING BACKUPS AO_FOLDER COMPUTE_LOGS COMPUTE_LOGS_ENDPOINT "
        "COMPUTE_LOGS_REGION TZ"
    )
    of_site = dict.fromkeys(names.split(), "/nowhere") | {"AO_NETWORK": "site", "RUNS_AT_ONCE": "2"}
    of_site |= {"SYNC_ACCESS_UID": "1001", "RUN_MEMORY": "4g", "RUNS_IN": "containers", "WORKERS_BROKER": "memory://"}
    for name, value in (of_site | {"DAGSTER_STORAGE": "", "DAGSTER_CURRENT_IMAGE": IMAGE, "COMPUTE_LOGS": ""}).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def queued(
    instance: dg.DagsterInstance, origin: JobPythonOrigin, run_config: Mapping[str, Any] | None = None
) -> dg.DagsterRun:
    """A run in the storage's queue, as somebody wrote it there."""
    run_id = queue_run(instance, restore_work, "works", "W1NLM4700", [], {}, {})
    run = instance.get_run_by_id(run_id)
    assert run is not None
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        body = dg.serialize_value(run._replace(job_code_origin=origin, run_config=run_config or {}))
        connection.exec_driver_sql("UPDATE runs SET run_body = ? WHERE run_id = ?", (body, run_id))
    stored = instance.get_run_by_id(run_id)
    assert stored is not None
    assert stored.job_code_origin == origin
    return stored


def dequeue(instance: dg.DagsterInstance) -> None:
    """What the daemon does each second."""
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
        list(QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(workspace))


def test_a_run_that_would_be_root_on_the_host_fails_and_the_engine_is_asked_for_nothing(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon has Docker's socket: it started the container that the storage described."""
    run = queued(instance, code(container_context=ROOT_ON_THE_HOST))
    with docker_engine(monkeypatch) as created:
        dequeue(instance)
    assert created == []
    failed = instance.get_run_by_id(run.run_id)
    assert failed is not None
    assert failed.status is dg.DagsterRunStatus.FAILURE
    said = json.dumps([each.dagster_event and str(each.dagster_event) for each in instance.all_logs(run.run_id)])
    assert "setting docker.container_kwargs.privileged" in said
    assert "Ask for the work again" in said


def test_a_run_with_settings_of_the_site_fails_and_the_engine_is_asked_for_nothing(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used another scratch disk, another S3 or other limits than the site's."""
    run = queued(instance, code(), {"resources": {"staging": {"config": {"root": "/mnt"}}}})
    with docker_engine(monkeypatch) as created:
        dequeue(instance)
    assert created == []
    failed = instance.get_run_by_id(run.run_id)
    assert failed is not None
    assert failed.status is dg.DagsterRunStatus.FAILURE
    said = json.dumps([each.dagster_event and str(each.dagster_event) for each in instance.all_logs(run.run_id)])
    assert "brings its own configuration of resources.staging" in said


def test_a_run_s_container_is_what_dagster_yaml_says_whatever_image_the_run_names(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was queued before an update must start, and one with an image of its own must not get it."""
    run = queued(instance, code(image="evil/image:latest"))
    with docker_engine(monkeypatch) as created:
        dequeue(instance)
    (container,) = created
    assert container["Image"] == IMAGE
    assert container["Cmd"][:5] == [*START, "api", "execute_run"]
    assert container["User"] == "1001"
    assert "evil" not in json.dumps(container)
    said = [each.dagster_event.message for each in instance.all_logs(run.run_id) if each.dagster_event]
    asked_for = f"The run was asked for in the image evil/image:latest, and is executed in this site's, {IMAGE}."
    assert any(asked_for in str(each) for each in said)


def test_what_asks_about_a_container_uses_no_setting_of_the_run(instance: dg.DagsterInstance) -> None:
    """A registry of the run's own would get the daemon's questions, and its secrets."""
    context = instance.run_launcher.get_container_context(run_of(code(container_context=ROOT_ON_THE_HOST)))  # type: ignore[attr-defined]
    assert context.networks == ["site"]
    assert "privileged" not in context.container_kwargs
    assert context.container_kwargs["user"] == "1001"


def test_no_worker_is_sent_a_run_with_other_code_and_none_executes_it(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has all secrets, and executes what the storage names: what it was sent may have been changed since."""
    from ao_workflows.instance import worker
    from ao_workflows.instance.run_workers import RunWorkers

    launcher = RunWorkers("memory://")
    launcher.register_instance(instance)
    evil = queued(instance, code(CustomPointer(ModuleCodePointer("os", "abort"), [], [])))
    with pytest.raises(RunRefused, match=r"reconstructable using os\.abort"):
        launcher.launch_run(SimpleNamespace(dagster_run=evil))  # type: ignore[arg-type]
    monkeypatch.setattr(worker, "_instance", lambda: instance)
    assert "reconstructable using os.abort" in str(worker._foreign(evil.run_id))
    failed = instance.get_run_by_id(evil.run_id)
    assert failed is not None
    assert failed.status is dg.DagsterRunStatus.FAILURE
    assert worker._foreign(queued(instance, code()).run_id) is None
