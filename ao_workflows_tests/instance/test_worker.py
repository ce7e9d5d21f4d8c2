"""The worker: which runs it executes. What it does as a process is seen in ``test_run_workers``."""

from __future__ import annotations

import os
import subprocess
import sys

from ao_workflows_tests.conftest import CHECKOUT

_REFUSALS = """
from dagster import DagsterRunStatus
from ao_workflows.instance.worker import _refusal
for status in DagsterRunStatus:
    print(status.value, bool(_refusal(status)))
print(_refusal(DagsterRunStatus.STARTED))
print(_refusal(None))
"""


def worker(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in a process of its own: the worker's module makes its app when it is loaded."""
    environment = {name: value for name, value in os.environ.items() if name != "WORKERS_BROKER"}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_only_a_run_that_is_still_to_be_is_executed() -> None:
    """Redis may give a message again, days later: the work would be done twice, or after it was cancelled."""
    done = worker(_REFUSALS, WORKERS_BROKER="redis://127.0.0.1:1/0")
    assert done.returncode == 0, done.stderr
    *statuses, begun, gone = done.stdout.splitlines()
    assert {line.split()[0] for line in statuses if line.endswith("False")} == {"STARTING", "CANCELING"}
    assert "a retry takes its place" in begun
    assert gone == "it is deleted"


def test_a_worker_without_its_broker_says_which_setting_is_missing() -> None:
    """A trace of Celery's in a container that starts again and again helps nobody."""
    done = worker("import ao_workflows.instance.worker")
    assert done.returncode != 0
    assert "WORKERS_BROKER: is not in the environment of this worker" in done.stderr
