"""Compute logs on S3: read on another host, whatever became of the run and of S3 meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
import yaml
from botocore.exceptions import ClientError
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.api import create_execution_plan
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._grpc.types import ExecuteRunArgs
from dagster_graphql.schema import create_schema

from ao_workflows.aws.connections import make_client
from ao_workflows.errors import StackError
from ao_workflows.instance.compute_logs import ComputeLogs
from ao_workflows.machine.processes import free_port
from ao_workflows_tests.support.moto_server import PROFILE, REGION, Aws
from ao_workflows_tests.support.s3_server import Fault, S3Server, held

CHECKOUT = Path(__file__).resolve().parents[2]


DEPLOYED = yaml.safe_load((CHECKOUT / "docker/config/dagster.yaml").read_text())["compute_logs"]


PREFIX = "ao/compute"


JOB = """\
import pathlib, time
import dagster as dg

@dg.op
def say_and_wait():
    print("said before it was killed", flush=True)
    time.sleep(120)

@dg.job(executor_def=dg.in_process_executor)
def long():
    say_and_wait()
"""


def credentials(path: Path, aws: Aws) -> Path:
    """The keys of the test's AWS, in the section that compute logs are kept with."""
    assert aws.connection.credentials_file
    path.write_text(Path(aws.connection.credentials_file).read_text().replace(f"[{PROFILE}]", "[compute_logs]"))
    return path


@dataclass
class Host:
    """A machine of a site: Dagster's storage is everyone's, the folder of the logs its own."""

    home: Path
    storage: Path
    aws: Aws
    bucket: str

    def settings(self, **others: Any) -> dict[str, Any]:
        """What the deployment's dagster.yaml says of compute logs, for this test's S3."""
        config = DEPLOYED["config"] | {
            "folder": str(self.home / "logs"),
            "to": f"s3://{self.bucket}/{PREFIX}",
            "region": REGION,
            "endpoint": self.aws.endpoint_url,
            "upload_interval": 1,
            "credentials": ["/nowhere/compute_logs", str(credentials(self.home / "aws", self.aws))],
        }
        return DEPLOYED | {"config": config | others}

    @contextmanager
    def instance(self, **others: Any) -> Iterator[dg.DagsterInstance]:
        (self.home / "dagster.yaml").write_text(
            yaml.safe_dump(
                {
                    "telemetry": {"enabled": False},
                    "instance_class": {"module": "ao_workflows.instance.cancelling", "class": "CancellingInstance"},
                    "storage": {"sqlite": {"base_dir": str(self.storage)}},
                    "run_monitoring": {"enabled": True, "cancellation_thread_poll_interval_seconds": 1},
                    "compute_logs": self.settings(**others),
                }
            )
        )
        with dg.DagsterInstance.from_config(str(self.home)) as made:
            yield made


@pytest.fixture
def host(tmp_path: Path, aws: Aws) -> Callable[[str], Host]:
    """Makes a machine, by its name."""
    bucket = aws.make_bucket()

    def make(name: str) -> Host:
        (tmp_path / name).mkdir()
        return Host(tmp_path / name, tmp_path / "storage", aws, bucket)

    return make


