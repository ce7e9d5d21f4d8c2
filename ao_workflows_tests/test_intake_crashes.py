"""The intake's protocol, step by step: wherever the daemon dies, each event has one run, and no message is lost."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import dagster as dg
import pytest
from dagster._core.storage.tags import RUN_KEY_TAG

from ao_workflows.site.sections import CHECKOUT
from ao_workflows_tests.support.dying_tick import POINTS, tick
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import TrialSite, trial_site

RIDS = ("W1NLM4712", "W1NLM4788")
DEADLINE_SECONDS = 180


@dataclass(frozen=True)
class Crashed:
    """What a crash left, and what the ticks after it made of that: runs by work, messages, ticks."""

    exit_codes: tuple[int, ...]
    messages_after_crash: int
    runs: Counter[str]
    identities: int
    statuses: set[dg.DagsterRunStatus]
    messages: int


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory, aws: Aws) -> Iterator[dict[str, Crashed]]:
    """A site for each point, all at once: much of a tick is waiting."""
    with ExitStack() as stack:
        sites = {}
        home = tmp_path_factory.mktemp("dagster")
        shutil.copy(CHECKOUT / "dagster.yaml", home)
        with dg.DagsterInstance.from_config(str(home)) as instance:  # its tables, once
            instance.get_runs_count()
            instance.all_instigator_state()
            instance.get_dynamic_partitions("works")
        for point in POINTS:
            folder = tmp_path_factory.mktemp("crash")
            sites[point] = stack.enter_context(trial_site(folder, aws))
            shutil.copytree(home, folder / "dagster")
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda point: _crash(sites[point], point), POINTS)
            yield dict(zip(POINTS, found, strict=True))


def _crash(site: TrialSite, point: str) -> Crashed:
    """One message that names two works; ticks until one dies at ``point``, then ticks until the queue is empty."""
    until = time.monotonic() + DEADLINE_SECONDS
    _send(site)
    codes = [tick(site.folder, dies_when=point)]
    while codes[-1] == 0 and time.monotonic() < until:
        codes.append(tick(site.folder, dies_when=point))
    left = _messages(site)
    # After the crash a message may be hidden still: an empty queue alone does not say that all is done.
    while codes[-1] in (0, -9) and time.monotonic() < until:
        codes.append(tick(site.folder))
        if not _messages(site) and codes[-1] == 0:
            break
    with dg.DagsterInstance.from_config(str(site.folder / "dagster")) as instance:
        runs = instance.get_runs()
    return Crashed(
        tuple(codes),
        left,
        Counter(run.tags["dagster/partition"] for run in runs),
        len({run.tags[RUN_KEY_TAG] for run in runs}),
        {run.status for run in runs},
        _messages(site),
    )


def _send(site: TrialSite) -> None:
    records = [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectRestore:Completed",
            "eventTime": "2026-11-21T06:32:44.000Z",
            "awsRegion": site.intake.region,
            "s3": {"bucket": {"name": site.intake.bucket}, "object": {"key": f"Archive0/00/{rid}/{rid}.bag.zip"}},
        }
        for rid in RIDS
    ]
    url = site.aws.sqs.get_queue_url(QueueName=site.intake.queue)["QueueUrl"]
    site.aws.sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"Records": records}))


def _messages(site: TrialSite) -> int:
    url = site.aws.sqs.get_queue_url(QueueName=site.intake.queue)["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = site.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


@pytest.mark.parametrize("point", POINTS)
def test_a_daemon_that_dies_when(crashed: dict[str, Crashed], point: str) -> None:
    """Leaves the message in the queue until its runs are there, and each event has one run in the end."""
    left = crashed[point]
    assert left.exit_codes.count(-9) == 1, "it must have died at its point, once"
    assert left.messages_after_crash == (0 if point == "the message is deleted" else 1)
    assert left.exit_codes[-1] == 0
    assert left.runs == Counter(RIDS)
    assert left.identities == len(RIDS)
    assert left.statuses == {dg.DagsterRunStatus.QUEUED}
    assert left.messages == 0
