"""Dagster's private names, each used as the platform uses it: what of ours no longer works when one of them moves.

A failure says that in words, before what Dagster said. `make upgrade-check` runs this module alone, with the newest
Dagster that there is: so nothing here needs a server, a container or a fixture of another module.
"""

# No `from __future__ import annotations`: Dagster looks at the ops' annotations.

import functools
import inspect
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
DAGSTER = f"dagster {version('dagster')}"

UNDOCUMENTED = {
    "add_run_tags": "a retry that could not be started is never made",
    "all_instigator_state": "old ticks stay, and two services make the same tables at once",
    "compute_log_manager": "the night's housekeeping does not find what runs printed, and the disk fills",
    "create_run_for_job": "`ao reprocess` queues nothing",
    "daemon_cursor_storage": "the night's housekeeping looks at every run there ever was",
    "event_log_storage": "old debug rows stay, and the database grows",
    "from_config": "no command can open Dagster's instance",
    "get_daemon_heartbeats": "nobody can tell whether the daemon works",
    "get_records_for_run": "`ao status` and the demo do not say what a run is doing, or why it failed",
    "get_ref": "no run starts in a container",
    "get_required_daemon_types": "nobody can tell whether the daemon works",
    "get_run_ids": "an event that has its run is requested again, and its message never acknowledged",
    "get_runs": "lost runs are not found, and `ao status` does not see a work's runs",
    "get_runs_count": "intakes cannot tell whether the run queue is full",
    "get_tick_summaries": "the night's housekeeping cannot count the ticks that go",
    "optimize_for_webserver": "each question makes a connection of its own, which PostgreSQL suffers from",
    "purge_ticks": "old ticks stay, and the database grows",
    "report_engine_event": "a run does not show what was pruned",
    "report_run_canceling": "a run cannot be cancelled",
    "report_run_failed": "a run whose process was killed stays started for ever",
    "run_coordinator": "`ao reprocess` queues nothing",
    "run_launcher": "a run that waits for a worker is taken for lost",
    "run_monitoring_start_timeout_seconds": "a run that waits for a worker is failed for not starting",
    "run_storage": "a folder intake does not know its own files from another site's, and no backup is made",
    "schedule_storage": "its connections to PostgreSQL add up",
    "should_start_background_run_thread": "a run that is cancelled goes on to its end",
}
"""What the platform uses of the instance that Dagster neither documents nor calls private, and what breaks without."""


def breaks(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Has a test's failure begin with what of the platform's no longer works."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def tried(*args: Any, **fixtures: Any) -> None:
            try:
                test(*args, **fixtures)
            except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - whatever is wrong, it is said
                pytest.fail(f"With {DAGSTER}, {what}. ({type(error).__name__}: {error})")

        return tried

    return decorate


@dg.op
def speak(context: dg.OpExecutionContext) -> None:
    print("as it is printed")  # noqa: T201
    context.log.info("as it is logged")


@dg.op
def cancel_itself(context: dg.OpExecutionContext) -> None:
    context.instance.report_run_canceling(context.run)
    time.sleep(60)


@dg.job(executor_def=dg.in_process_executor)
def short() -> None:
    speak()


@dg.job(executor_def=dg.in_process_executor)
def cancelled() -> None:
    cancel_itself()


def created(instance: dg.DagsterInstance, job: dg.JobDefinition = short, **others: Any) -> dg.DagsterRun:
    """A run that was created and not launched, with its code in this module if nothing else is said."""
    from dagster._core.definitions.reconstruct import ReconstructableRepository

    code = ReconstructableRepository.for_file(__file__, job.name, str(CHECKOUT)).get_reconstructable_job(job.name)
    return instance.create_run_for_job(job, **{"job_code_origin": code.get_python_origin()} | others)


def our_code(job: str) -> Any:
    """Where the code server says that the platform's code is."""
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

    code = ModuleCodePointer("ao_workflows.definitions", "defs", str(Path.cwd()))
    return JobPythonOrigin(job, RepositoryPythonOrigin(sys.executable, code, "another:1", ["dagster"]))


@pytest.fixture
def plain() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@contextmanager
def deployed(folder: Path, monkeypatch: pytest.MonkeyPatch, runs_in: str) -> Iterator[dg.DagsterInstance]:
    """An instance by the dagster.yaml that deployments have, with SQLite for their PostgreSQL."""
    config = yaml.safe_load((CHECKOUT / "docker/config/dagster.yaml").read_text())
    del config["storage"]
    config["compute_logs"]["config"]["folder"] = str(folder / "compute")
    config["local_artifact_storage"]["config"]["base_dir"] = str(folder)
    config["run_monitoring"]["cancellation_thread_poll_interval_seconds"] = 1
    config["run_launcher"]["config"]["containers"]["container_kwargs"] = {"user": "${SYNC_ACCESS_UID}"}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(config))
    settings = {"RUNS_IN": runs_in, "RUNS_AT_ONCE": "2", "AO_NETWORK": "site", "WORKERS_BROKER": "memory://"}
    logs = {"COMPUTE_LOGS": "", "COMPUTE_LOGS_REGION": "us-east-1", "COMPUTE_LOGS_ENDPOINT": ""}
    for name, value in (settings | logs | {"DAGSTER_STORAGE": "", "TZ": "UTC", "SYNC_ACCESS_UID": "1001"}).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


