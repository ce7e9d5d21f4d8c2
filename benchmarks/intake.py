"""Intake: what a message costs the sensor, and whether a tick grows with what Dagster knows already.

The queue is moto's, over HTTP, and its time is in ours: SQS's own is mostly waiting. A tick is all that the code server
does for it; what the daemon then does for each run, its own look for the run key and the run's plan, is Dagster's.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG

from ao_workflows.aws.connections import make_client
from ao_workflows.clients import resources
from ao_workflows.definitions import build
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.defs.sensors.intakes import BATCH
from ao_workflows.demo.aws import write_credentials
from ao_workflows.intake.queue_rules import QueueCursor
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import Site
from benchmarks.measure import Result, at_most, within

MESSAGES = 1000
KNOWN = (10, 100_000)
ROUNDS = 7
WAITING = 5000
TICKS = 12
ROOM = 100
SENSOR = "demo_intake"

_SERVE = """
from moto.server import DomainDispatcherApplication, create_backend_app
from moto.sqs.models import Queue
from werkzeug.serving import make_server
# moto counts the whole queue anew for each message that it takes or gives: minutes for 5,000.
for name in ("", "_not_visible", "_delayed"):
    setattr(Queue, "approximate_number_of_messages" + name, 0)
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""

Tick = Callable[[dg.DagsterInstance, str | None], tuple[Any, float]]


def run() -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="intake-") as name, _aws(Path(name)) as (site, queue):
        folder, tick = Path(name), _ticker(site)
        spent = _drain(folder, tick, queue)
        few, many = _ticks(folder, tick, queue)
        queued = _most_queued(folder, tick, queue)
    return [
        within(f"draining {MESSAGES:,} messages: sensor time a message", spent, "ms", 25),
        at_most(f"a tick with {KNOWN[1]:,} known partitions over one with {KNOWN[0]}", many, few, "s", 1.3),
        within(f"{WAITING:,} messages waiting: most runs queued", queued, "runs", ROOM + BATCH),
    ]


@contextmanager
def _aws(folder: Path) -> Iterator[tuple[Site, Queue]]:
    """moto's server in a process of its own, a site that has its queue for an intake, and that queue."""
    server = subprocess.Popen([sys.executable, "-c", _SERVE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert server.stdout
        endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
        site = parse(f"max_queued_runs = {ROOM}\n{demo_site(folder, endpoint)}", "the benchmark's site")
        write_credentials(folder / "aws-credentials", str(site.queues["demo"].aws_profile))
        client = make_client("sqs", resources(site)["sqs"].connections["demo"])
        yield site, Queue(client, client.create_queue(QueueName=site.queues["demo"].queue)["QueueUrl"])
    finally:
        server.kill()
        server.communicate()


@dataclass
class Queue:
    """The intake's queue, as S3 fills it."""

    client: Any
    url: str
    sent: int = 0

    def send(self, count: int) -> None:
        for start in range(self.sent, self.sent + count, 10):
            entries = [{"Id": str(n), "MessageBody": _restored(f"W1FPL{n}")} for n in range(start, start + 10)]
            self.client.send_message_batch(QueueUrl=self.url, Entries=entries)
        self.sent += count


def _drain(folder: Path, tick: Tick, queue: Queue) -> float:
    """Milliseconds of ticks a message, from a full queue until the last message is deleted; runs end at once."""
    with _instance(folder / "drain", 10) as instance:
        queue.send(MESSAGES)
        cursor, spent, made = None, 0.0, 0
        while made < MESSAGES or QueueCursor.parse(cursor).pending:
            result, seconds = tick(instance, cursor)
            cursor, spent = result.cursor, spent + seconds
            made += len(result.run_requests)
            _make_runs(instance, result, dg.DagsterRunStatus.SUCCESS)
        return spent / MESSAGES * 1000


def _most_queued(folder: Path, tick: Tick, queue: Queue) -> int:
    """The longest that the run queue gets with 5,000 messages waiting, while 30 runs end between two ticks."""
    with _instance(folder / "queued", 10) as instance:
        queue.send(WAITING)
        cursor, most = None, 0
        queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED])
        for _ in range(TICKS):
            result, _ = tick(instance, cursor)
            cursor = result.cursor
            _make_runs(instance, result, dg.DagsterRunStatus.NOT_STARTED)
            runs = instance.get_runs(queued)
            most = max(most, len(runs))
            for run in runs[:30]:
                instance.report_run_canceled(run)
        return most


def _ticks(folder: Path, tick: Tick, queue: Queue) -> list[float]:
    """The median seconds of a tick with 100 messages, with few and with many partitions known, in turn.

    What a tick received stays hidden from the next.
    """
    taken: list[list[float]] = [[], []]
    with _instance(folder / "few", KNOWN[0]) as few, _instance(folder / "many", KNOWN[1]) as many:
        for _ in range(ROUNDS):
            for instance, times in zip((few, many), taken, strict=True):
                queue.send(100)
                result, seconds = tick(instance, None)
                assert len(result.run_requests) == 100
                times.append(seconds)
    return [statistics.median(times) for times in taken]


@contextmanager
def _instance(folder: Path, partitions: int) -> Iterator[dg.DagsterInstance]:
    """A stored instance that knows so many works."""
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        instance.add_dynamic_partitions(str(WORKS.name), [f"W0KNOWN{number}" for number in range(partitions)])
        yield instance


def _ticker(site: Site) -> Tick:
    """Evaluates a tick, and says how many seconds it took; the code server has its definitions loaded already."""
    repository = build(site).get_repository_def()
    sensor = repository.get_sensor_def(SENSOR)

    def tick(instance: dg.DagsterInstance, cursor: str | None) -> tuple[Any, float]:
        with dg.SensorEvaluationContext(
            instance_ref=instance.get_ref(),
            instance=instance,
            last_tick_completion_time=None,
            last_run_key=None,
            cursor=cursor,
            repository_name=repository.name,
            repository_def=repository,
            sensor_name=SENSOR,
            resources=repository.get_top_level_resources(),
        ) as context:
            started = time.perf_counter()
            result = sensor.evaluate_tick(context)
            return result, time.perf_counter() - started

    return tick


def _make_runs(instance: dg.DagsterInstance, result: Any, status: dg.DagsterRunStatus) -> None:
    """What the daemon does after the tick, as far as the next tick sees it."""
    instance.add_dynamic_partitions(str(WORKS.name), [request.partition_key for request in result.run_requests])
    for request in result.run_requests:
        tags = request.tags | {RUN_KEY_TAG: request.run_key, SENSOR_NAME_TAG: SENSOR}
        instance.add_run(dg.DagsterRun(job_name="restore_work", status=status, tags=tags))


def _restored(rid: str) -> str:
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectRestore:Completed",
        "eventTime": "2026-11-21T06:32:44.000Z",
        "awsRegion": "us-east-1",
        "s3": {"bucket": {"name": "glacier.staging.demo"}, "object": {"key": f"a/{rid}.bag.zip", "eTag": rid}},
    }
    return json.dumps({"Records": [record]})
