"""Intakes in the real daemon: its own tick, a code server in a process of its own, a stored run queue.

What belongs here: what Dagster makes of a tick's result. What does not: what a tick decides (``test_sensors``).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time, instance_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration

from ao_workflows.site.demo import demo_site
from ao_workflows_tests.cli.test_intake import restored
from ao_workflows_tests.conftest import CHECKOUT
from ao_workflows_tests.support.moto_server import Aws

MOST = 4
"""So many runs may wait at this site."""


@dataclass
class Daemon:
    """The sensor daemon and the run queue's, each one round at a time, on a clock that the test sets."""

    aws: Aws
    context: WorkspaceProcessContext
    queues: dict[str, str]
    clock: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def instance(self) -> dg.DagsterInstance:
        return self.context.instance

    def tick(self) -> None:
        """One round of the sensors, a minute after the one before."""
        self.clock += timedelta(minutes=1)
        with freeze_time(self.clock):
            list(execute_sensor_iteration(self.context, logging.getLogger("daemon"), None, None))

    def launch(self) -> None:
        """One round of the run queue."""
        list(QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(self.context))

    def last_tick(self, intake: str) -> InstigatorTick:
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        (state,) = [state for state in states if state.instigator_name == f"{intake}_intake"]
        return self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)[0]

    def runs(self, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        return list(self.instance.get_runs(dg.RunsFilter(statuses=list(statuses))))

    def send(self, intake: str, bodies: list[str]) -> None:
        url = self.aws.sqs.get_queue_url(QueueName=self.queues[intake])["QueueUrl"]
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
            self.aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)

    def in_queue(self, intake: str) -> tuple[int, int]:
        """How many messages are to be had, and how many are hidden."""
        url = self.aws.sqs.get_queue_url(QueueName=self.queues[intake])["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, aws: Aws) -> Iterator[Daemon]:
    """A site with two intakes, of which the queue of one, `gone`, is not there. No run is really started."""
    folder = tmp_path_factory.mktemp("site")
    queues = {"demo": aws.make_queue(), "gone": "NoSuchQueue"}
    text = demo_site(folder, aws.endpoint_url).replace("us-east-1", aws.connection.region)
    text = text.replace('aws_profile = "demo"', f'aws_profile = "{aws.connection.profile}"')
    text = text.replace(f"{folder}/aws-credentials", str(aws.connection.credentials_file))
    head, intake = text.split("[[intake]]")
    gone = intake.replace('name = "demo"', 'name = "gone"').replace("ReadyToIntake", queues["gone"])
    text = f"{head}[[intake]]{intake.replace('ReadyToIntake', queues['demo'])}[[intake]]{gone}"
    (folder / "site.toml").write_text(f"max_queued_runs = {MOST}\n{text}")
    overrides = yaml.safe_load((CHECKOUT / "dagster.yaml").read_text())
    overrides["run_launcher"] = {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}
    (folder / "home").mkdir()
    before = os.environ.get("AO_SITE")
    os.environ["AO_SITE"] = str(folder / "site.toml")
    try:
        with (
            instance_for_test(overrides=overrides, temp_dir=str(folder / "home")) as instance,
            create_test_daemon_workspace_context(
                ModuleTarget("ao_workflows.definitions", None, str(CHECKOUT), "ao_workflows"), instance
            ) as context,
        ):
            yield Daemon(aws, context, queues)
    finally:
        if before is None:
            del os.environ["AO_SITE"]
        else:
            os.environ["AO_SITE"] = before


@pytest.fixture(autouse=True)
def no_run_waits(daemon: Daemon) -> Iterator[None]:
    """Each test begins with an empty queue of runs; of messages, too, save what the last test leaves."""
    yield
    for run in daemon.runs(dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING):
        daemon.instance.report_run_canceled(run)


def test_a_queue_s_outage_stops_no_other_and_its_tick_says_which_it_is(daemon: Daemon) -> None:
    """Whoever is called at night must see which of five queues it is, and the other four must go on."""
    daemon.send("demo", [restored("W1NLM4712")])
    daemon.tick()
    failed, fine = daemon.last_tick("gone"), daemon.last_tick("demo")
    assert (failed.status, fine.status) == (TickStatus.FAILURE, TickStatus.SUCCESS)
    causes, cause = [], failed.error
    while cause:
        causes.append(cause.message)
        cause = cause.cause
    for said in (
        "queue NoSuchQueue",
        f"region {daemon.aws.connection.region}",
        f"profile {daemon.aws.connection.profile}",
    ):
        assert said in "".join(causes)
    assert [run.tags["dagster/partition"] for run in daemon.runs(dg.DagsterRunStatus.QUEUED)] == ["W1NLM4712"]
    daemon.tick()
    assert daemon.in_queue("demo") == (0, 0)


def test_a_second_restore_of_an_object_is_a_run_that_waits_for_the_first(daemon: Daemon) -> None:
    """Two runs that unpack one work at a time would undo each other's; one that is not made is a restore lost."""
    first, second = restored("W1NLM4788"), restored("W1NLM4788").replace("06:32:44", "07:32:44")
    daemon.send("demo", [first, second, first])
    daemon.tick()
    runs = daemon.runs(dg.DagsterRunStatus.QUEUED)
    assert [run.tags["dagster/partition"] for run in runs] == ["W1NLM4788"] * 2
    daemon.launch()
    (started,) = daemon.runs(dg.DagsterRunStatus.STARTING)
    daemon.launch()
    assert len(daemon.runs(dg.DagsterRunStatus.STARTING)) == 1
    daemon.instance.report_run_failed(started)
    daemon.launch()
    (later,) = daemon.runs(dg.DagsterRunStatus.STARTING)
    assert later.run_id != started.run_id
    daemon.tick()
    assert daemon.in_queue("demo") == (0, 0), "the event whose run failed is there, as that run"


def test_what_has_no_room_in_the_run_queue_waits_in_sqs(daemon: Daemon) -> None:
    """SQS keeps messages for days; a long run queue is slow for everybody. (`make bench ONLY=intake` tries 5,000.)"""
    daemon.send("demo", [restored(f"W1FPL{number}") for number in range(60)])
    for _ in range(2):
        daemon.tick()
        assert len(daemon.runs(dg.DagsterRunStatus.QUEUED)) == MOST
    assert daemon.in_queue("demo") == (60 - MOST, 0)
    for run in daemon.runs(dg.DagsterRunStatus.QUEUED)[:3]:
        daemon.instance.report_run_canceled(run)
    daemon.tick()
    assert len(daemon.runs(dg.DagsterRunStatus.QUEUED)) == MOST
    assert daemon.in_queue("demo") == (60 - MOST - 3, 3)