def ended(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found


@pytest.mark.parametrize("name", UNDOCUMENTED)
def test_what_is_used_of_the_instance_and_documented_nowhere_is_there(name: str) -> None:
    """Dagster may rename it in any release, without a word."""
    assert hasattr(dg.DagsterInstance, name), f"With {DAGSTER}, {UNDOCUMENTED[name]}: the instance has no `{name}`."


@breaks("no run is found by its work or its event: each event is done again, and no work has a state")
def test_run_tags_are_dagsters() -> None:
    """They stand in every site's database: another name would not be found on any run that there is."""
    from dagster._core.storage import tags
    from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

    from ao_workflows.works import run_tags

    assert run_tags.PARTITION == tags.PARTITION_NAME_TAG
    assert run_tags.RUN_KEY == tags.RUN_KEY_TAG
    assert run_tags.FAILURE_REASON == tags.RUN_FAILURE_REASON_TAG
    assert run_tags.WILL_RETRY == tags.WILL_RETRY_TAG
    assert run_tags.RETRIED_AS == tags.AUTO_RETRY_RUN_ID_TAG
    assert run_tags.CELERY_TASK == DAGSTER_CELERY_TASK_ID_TAG


@breaks("`ao status` takes a run that is under way for one that has ended, or the other way round")
def test_the_states_of_a_run_are_those_that_are_known() -> None:
    """A state that is new would be taken for one under way."""
    from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES

    from ao_workflows.status.runs import UNFINISHED

    assert set(NOT_FINISHED_STATUSES) <= set(UNFINISHED)
    assert not set(FINISHED_STATUSES) & set(UNFINISHED)


@breaks("`ao status` does not say what a run is doing, or why it failed")
def test_a_failed_run_says_its_stage_and_its_reason(plain: dg.DagsterInstance) -> None:
    """A step's failure is read from the event log, as Dagster writes it."""
    from ao_workflows.status.runs import failure_message, run_seen

    @dg.op(name="downloaded_bag")
    def fails() -> None:
        raise dg.Failure("the bag is damaged", metadata={"error": "BadBag"}, allow_retries=False)

    @dg.job
    def failing() -> None:
        fails()

    result = failing.execute_in_process(instance=plain, raise_on_error=False)
    (record,) = plain.get_run_records(limit=1)
    seen = run_seen(plain, record)
    assert (seen.state, seen.stage, seen.error) == ("failed", "downloaded_bag", "BadBag")
    assert failure_message(plain, result.run_id) == "the bag is damaged"


@breaks("a database that is away ends a command with a traceback, and the demo's trial with it")
def test_the_storages_errors_are_told_from_others() -> None:
    """PostgreSQL's storage raises a class of its own, whose name is private."""
    from dagster_postgres.utils import DagsterPostgresException

    from ao_workflows.instance.opening import is_of_the_storage

    assert is_of_the_storage(DagsterPostgresException("too many retries"))
    assert not is_of_the_storage(KeyError("a fault of ours"))


@breaks("a folder intake does not know its own files from another site's")
def test_an_instance_has_an_id_of_its_own(plain: dg.DagsterInstance) -> None:
    """Two sites may share a folder."""
    from ao_workflows.instance.opening import instance_id

    assert instance_id(plain) == instance_id(plain)
    with dg.instance_for_test() as other:
        assert instance_id(plain) != instance_id(other)


@breaks("a daemon that works is shown as down, or one that does not as well")
def test_the_daemon_is_heard_of(plain: dg.DagsterInstance) -> None:
    """`ao up`, `ao health`, `ao reprocess` and the containers' health checks ask."""
    from dagster._daemon.types import DaemonHeartbeat

    from ao_workflows.instance.dagster_processes import daemon_fault, make_tables
    from ao_workflows.instance.opening import daemon_silence

    make_tables(plain)
    assert "queued_run_coordinator" in daemon_fault(plain, time.time())
    assert "no daemon has ever taken a run" in (daemon_silence(plain) or "")
    for name in plain.get_required_daemon_types():
        plain.add_daemon_heartbeat(DaemonHeartbeat(time.time() + 1, name, "here", errors=[]))
    assert daemon_fault(plain, time.time()) == ""
    assert daemon_silence(plain) is None


@breaks("a service does not start, or one that works is shown as down")
def test_each_of_dagsters_processes_starts_and_says_that_it_works(tmp_path: Path) -> None:
    """Their modules, their options, the page's address and the code server's name are told in no documentation."""
    from ao_workflows.instance import dagster_processes as processes
    from ao_workflows.site.demo import demo_site

    (tmp_path / "dagster.yaml").write_text((CHECKOUT / "dagster.yaml").read_text())
    (tmp_path / "site.toml").write_text(demo_site(tmp_path, endpoint_url=None))
    environment = os.environ | {"DAGSTER_HOME": str(tmp_path), "AO_SITE": str(tmp_path / "site.toml")}
    code_port, page_port = free_ports()
    (tmp_path / "workspace.yaml").write_text(processes.workspace(code_port))
    code = ("-w", str(tmp_path / "workspace.yaml"))
    commands = {
        "the code server": (processes.code_server(code_port), lambda: processes.code_server_fault(code_port)),
        "the web page": (processes.webserver(page_port, *code), lambda: processes.webserver_fault(page_port)),
        "the daemon": (processes.daemon(*code), lambda: processes.daemon_fault(instance, began)),
    }
    began = time.time()
    started: list[subprocess.Popen[bytes]] = []
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        processes.make_tables(instance)
        try:
            for words, _ in commands.values():
                started.append(subprocess.Popen([sys.executable, *words], env=environment, cwd=tmp_path))
            for (name, (_, fault)), process in zip(commands.items(), started, strict=True):
                while said := fault():
                    assert process.poll() is None, f"{name} has ended"
                    assert time.time() < began + 300, f"{name}: {said}"
                    time.sleep(0.5)
        finally:
            for process in started:
                process.send_signal(signal.SIGINT)
            for process in started:
                process.wait(60)


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]