def wait_until(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < until, f"waited in vain: {what}"
        time.sleep(0.05)


def keys(host: Host) -> list[str]:
    """What is on S3, below the prefix."""
    found = host.aws.s3.list_objects_v2(Bucket=host.bucket).get("Contents", [])
    assert all(each["Key"].startswith(f"{PREFIX}/storage/") for each in found)
    return [each["Key"].removeprefix(f"{PREFIX}/storage/") for each in found]


def log_key(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What a run's log is called."""
    (captured,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
    return [run_id, "compute_logs", captured.get_dagster_event().logs_captured_data.file_key]


def as_the_page_reads(instance: dg.DagsterInstance, run_id: str) -> dict[str, Any]:
    """The answers to what the web page asks for: the log, and the address to download it from."""
    query = """query($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr }
                                         capturedLogsMetadata(logKey: $key) { stderrDownloadUrl stderrLocation } }"""
    key = log_key(instance, run_id)
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context:
        answer = create_schema().execute(query, context_value=context.create_request_context(), variables={"key": key})
    assert not answer.errors
    return {**answer.data["capturedLogs"], **answer.data["capturedLogsMetadata"]}


def test_what_a_run_printed_is_read_on_another_host(host: Callable[[str], Host]) -> None:
    """The run's host may be a worker's, or a container that is gone: the web page's disk has nothing of it."""

    @dg.op
    def say() -> None:
        print("said to the end")  # noqa: T201

    @dg.job
    def short() -> None:
        say()

    worker, web = host("worker"), host("web")
    with worker.instance() as instance:
        run_id = short.execute_in_process(instance=instance).run_id
    (err,) = [key for key in keys(web) if key.endswith(".err")]
    assert not list((worker.home / "logs").rglob("*.err")), "what is on S3 is not on the worker's disk too"
    with web.instance() as instance:
        read = as_the_page_reads(instance, run_id)
        assert "RUN_SUCCESS" in read["stderr"] or "STEP_SUCCESS" in read["stderr"]
        assert read["stdout"] == "said to the end\n"
        assert read["stderrLocation"] == f"s3://{web.bucket}/{PREFIX}/storage/{err}"
        assert read["stderrDownloadUrl"].startswith(web.aws.endpoint_url)


def test_what_a_run_printed_before_it_was_killed_is_read(host: Callable[[str], Host], tmp_path: Path) -> None:
    """It is the run whose last words are wanted most."""
    (tmp_path / "jobs.py").write_text(JOB)
    job = ReconstructableRepository.for_file(str(tmp_path / "jobs.py"), "long", str(tmp_path))
    recon = job.get_reconstructable_job("long")
    origin, definition = recon.get_python_origin(), recon.get_definition()
    worker, web = host("worker"), host("web")
    with worker.instance() as instance:
        run = instance.create_run_for_job(
            job_def=definition, execution_plan=create_execution_plan(definition), job_code_origin=origin
        )
        command = ExecuteRunArgs(job_origin=origin, run_id=run.run_id, instance_ref=instance.get_ref())
        program, *words = command.get_command_args()
        process = subprocess.Popen([Path(sys.executable).with_name(program), *words], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: any(key.endswith(".out.partial") for key in keys(web)), "a part of the log is on S3")
        finally:
            process.kill()
            process.wait()
    with web.instance() as instance:
        assert as_the_page_reads(instance, run.run_id)["stdout"] == "said before it was killed\n"


def test_what_a_run_printed_before_it_was_cancelled_is_read(host: Callable[[str], Host]) -> None:
    """Dagster uploads a log at the run's end only, and such a run has none."""

    @dg.op
    def say_and_be_cancelled() -> None:
        print("said before it was cancelled", flush=True)  # noqa: T201
        raise DagsterExecutionInterruptedError

    @dg.job
    def cancelled() -> None:
        say_and_be_cancelled()

    worker, web = host("worker"), host("web")
    with worker.instance(upload_interval=3600) as instance, pytest.raises(DagsterExecutionInterruptedError):
        cancelled.execute_in_process(instance=instance)
    with web.instance() as instance:
        (run,) = instance.get_runs()
        assert as_the_page_reads(instance, run.run_id)["stdout"] == "said before it was cancelled\n"


def test_a_run_ends_well_although_s3_is_away(host: Callable[[str], Host]) -> None:
    """A work that is in the archive must not be done again because nobody could keep what was printed of it."""

    @dg.op
    def work() -> None:
        pass

    @dg.job
    def without_s3() -> None:
        work()

    nobody = f"http://127.0.0.1:{free_port()}"
    with host("worker").instance(endpoint=nobody) as instance:
        result = without_s3.execute_in_process(instance=instance)
        told = [event.message for event in result.all_events if event.message]
    assert result.success
    assert any("compute log" in message for message in told), "and it is said"


def test_an_upload_that_failed_is_tried_again(host: Callable[[str], Host], caplog: pytest.LogCaptureFixture) -> None:
    """S3 is away for a minute once a month; a run that is killed hours later should have left its log all the same."""
    worker = host("worker")
    worker.aws.s3.delete_bucket(Bucket=worker.bucket)

    @dg.op
    def say_while_s3_comes_back() -> None:
        wait_until(lambda: "the compute log so far is not on S3" in caplog.text, "an upload failed")
        worker.aws.s3.create_bucket(
            Bucket=worker.bucket, CreateBucketConfiguration={"LocationConstraint": worker.aws.connection.region}
        )
        wait_until(lambda: any(key.endswith(".err.partial") for key in keys(worker)), "a later one did not")

    @dg.job
    def long() -> None:
        say_while_s3_comes_back()

    with worker.instance() as instance:
        assert long.execute_in_process(instance=instance).success


def test_a_log_that_is_cut_on_its_way_to_the_page_is_brought_whole_the_next_time(
    host: Callable[[str], Host], s3_server: S3Server
) -> None:
    """What is in the page's folder is taken for the whole log, for ever."""
    web = host("web")
    s3_server.objects[f"/{web.bucket}/{PREFIX}/storage/run/compute_logs/name.err"] = held(b"all of it")
    with web.instance(endpoint=s3_server.url) as instance:
        manager = instance.compute_log_manager
        s3_server.fault = lambda asked: Fault(after=3, cut=True)
        with pytest.raises(Exception, match=r"(?i)retries|broken|reset"):
            manager.get_log_data(["run", "compute_logs", "name"])
        s3_server.clear()
        assert manager.get_log_data(["run", "compute_logs", "name"]).stderr == b"all of it"


def test_a_credentials_file_without_the_section_is_named(tmp_path: Path) -> None:
    """botocore says that a profile is missing, and not from which of a container's files."""
    (tmp_path / "empty").write_text("")
    settings = {"to": "s3://b/p", "folder": str(tmp_path), "region": REGION, "endpoint": "", "upload_interval": 1}
    with pytest.raises(StackError, match=r"/empty has no section \[compute_logs\]: write it there"):
        ComputeLogs.from_config_value(None, settings | {"credentials": [str(tmp_path / "empty")]})


def test_runs_need_to_write_and_pages_to_read_and_neither_more(
    host: Callable[[str], Host], keys_that_may: Callable[[Host, str], str]
) -> None:
    """The keys of a page that is broken into must open the logs, and change none."""

    @dg.op
    def say() -> None:
        print("said")  # noqa: T201

    @dg.job
    def short() -> None:
        say()

    worker, web = host("worker"), host("web")
    write, read = keys_that_may(worker, "s3:PutObject"), keys_that_may(web, "s3:GetObject")
    with worker.instance(credentials=[write]) as instance:
        run_id = short.execute_in_process(instance=instance).run_id
        assert as_the_page_reads(instance, run_id)["stdout"] is None
        instance.compute_log_manager.on_progress(log_key(instance, run_id))  # Dagster's thread, a moment late
        assert not list((worker.home / "logs").rglob("*.err"))
    with web.instance(credentials=[read]) as instance:
        assert as_the_page_reads(instance, run_id)["stdout"] == "said\n"
        with (
            pytest.raises(ClientError, match="AccessDenied"),
            instance.compute_log_manager.open_log_stream(["tick"], ComputeIOType.STDERR) as out,
        ):
            assert out
            out.write("something else")


@pytest.fixture
def keys_that_may(aws: Aws) -> Iterator[Callable[[Host, str], str]]:
    """Makes keys that may do one thing below the prefix. Until the test ends, S3 asks what a key may."""
    iam = make_client("iam", aws.connection)

    def asked_from_now_on(yes: bool) -> None:
        answer = requests.post(f"{aws.endpoint_url}/moto-api/reset-auth", data=b"0" if yes else b"inf", timeout=60)
        answer.raise_for_status()

    def make(host: Host, action: str) -> str:
        name, path = f"{host.home.name}-{host.bucket}", host.home / "keys"
        asked_from_now_on(False)
        allowed = {"Effect": "Allow", "Action": action, "Resource": f"arn:aws:s3:::{host.bucket}/{PREFIX}/*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="logs", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        lines = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        path.write_text("[compute_logs]\n" + "".join(f"{word} = {value}\n" for word, value in lines.items()))
        asked_from_now_on(True)
        return str(path)

    try:
        yield make
    finally:
        asked_from_now_on(False)
