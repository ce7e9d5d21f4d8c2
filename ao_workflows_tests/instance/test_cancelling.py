"""A run ends itself when its status says so: on a real instance, in a real process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import create_execution_plan
from dagster._grpc.types import ExecuteRunArgs

YAML = """\
telemetry: {enabled: false}
instance_class: {module: ao_workflows.instance.cancelling, class: CancellingInstance}
run_monitoring: {enabled: true, cancellation_thread_poll_interval_seconds: 1}
"""

JOB = """\
import pathlib, time
import dagster as dg
from ao_workflows.defs.restore.retries import TRY_AGAIN

@dg.op(retry_policy=TRY_AGAIN)
def wait_long():
    started = pathlib.Path(__file__).with_name("started")
    started.write_text("")
    try:
        time.sleep(120)
    finally:
        started.with_name("cleaned up").write_text("")

@dg.job(executor_def=dg.in_process_executor)
def long_job():
    wait_long()
"""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(YAML)
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def test_a_run_that_is_being_cancelled_ends_itself(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Where nobody can reach a run's process, it would go on, and hold its work, after it was cancelled."""
    module = tmp_path / "long_jobs.py"
    module.write_text(JOB)
    repository = ReconstructableRepository.for_file(str(module), "long_job", str(tmp_path))
    recon = repository.get_reconstructable_job("long_job")
    definition = recon.get_definition()
    run = instance.create_run_for_job(
        job_def=definition,
        execution_plan=create_execution_plan(definition),
        job_code_origin=recon.get_python_origin(),
    )
    command = ExecuteRunArgs(
        job_origin=recon.get_python_origin(), run_id=run.run_id, instance_ref=instance.get_ref()
    ).get_command_args()
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "started").exists():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        instance.report_run_canceling(instance.get_run_by_id(run.run_id))
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "cleaned up").exists(), output
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.CANCELED