@breaks("no process of a deployment opens its instance")
@pytest.mark.parametrize(("runs_in", "launcher"), [("containers", "RunContainers"), ("workers", "RunWorkers")])
def test_a_deployments_dagster_yaml_has_our_classes_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs_in: str, launcher: str
) -> None:
    """Dagster makes them by the module and the class that the file names, from settings that they declare."""
    with deployed(tmp_path, monkeypatch, runs_in) as instance:
        assert type(instance).__name__ == "CancellingInstance"
        assert type(instance.run_launcher).__name__ == launcher
        assert instance.should_start_background_run_thread
        longest = 14 * 86400 if runs_in == "workers" else 90
        assert instance.run_monitoring_start_timeout_seconds == longest


@breaks("no process of that installation opens its instance")
@pytest.mark.parametrize("path", ["dagster.yaml", "docker/config/dagster.yaml", "docker/kubernetes/dagster.yaml"])
def test_each_dagster_yaml_has_settings_that_dagster_knows(tmp_path: Path, path: str) -> None:
    """Settings are renamed between releases: `run_queue` became `concurrency`."""
    from dagster._core.instance.config import dagster_instance_config

    text = (CHECKOUT / path).read_text()
    config = yaml.safe_load(text)
    if "data" in config:
        config = yaml.safe_load(config["data"]["dagster.yaml"])
    config.pop("instance_class", None)
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
    dagster_instance_config(str(tmp_path))


