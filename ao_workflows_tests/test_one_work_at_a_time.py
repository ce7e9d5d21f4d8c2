"""Two that meet on one work: one has it, and the other waits, or says who has it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from ao_workflows.site.sections import CHECKOUT
from ao_workflows_tests.support.dying_tick import tick
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import TrialSite, trial_site

RID = "W1NLM4712"
DEADLINE_SECONDS = 120

_HAVE = """
import signal, sys
from ao_workflows.staging.staging import Staging
staging = Staging(root=sys.argv[1])
staging.hold(sys.argv[2], "run 0b9d1f2a of the other site")
print("held", flush=True)
signal.pause()
"""


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        home = tmp_path / "dagster"
        home.mkdir()
        shutil.copy(CHECKOUT / "dagster.yaml", home)
        yield trial


def _to_launch(instance: dg.DagsterInstance) -> list[str]:
    """The runs that the daemon's queue, as it is configured, would launch now."""
    queue = QueuedRunCoordinatorDaemon(interval_seconds=1)
    found = queue._get_runs_to_dequeue(instance, instance.get_concurrency_config(), fixed_iteration_time=None)
    return [run.run_id for run in found]


def test_of_two_sensors_runs_of_one_work_the_second_waits_in_the_queue(site: TrialSite) -> None:
    """A work that is restored again while it is under way, by whichever intake that is told."""
    file, queues = site.folder / "site.toml", [site.intake.queue, site.aws.make_queue()]
    intake = re.search(r"\[\[intake\]\].*", file.read_text(), re.DOTALL)
    assert intake
    with file.open("a") as more:
        more.write("\n" + intake[0].replace('"demo"\nqueue', '"other"\nqueue').replace(*queues))
    for name, time_of_day in zip(queues, ("06:32:44", "07:00:00"), strict=True):
        url = site.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        body = site.restore(RID, b"any zip").replace("06:32:44", time_of_day)
        site.aws.sqs.send_message(QueueUrl=url, MessageBody=body)
    assert tick(site.folder) == 0
    with dg.DagsterInstance.from_config(str(site.folder / "dagster")) as instance:
        runs = {run.tags["dagster/sensor_name"]: run for run in instance.get_runs()}
        assert set(runs) == {"demo_intake", "other_intake"}
        assert {run.tags["dagster/partition"] for run in runs.values()} == {RID}
        (first,) = _to_launch(instance)
        (second,) = {run.run_id for run in runs.values()} - {first}
        for event, then in ((dg.DagsterEventType.RUN_START, []), (dg.DagsterEventType.RUN_SUCCESS, [second])):
            instance.report_dagster_event(dg.DagsterEvent(event.value, "restore_work"), first)
            assert _to_launch(instance) == then


def test_a_run_from_the_command_line_says_who_has_the_work_and_waits(site: TrialSite) -> None:
    """Not by tags, which only the queue of one site keeps: by the lock, with who to ask."""
    other = subprocess.Popen(
        [sys.executable, "-c", _HAVE, str(site.site.staging.root), RID], stdout=subprocess.PIPE, encoding="utf-8"
    )
    command = f"dagster asset materialize -m ao_workflows.definitions --select restored_message --partition {RID}"
    log = site.folder / "materialize.log"
    with dg.DagsterInstance.from_config(str(site.folder / "dagster")) as instance:
        instance.add_dynamic_partitions("works", [RID])
    environment = os.environ | {
        "AO_SITE": str(site.folder / "site.toml"),
        "DAGSTER_HOME": str(site.folder / "dagster"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    assert other.stdout
    assert other.stdout.readline() == "held\n"
    with log.open("wb") as out:
        second = subprocess.Popen(command.split(), env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + DEADLINE_SECONDS
        while "STEP_UP_FOR_RETRY" not in log.read_text() and second.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        said = log.read_text()
        who = (
            rf"run 0b9d1f2a of the other site, process {other.pid} on {re.escape(socket.gethostname())}, since \d{{4}}"
        )
        assert re.search(rf"{RID} is being worked on by {who}", said), said[-3000:]
        assert "STEP_UP_FOR_RETRY" in said, "it waits, and tries again"
    finally:
        for process in (second, other):
            process.send_signal(signal.SIGKILL)
            process.communicate()
