"""Runs in real workers, whose processes, workers and Redis are killed: one story, and what must hold of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows_tests.conftest import skip_or_fail
from ao_workflows_tests.support.postgres_server import Postgres
from ao_workflows_tests.support.redis_server import RedisServer
from ao_workflows_tests.support.sites import PAGE
from ao_workflows_tests.support.worker_site import WorkerSite, is_gone, kill, wait_until, worker_site

RIDS = [f"W1NLM47{number:02}" for number in range(6)]

pytestmark = pytest.mark.timeout(600)


@dataclass
class Story:
    """Which work was in which part of it, and what was seen on the way."""

    site: WorkerSite
    in_killed_process: str = ""
    in_killed_worker: str = ""
    ended_by_stopped_worker: str = ""
    cancelled: str = ""
    sent_again_after_its_end: str = ""
    sent_again_while_under_way: str = ""
    waiting: int = 0
    said_of_waiting: str = ""
    killed_at: float = 0.0
    stopped: dict[str, Any] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    outlived_its_worker: bool = True


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    try:
        server = RedisServer(tmp_path_factory.mktemp("redis"))
    except FileNotFoundError as error:
        skip_or_fail(str(error))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, redis: RedisServer) -> Iterator[Story]:
    root = tmp_path_factory.mktemp("workers")
    with worker_site(root, postgres.database(), redis) as site:
        told = Story(site)
        workers = {name: site.start_worker(name) for name in ("one", "two")}
        site.drop(*RIDS)
        _kill_a_process_and_a_worker(told, workers)
        _stop_a_worker(told, workers)
        workers |= {name: site.start_worker(name) for name in ("three", "four")}
        _cancel(told)
        _send_again_what_has_ended(told)
        _run_again_what_was_killed(told)
        _lose_redis_and_send_again(told)
        yield told
    shutil.rmtree(root, ignore_errors=True)


def _now_begun(site: WorkerSite, before: set[str]) -> str:
    """The work whose sync begins next."""
    return wait_until("another work is begun", lambda: sorted(site.begun().keys() - before))[0]


def _kill_a_process_and_a_worker(told: Story, workers: dict[str, subprocess.Popen[bytes]]) -> None:
    site = told.site
    wait_until("two works are begun", lambda: len(site.begun()) == 2)
    all_of_them = f"{len(RIDS)} runs under way"
    wait_until("the others wait for a worker", lambda: site.look_for_lost_runs().startswith(all_of_them))
    told.said_of_waiting = site.look_for_lost_runs()
    told.waiting = sum(site.statuses(rid) == ["STARTING"] for rid in RIDS)
    by_worker = {site.holder(rid)[0]: rid for rid in site.begun()}
    told.in_killed_process, told.in_killed_worker = by_worker["one"], by_worker["two"]
    _, orphan = site.holder(told.in_killed_worker)
    told.killed_at = time.time()
    kill(site.holder(told.in_killed_process)[1])
    kill(workers["two"].pid)
    workers["two"].wait()
    wait_until("the worker's process ends with it", lambda: is_gone(orphan))
    told.outlived_its_worker = False


def _stop_a_worker(told: Story, workers: dict[str, subprocess.Popen[bytes]]) -> None:
    """The one that is left has a new process, which takes the next run; it is stopped while it has it."""
    site = told.site
    told.ended_by_stopped_worker = _now_begun(site, {told.in_killed_process, told.in_killed_worker})
    workers["one"].terminate()
    wait_until("the worker says that it stops", lambda: "Warm shutdown" in site.log("one"))
    told.stopped["lives"] = workers["one"].poll() is None
    site.let_through(told.ended_by_stopped_worker)
    told.stopped["exit"] = workers["one"].wait(120)
    told.stopped["statuses"] = site.statuses(told.ended_by_stopped_worker)


def _cancel(told: Story) -> None:
    site = told.site
    before = {told.in_killed_process, told.in_killed_worker, told.ended_by_stopped_worker}
    told.cancelled = _now_begun(site, before)
    told.sent_again_after_its_end = _now_begun(site, before | {told.cancelled})
    (run,) = site.runs(told.cancelled)
    assert site.instance.run_launcher.terminate(run.run_id)
    wait_until("the run ends itself", lambda: site.statuses(told.cancelled) == ["CANCELED"])
    told.sent_again_while_under_way = _now_begun(site, before | {told.cancelled, told.sent_again_after_its_end})


def _message_of(site: WorkerSite, rid: str) -> bytes:
    run_id = site.runs(rid)[-1].run_id
    task_id = site.runs(rid)[-1].tags["dagster-celery/task_id"]
    assert run_id != task_id
    (message,) = [each for each in site.messages_under_way() if task_id.encode() in each]
    return message


def _refusals(site: WorkerSite) -> list[str]:
    return re.findall(r"Run (\S+ is not executed: .*)", site.log("three") + site.log("four"))


def _send_again_what_has_ended(told: Story) -> None:
    site, rid = told.site, told.sent_again_after_its_end
    message = _message_of(site, rid)
    site.let_through(rid)
    wait_until("the work is done", lambda: site.statuses(rid) == ["SUCCESS"])
    site.redis.client.lpush("dagster", message)
    (run,) = site.runs(rid)
    told.refused += wait_until("it is refused", lambda: [said for said in _refusals(site) if run.run_id in said])


def _run_again_what_was_killed(told: Story) -> None:
    site = told.site
    killed = (told.in_killed_process, told.in_killed_worker)
    site.let_through(*killed)

    def both_done() -> bool:
        site.look_for_lost_runs()
        return all(site.statuses(rid)[-1] == "SUCCESS" for rid in killed)

    wait_until("the killed runs' retries are done", both_done, every=1)


def _lose_redis_and_send_again(told: Story) -> None:
    """After a lost connection, Redis gives a run that is under way to an idle worker."""
    site, rid = told.site, told.sent_again_while_under_way
    (run,) = site.runs(rid)
    site.redis.client.lpush("dagster", _message_of(site, rid))
    wait_until("it is refused", lambda: [said for said in _refusals(site) if run.run_id in said])
    site.redis.kill()
    site.redis.start()
    wait_until("the worker says again that it has it", lambda: site.redis.client.keys(f"*{run.run_id}"))
    before = len(_refusals(site))
    assert before
    site.look_for_lost_runs()
    site.let_through(rid)
    wait_until("the work is done", lambda: site.statuses(rid)[-1] == "SUCCESS")
    told.refused += [said for said in _refusals(site) if run.run_id in said]


def test_what_was_killed_fails_in_two_minutes_and_is_right_in_the_end(story: Story) -> None:
    """Celery shows such a run as started for ever; it would hold its work, and a place in the queue, as long."""
    for rid in (story.in_killed_process, story.in_killed_worker):
        failed, *between, retry = story.site.runs(rid)
        record = story.site.instance.get_run_record_by_id(failed.run_id)
        assert record
        assert record.end_time
        assert record.end_time - story.killed_at < 120
        assert story.site.statuses(rid) == ["FAILURE", "SUCCESS"], between
        assert retry.parent_run_id == failed.run_id
        assert story.site.place(rid).read_bytes() == PAGE


def test_no_process_of_a_killed_worker_goes_on_unseen(story: Story) -> None:
    """It would end its run, or not, and nobody could stop it."""
    assert not story.outlived_its_worker


def test_a_run_that_waits_for_a_worker_is_not_lost(story: Story) -> None:
    """It is in nobody's hands, and yet in order."""
    assert story.waiting == len(RIDS) - 2
    assert story.said_of_waiting == f"{len(RIDS)} runs under way, none lost"