@breaks("archivists read on the page what dagster.yaml has of the storage and of the launcher")
def test_the_instance_shows_no_more_of_its_settings_than_is_chosen(tmp_path: Path) -> None:
    """Dagster's page asks the instance for them, by a method that it does not document."""
    word = "of a run's container"
    settings = {
        "instance_class": {"module": "ao_workflows.instance.cancelling", "class": "CancellingInstance"},
        "run_launcher": {
            "module": "dagster_docker",
            "class": "DockerRunLauncher",
            "config": {"env_vars": [f"TOKEN={word}"]},
        },
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert "DockerRunLauncher" in instance.info_str()
        assert word not in instance.info_str()
        assert word in str(dg.DagsterInstance.info_dict(instance))


@breaks("connections to PostgreSQL are not kept, or one that was cut fails the next question, and no backup is made")
def test_a_storage_of_postgresql_keeps_its_connections_and_tries_them(tmp_path: Path) -> None:
    """No server is asked: a pool connects when it is asked for a connection."""
    from dagster._core.instance import InstanceType
    from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
    from dagster._core.storage.root import LocalArtifactStorage
    from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage

    from ao_workflows.instance.cancelling import CONNECTION_SECONDS, CancellingInstance
    from ao_workflows.upkeep.backup import storage_url

    url = "postgresql+psycopg2://nobody@127.0.0.1:9/none"
    kinds = (PostgresRunStorage, PostgresEventLogStorage, PostgresScheduleStorage)
    runs, events, schedules = (kind(url, should_autocreate_tables=False) for kind in kinds)
    instance = CancellingInstance(
        instance_type=InstanceType.PERSISTENT,
        local_artifact_storage=LocalArtifactStorage(str(tmp_path)),
        run_storage=runs,
        event_storage=events,
        schedule_storage=schedules,
        run_coordinator=dg.QueuedRunCoordinator(),
        compute_log_manager=LocalComputeLogManager(str(tmp_path)),
        run_launcher=dg.DefaultRunLauncher(),
    )
    assert storage_url(instance) == url
    pools = [storage._engine.pool for storage in (runs, events, schedules)]
    assert [type(pool).__name__ for pool in pools] == ["QueuePool"] * 3, "each question makes a connection of its own"
    assert [pool._pre_ping for pool in pools] == [True] * 3
    assert [pool._recycle for pool in pools] == [CONNECTION_SECONDS] * 3
    instance.dispose()
    assert not [storage for storage in (runs, events, schedules) if storage._engine.pool in pools], "they stay open"


@breaks("what runs print is not kept, or the night's housekeeping does not find it")
def test_what_a_run_prints_is_in_the_folder_that_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows it, and it goes when it is old."""
    from ao_workflows.instance.old_records import compute_log_folders

    with deployed(tmp_path, monkeypatch, "containers") as instance:
        short.execute_in_process(instance=instance)
        assert compute_log_folders(instance) == [tmp_path / "compute"]
        printed = [path.read_text() for path in tmp_path.glob("compute/**/*.out")]
    assert printed == ["as it is printed\n"]


@breaks("what runs print is not on S3, is cut there, or cannot be read on another host")
def test_what_a_run_prints_is_brought_to_s3_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is the site's own, and an upload that fails, or a run that is cancelled, must not lose the log."""
    from dagster._core.storage.compute_log_manager import ComputeIOType

    from ao_workflows.instance import compute_logs_on_s3

    s3 = FakeS3()
    monkeypatch.setattr(compute_logs_on_s3, "make_client", lambda *_args, **_settings: s3)

    def manager(host: str) -> Any:
        return compute_logs_on_s3.ComputeLogsOnS3(
            "logs",
            "site",
            str(tmp_path / host),
            region="us-east-1",
            endpoint="",
            upload_interval=3600,
            credentials=[],
        )

    here, page, key = manager("here"), manager("page"), ["run", "compute_logs", "step"]
    with pytest.raises(KeyboardInterrupt), here.capture_logs(key):
        print("before it was cancelled", flush=True)  # noqa: T201
        here.on_progress(key)
        assert s3.objects == {"site/storage/run/compute_logs/step.out.partial": b"before it was cancelled\n"}
        print("its last words", flush=True)  # noqa: T201
        raise KeyboardInterrupt
    assert s3.objects["site/storage/run/compute_logs/step.out.partial"].endswith(b"its last words\n")
    key = ["run", "compute_logs", "next"]
    with here.capture_logs(key):
        print("to its end", flush=True)  # noqa: T201
    assert s3.objects["site/storage/run/compute_logs/next.out"] == b"to its end\n"
    assert page.get_log_data_for_type(key, ComputeIOType.STDOUT, 0, None)[0] == b"to its end\n"
    assert not list((tmp_path / "here").glob("**/next.out"))


class FakeS3:
    """The few calls of boto3's client that dagster-aws's manager makes, over a dict."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.meta = SimpleNamespace(region_name="us-east-1")

    def upload_fileobj(self, data: Any, _bucket: str, key: str, **_others: Any) -> None:
        self.objects[key] = data.read()

    def download_file(self, _bucket: str, key: str, path: str) -> None:
        Path(path).write_bytes(self.objects[key])

    def head_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803 - boto3's words
        from botocore.exceptions import ClientError

        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "404"}}, "HeadObject")


@breaks("no run starts in a container, or its container has not its name, its settings or its exit code")
def test_a_run_is_launched_in_a_container_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is asked as dagster-docker asks it."""
    from ao_workflows.instance.run_containers import RunContainers
    from ao_workflows.works import run_tags

    made: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = []

    def create(**settings: Any) -> Any:
        made.append(settings)
        return SimpleNamespace(id="c0ffee", start=lambda: None)

    def listed(**filters: Any) -> list[Any]:
        asked.append(filters)
        return []

    containers = SimpleNamespace(create=create, list=listed)
    monkeypatch.setattr(RunContainers, "_get_client", lambda *_: SimpleNamespace(containers=containers))
    with deployed(tmp_path, monkeypatch, "containers") as instance:
        run = created(instance, tags={run_tags.PARTITION: "W1NLM4700"}, job_code_origin=our_code("short"))
        launcher: Any = instance.run_launcher
        launcher.image = "ao-workflows:dev"
        instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
        seen = ended(instance, run)
    (settings,) = made
    assert settings["name"] == f"run-W1NLM4700-{run.run_id[:8]}"
    assert settings["user"] == "1001"
    assert settings["image"] == "ao-workflows:dev"
    assert settings["network"] == "site"
    assert settings["labels"]["dagster/run_id"] == run.run_id, "containers that have ended are found by it"
    assert "execute_run" in settings["command"]
    assert '"set_exit_code_on_failure": true' in " ".join(settings["command"])
    assert [each["filters"]["network"] for each in asked] == ["site"]
    assert seen.tags["docker/container_id"] == "c0ffee"


@breaks("no run starts, for its process cannot be kept to the platform's code")
def test_the_process_of_a_run_loads_its_code_by_a_name_that_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the code is, it reads from the storage, into which others write."""
    from dagster._cli import api
    from dagster._grpc import impl

    from ao_workflows.instance import run_process

    asked: list[Any] = []
    monkeypatch.setattr(run_process, "_load", asked.append)
    monkeypatch.setattr(api, "recon_job_from_origin", api.recon_job_from_origin)  # put back at the end
    monkeypatch.setattr(impl, "execute_run_iterator", impl.execute_run_iterator)
    run_process.load_our_code_only()
    with dg.instance_for_test() as instance:
        run = created(instance)
        # It is given no job here, and says so.
        assert api._execute_run_command_body(run.run_id, instance, lambda _: None, set_exit_code_on_failure=True) == 1
    (origin,) = asked
    assert origin.job_name == "short"
    assert origin.repository_origin.code_pointer.module == "ao_workflows.definitions"


@breaks("no run starts, for its process cannot refuse settings that were written after the launch")
def test_the_process_of_a_run_begins_it_by_a_name_that_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the run's configuration from the storage just before, into which others write."""
    from dagster._cli import api
    from dagster._grpc import impl

    from ao_workflows.instance import run_process

    begun: list[Any] = []
    monkeypatch.setattr(run_process, "_load", lambda _: dg.reconstructable(short))
    monkeypatch.setattr(run_process, "_execute", lambda _, run, *words, **named: begun.append(run) or [])
    monkeypatch.setattr(api, "recon_job_from_origin", api.recon_job_from_origin)  # put back at the end
    monkeypatch.setattr(impl, "execute_run_iterator", impl.execute_run_iterator)
    run_process.load_our_code_only()
    with dg.instance_for_test() as instance:
        run = created(instance)
        api._execute_run_command_body(run.run_id, instance, lambda _: None, set_exit_code_on_failure=True)
    assert [each.run_id for each in begun] == [run.run_id]


@breaks("both pages take 16 MiB at once over a WebSocket from whoever may log in")
def test_the_page_starts_its_server_by_a_name_that_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dagster-webserver` has no option for the largest message that it takes."""
    import uvicorn
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget
    from dagster_webserver.cli import host_dagster_ui_with_workspace_process_context as host

    from ao_workflows.instance import web_page

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(uvicorn, "run", lambda _, **options: asked.append(options))
    web_page.take_small_messages_only()
    with dg.instance_for_test() as instance, WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context:
        host(context, "127.0.0.1", 1, "", "warning")
    assert [each["ws_max_size"] for each in asked] == [web_page.LARGEST_MESSAGE]
    assert "ws_max_size" in inspect.signature(uvicorn.Config).parameters


@breaks("the archivists' page, whose user of PostgreSQL may only read, shows an error in place of the works")
def test_a_page_can_be_kept_from_noting_the_states_of_partitions(plain: dg.DagsterInstance) -> None:
    """It does so in the storage whenever it shows them, unless the storage says that it cannot."""
    from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

    partitions = dg.StaticPartitionsDefinition(["W1", "W2"])

    @dg.asset(partitions_def=partitions)
    def thing() -> None: ...

    assert dg.materialize([thing], partition_key="W1", instance=plain).success
    storage: Any = plain.event_log_storage
    noted = []
    for may in (False, True):
        storage.can_write_asset_status_cache = lambda may=may: may
        shown = get_and_update_asset_status_cache_value(plain, thing.key, partitions)
        assert shown
        assert set(shown.deserialize_materialized_partition_subsets(partitions).get_partition_keys()) == {"W1"}
        (record,) = plain.get_asset_records([thing.key])
        noted.append(record.asset_entry.cached_status is not None)
    assert noted == [False, True]


@breaks("no run reaches a worker, or one that waits for a worker is taken for lost and run twice")
def test_a_run_is_sent_to_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is read as the worker reads it; the queue is in this process's memory."""
    from dagster._grpc.types import ExecuteRunArgs
    from dagster._serdes import unpack_value
    from dagster_celery.config import TASK_EXECUTE_JOB_NAME
    from kombu.transport.redis import Channel

    from ao_workflows.instance.broker import QUEUE
    from ao_workflows.works import run_tags

    with deployed(tmp_path, monkeypatch, "workers") as instance:
        launcher: Any = instance.run_launcher
        launcher.celery.conf.result_backend = "cache+memory://"
        run = created(instance, job_code_origin=our_code("short"))
        instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
        seen = ended(instance, run)
        with launcher.celery.connection_for_read() as connection:
            message = connection.SimpleQueue(QUEUE).get(block=False)
        message.ack()
    _, arguments, _ = json.loads(message.body)
    assert message.headers["task"] == TASK_EXECUTE_JOB_NAME
    assert unpack_value(arguments["execute_job_args_packed"], ExecuteRunArgs).run_id == run.run_id
    assert seen.tags[run_tags.CELERY_TASK] == message.headers["id"]
    assert not launcher.supports_resume_run
    assert not launcher.supports_check_run_worker_health
    channel = Channel.__new__(Channel)
    assert next(channel._q_for_pri(QUEUE, priority) for priority in channel.priority_steps) == QUEUE


@breaks("workers take runs and execute none, or one that is cancelled goes on, or the one after it cannot be cancelled")
def test_a_worker_executes_a_run_ends_a_cancelled_one_and_executes_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process executes many runs, each of which may be cancelled."""
    monkeypatch.setenv("WORKERS_BROKER", "memory://")
    from dagster_celery.config import TASK_EXECUTE_JOB_NAME

    from ao_workflows.instance import worker

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with deployed(tmp_path, monkeypatch, "workers") as instance:
        monkeypatch.setattr(worker, "_instance", lambda: instance)
        runs = [created(instance, job) for job in (short, cancelled, short, cancelled)]
        for run in runs:
            worker._execute(run.run_id)
        states = [ended(instance, run).status.value for run in runs]
    assert states == ["SUCCESS", "CANCELED", "SUCCESS", "CANCELED"]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert TASK_EXECUTE_JOB_NAME in worker.app.tasks


@breaks("a run whose process was killed stays started, or is never run again")
def test_a_run_that_died_is_to_be_run_again() -> None:
    """It holds one of the few places of the run queue, and its work is not done."""
    from ao_workflows.instance import run_deaths
    from ao_workflows.works import run_tags

    with dg.instance_for_test({"run_retries": {"enabled": True, "max_retries": 1}}) as instance:
        run = created(instance, status=dg.DagsterRunStatus.STARTED)
        run_deaths.report_death(instance, run, "its process is gone")
        dead = ended(instance, run)
        assert dead.status is dg.DagsterRunStatus.FAILURE
        assert dead.tags[run_tags.WILL_RETRY] == "true"
        assert dead.tags[run_tags.FAILURE_REASON] == "UNEXPECTED_TERMINATION"
        now = datetime.now(UTC)
        (owed,) = run_deaths.owed_a_retry(instance, now - timedelta(hours=1), now + timedelta(hours=1))
        assert owed.run_id == run.run_id
        run_deaths.ask_for_its_retry(instance, owed, "its retry could not be started")
        failures = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.PIPELINE_FAILURE).records
        assert len(failures) == 2
        instance.add_run_tags(run.run_id, {run_tags.RETRIED_AS: "another"})
        assert not list(run_deaths.owed_a_retry(instance, now - timedelta(hours=1), now + timedelta(hours=1)))


@breaks("a run that a person cancels goes on for hours, from retry to retry")
@pytest.mark.parametrize(("error", "attempts"), [(dg.DagsterExecutionInterruptedError, 1), (RuntimeError, 2)])
def test_a_step_is_tried_again_unless_it_was_interrupted(
    plain: dg.DagsterInstance, error: type[BaseException], attempts: int
) -> None:
    """Dagster takes an interrupt for one more failure of the step."""
    from ao_workflows.instance.interrupts import RetryUnlessInterrupted

    tried = []

    @dg.op(retry_policy=RetryUnlessInterrupted(max_retries=1, delay=0))
    def stage() -> None:
        tried.append(1)
        raise error

    @dg.job
    def work() -> None:
        stage()

    try:
        work.execute_in_process(instance=plain, raise_on_error=False)
    except dg.DagsterExecutionInterruptedError:
        assert error is dg.DagsterExecutionInterruptedError
    assert len(tried) == attempts


@breaks("the database grows for ever, or what tells of a work goes with what is old")
def test_old_debug_rows_and_ticks_go_and_history_stays(plain: dg.DagsterInstance) -> None:
    """Both are removed from the tables that Dagster has, by their columns."""
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
    from dagster._core.scheduler.instigation import (
        InstigatorState,
        InstigatorStatus,
        SensorInstigatorData,
        TickData,
        TickStatus,
    )

    from ao_workflows.instance import old_records

    @dg.asset
    def thing(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        context.log.debug("for a developer")
        context.log.info("for an archivist")
        return dg.MaterializeResult(metadata={"digest": "of the work"})

    result = dg.materialize([thing], instance=plain)
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("ao_workflows"), "__repository__")
    sensor = origin.get_instigator_origin("fpl_intake")
    state = InstigatorState(sensor, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData())
    plain.add_instigator_state(state)
    for status in (TickStatus.SKIPPED, TickStatus.STARTED):
        who = (state.instigator_origin_id, "fpl_intake", InstigatorType.SENSOR)
        plain.create_tick(TickData(*who, status, time.time() - 86400, run_ids=[], selector_id=state.selector_id))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert old_records.beginnings_of_runs(plain, but="") == []
    assert old_records.remove_debug_rows(plain, tomorrow).count > 1
    assert old_records.remove_ticks(plain, datetime.now(UTC)).count == 1
    stays = plain.all_logs(result.run_id)
    assert {log.level for log in stays if not log.dagster_event} == {logging.INFO}
    kinds = {log.dagster_event.event_type_value for log in stays if log.dagster_event}
    assert kinds >= {"ASSET_MATERIALIZATION", "STEP_START", "STEP_SUCCESS", "PIPELINE_SUCCESS"}
    assert not kinds & {"ENGINE_EVENT", "LOGS_CAPTURED", "HANDLED_OUTPUT"}


@breaks("`ao reprocess` queues nothing, or the daemon finds no code for what it has queued")
def test_a_run_is_queued_with_its_code() -> None:
    """The daemon takes the run by its location's name; the run's process loads the code that the run names."""
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT

    from ao_workflows.instance.dagster_processes import LOCATION, MODULE
    from ao_workflows.instance.run_queue import queue_run

    coordinator = {"module": "dagster._core.run_coordinator", "class": "QueuedRunCoordinator"}
    with dg.instance_for_test({"run_coordinator": coordinator}) as instance:
        assets = [dg.AssetSpec("downloaded_bag"), dg.AssetSpec("debagged_work")]

        @dg.multi_asset(specs=assets, can_subset=True, partitions_def=dg.DynamicPartitionsDefinition(name="works"))
        def stages(context):  # type: ignore[no-untyped-def]
            return None

        defs = dg.Definitions(assets=[stages], jobs=[dg.define_asset_job("restore_work")])
        job = defs.resolve_job_def("restore_work")
        run_id = queue_run(instance, job, "works", "W1NLM4700", ["downloaded_bag"], {}, {"ao/reprocess": "fresh"})
        run = instance.get_run_by_id(run_id)
        assert run
        assert run.status is dg.DagsterRunStatus.QUEUED
        assert run.tags["dagster/partition"] == "W1NLM4700"
        assert run.asset_selection == {dg.AssetKey("downloaded_bag")}
        assert run.remote_job_origin
        assert run.remote_job_origin.location_name == LOCATION
        assert run.job_code_origin
        code = run.job_code_origin.repository_origin
        assert code.code_pointer == ModuleCodePointer(MODULE, "defs")
        assert list(code.entry_point) == list(DEFAULT_DAGSTER_ENTRY_POINT)
        assert instance.has_dynamic_partition("works", "W1NLM4700")


@breaks("an event that has its run is requested again, or a full run queue is filled on")
def test_an_event_has_its_run_and_a_waiting_run_takes_its_place(plain: dg.DagsterInstance) -> None:
    """The sensors ask for each event, and for the queue, at each tick."""
    from ao_workflows.defs.sensors.intakes import has_run, room_in_queue
    from ao_workflows.works import run_tags

    assert room_in_queue(plain, 2) == 2
    created(plain, tags={run_tags.RUN_KEY: "its event"})
    assert has_run(plain, "its event")
    assert not has_run(plain, "another")
    assert room_in_queue(plain, 2) == 1


@breaks("no process loads the definitions")
def test_the_definitions_are_such_as_dagster_takes(tmp_path: Path) -> None:
    """A deprecated argument that is gone fails every process at its start."""
    from ao_workflows.site.demo import demo_site

    (tmp_path / "site.toml").write_text(demo_site(tmp_path, endpoint_url="http://127.0.0.1:9"))
    words = [sys.executable, "-m", "dagster", "definitions", "validate", "-m", "ao_workflows.definitions"]
    environment = os.environ | {"AO_SITE": str(tmp_path / "site.toml"), "DAGSTER_HOME": str(tmp_path)}
    ran = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