def test_a_worker_that_is_stopped_ends_the_run_that_it_has(story: Story) -> None:
    """An upgrade must not cost a night of downloading."""
    assert story.stopped == {"lives": True, "exit": 0, "statuses": ["SUCCESS"]}
    assert story.site.place(story.ended_by_stopped_worker).read_bytes() == PAGE


def test_a_cancelled_run_ends_and_its_process_takes_the_next(story: Story) -> None:
    """One that does not end holds its work; one that takes its worker with it holds up all others."""
    assert story.site.statuses(story.cancelled) == ["CANCELED"]
    assert not story.site.place(story.cancelled).exists()
    assert story.site.statuses(story.sent_again_while_under_way) == ["SUCCESS"]


def test_a_run_that_is_sent_twice_is_executed_once(story: Story) -> None:
    """Redis promises to send at least once; two that unpack one work wreck each other's."""
    said = {run_id: set() for run_id in (refusal.split(" ")[0] for refusal in story.refused)}
    for refusal in story.refused:
        said[refusal.split(" ")[0]].add(refusal.partition(": ")[2])
    for rid, why in (
        (story.sent_again_after_its_end, "it is SUCCESS"),
        (story.sent_again_while_under_way, "another worker executes it"),
    ):
        (run,) = story.site.runs(rid)
        assert why in said[run.run_id]
        assert story.site.begun()[rid] == 1
        assert story.site.place(rid).read_bytes() == PAGE


def test_a_process_is_warm_and_is_made_anew_after_a_number_of_runs(story: Story) -> None:
    """Started anew for each run, it costs what a container does; never, it keeps whatever leaks."""
    pids = Counter()
    for run in story.site.instance.get_runs():
        events = story.site.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        pids.update(
            re.findall(
                r"Started process for run \(pid: (\d+)\)",
                " ".join(str(each.get_dagster_event().message) for each in events),
            )
        )
    assert max(pids.values()) == 2, pids
    assert sum(pids.values()) == len(RIDS) + 2


def test_a_worker_shows_that_it_is_in_touch_with_redis(story: Story) -> None:
    """The container's health check looks at this file."""
    alive = story.site.root / "tmp/worker-alive"
    before = alive.stat().st_mtime
    wait_until("it is touched again", lambda: alive.stat().st_mtime > before)


def test_no_password_is_told(story: Story) -> None:
    """Not in the storage, the workers' logs, or a process's words."""
    word = Path(story.site.redis.address.partition("passfile=")[2]).read_text().strip()
    told = json.dumps([run.tags | {"config": str(run.run_config)} for run in story.site.instance.get_runs()])
    told += "".join(path.read_text(errors="replace") for path in (story.site.root / "logs").iterdir())
    told += b"".join(story.site.redis.client.lrange("dagster", 0, -1) + story.site.messages_under_way()).decode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told += (process / "cmdline").read_text(errors="replace") + (process / "environ").read_text("latin-1")
        except OSError:
            continue
    assert word not in told
