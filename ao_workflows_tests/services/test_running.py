"""``ao up`` and ``ao down``: the real services, brought up once for those tests that look at them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import PARTITION_NAME_TAG, WILL_RETRY_TAG

from ao_workflows.machine.boot import boot_id
from ao_workflows.machine.processes import free_port, identify, is_free, marked
from ao_workflows.services.folder import MARK
from ao_workflows.services.record import SERVICES
from ao_workflows.site.demo import demo_site
from ao_workflows.site.sections import CHECKOUT
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip, trial_site

AO = Path(sys.executable).with_name("ao")
AT_MOST_SECONDS = 200
ENDS, GOES_ON = "W1NLM4712", "W1NLM4713"

_SCRIPT = f"""#!/bin/sh
for work; do :; done
rid=$(basename "$work")
touch "$0.$rid.begun"
while [ ! -e "$0.$rid.go" ]; do sleep 0.1; done
exec '{CHECKOUT}/docker/sync/syncOneWork.sh' "$@"
"""
"""The reference script, which waits for a file before it begins."""


@dataclass(frozen=True)
class Laptop:
    """A site in ``folder``, its pages' ports, and the commands on it."""

    folder: Path
    port: int
    viewer_port: int

    @property
    def home(self) -> Path:
        return self.folder / "dagster"

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
        return mine | {"AO_SITE": f"{self.folder}/site.toml", "COLUMNS": "80"} | dict(more or {})

    @contextmanager
    def started(self, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
        command = subprocess.Popen(
            [AO, *words],
            env=self.environment(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        try:
            yield command
        finally:
            command.terminate()
            command.communicate(timeout=AT_MOST_SECONDS)

    def ao(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        with self.started(*words, **more) as command:
            said, _ = command.communicate(timeout=AT_MOST_SECONDS)
        return subprocess.CompletedProcess(words, command.returncode, said)

    def up(self, **more: str) -> subprocess.CompletedProcess[str]:
        return self.ao("up", "--port", str(self.port), "--viewer-port", str(self.viewer_port), **more)

    def pids(self) -> dict[str, int]:
        found = json.loads((self.home / "services/services.json").read_text())
        return {each["name"]: each["process"]["pid"] for each in found["services"]}

    def is_quiet(self) -> bool:
        """Nothing that was started is left, and no port is taken."""
        return not marked(MARK, str(self.home)) and is_free(self.port) and is_free(self.viewer_port)


@dataclass(frozen=True)
class Up:
    """The laptop with its services up, and what the command said of that."""

    laptop: Laptop
    site: TrialSite
    said: str


def _wait_until(holds: Callable[[], object], what: str) -> None:
    until = time.monotonic() + AT_MOST_SECONDS
    while not holds():
        assert time.monotonic() < until, f"it never came that {what}"
        time.sleep(0.1)


def _asked(port: int, query: str) -> Any:
    """What the web page at ``port`` answers to a GraphQL query."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - it is http on 127.0.0.1
        return json.load(answer)["data"]


@pytest.fixture(scope="module")
def up(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The services, brought up. A test leaves all of them up, save the last."""
    folder = tmp_path_factory.mktemp("laptop")
    laptop = Laptop(folder, free_port(), free_port())
    with trial_site(folder, aws) as site:
        script = folder / "waits.sh"
        script.write_text(_SCRIPT)
        script.chmod(0o755)
        toml = folder / "site.toml"
        toml.write_text(toml.read_text().replace(f"{CHECKOUT}/docker/sync/syncOneWork.sh", str(script)))
        try:
            brought = laptop.up()
            assert brought.returncode == 0, brought.stdout
            yield Up(laptop, site, brought.stdout)
        finally:
            laptop.ao("down")
            assert laptop.is_quiet()


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    """A site with nothing up, and nothing to take."""
    (tmp_path / "site.toml").write_text(demo_site(tmp_path, None))
    made = Laptop(tmp_path, free_port(), free_port())
    yield made
    made.ao("down")
    assert made.is_quiet()


def test_it_says_on_80_columns_where_each_service_is_and_what_to_do_next(up: Up) -> None:
    """What is on a wider screen than the reader has is not read, and the next step is asked for."""
    table = up.said.splitlines()[1:6]
    assert [line.split()[0] for line in table] == ["service", *SERVICES]
    assert max(len(line) for line in up.said.splitlines() if str(up.laptop.folder) not in line) <= 80
    for name, pid in up.laptop.pids().items():
        assert any(line.split()[:2] == [name, str(pid)] for line in table)
        assert (up.laptop.home / f"services/{name}.log").exists()
    assert f"http://127.0.0.1:{up.laptop.port} " in up.said
    assert f"export DAGSTER_HOME={up.laptop.home}\n" in up.said


def test_the_web_page_can_act_and_the_viewer_cannot(up: Up) -> None:
    """Who is given the viewer's port may look, and must not be able to end or start a run."""
    query = "{ permissions { permission value } }"
    may = {
        port: {each["permission"]: each["value"] for each in _asked(port, query)["permissions"]}
        for port in (up.laptop.port, up.laptop.viewer_port)
    }
    assert may[up.laptop.port]["launch_pipeline_execution"]
    assert not may[up.laptop.viewer_port]["launch_pipeline_execution"]


def test_what_is_up_is_left_as_it_is_and_what_was_killed_is_started_again(up: Up) -> None:
    """A second daemon on one instance would start runs twice."""
    laptop, before = up.laptop, up.laptop.pids()
    for name in ("viewer", "daemon"):
        os.kill(before[name], signal.SIGKILL)
        _wait_until(lambda name=name: identify(before[name]) is None, f"the {name} is gone")  # type: ignore[misc]
    failed = laptop.ao("up", DAGSTER_WEBSERVER_LOG_LEVEL="unheard-of")
    assert failed.returncode == 1
    assert "ao: viewer did not come up: it ended. The last of " in failed.stdout
    assert "unheard-of" in failed.stdout.splitlines()[-1], "the last lines of its log"
    left = {"code": before["code"], "webserver": before["webserver"]}
    assert laptop.pids() == left, "what was started with it is ended, and what was up is left alone"
    assert {process.pid for process in marked(MARK, str(laptop.home))} >= set(left.values())
    healed = laptop.ao("up")
    assert healed.returncode == 0, healed.stdout
    assert healed.stdout.startswith("Starting viewer, daemon …\n")
    assert {name: pid for name, pid in laptop.pids().items() if name in left} == left
    moved = laptop.ao("up", "--port", str(free_port()))
    assert (moved.returncode, "run ao down before" in moved.stdout) == (1, True)
    assert laptop.ao("up").stdout.startswith("Everything is up already.\n")


def test_another_site_does_not_get_into_an_instance_that_is_up(up: Up, tmp_path: Path) -> None:
    """Two sites in one instance would take each other's runs, with each other's secrets."""
    (tmp_path / "site.toml").write_text(demo_site(tmp_path, None))
    other = up.laptop.ao("up", "--site", str(tmp_path / "site.toml"), DAGSTER_HOME=str(up.laptop.home))
    assert other.returncode == 1
    assert f"{up.laptop.folder}/site.toml are up" in other.stdout


def test_down_lets_runs_end_or_interrupts_them_and_leaves_nothing(up: Up) -> None:
    """The last of this module's: nothing is up after it. A laptop that is closed must not cost a work."""
    laptop = up.laptop
    url = up.site.aws.sqs.get_queue_url(QueueName=up.site.intake.queue)["QueueUrl"]
    for rid in (ENDS, GOES_ON):
        body = up.site.restore(rid, bag_zip(rid, {"images/0001.jpg": PAGE}))
        up.site.aws.sqs.send_message(QueueUrl=url, MessageBody=body)
    for rid in (ENDS, GOES_ON):
        _wait_until((laptop.folder / f"waits.sh.{rid}.begun").exists, f"{rid} is synced")
    with dg.DagsterInstance.from_config(str(laptop.home)) as instance:

        def run_of(rid: str) -> dg.DagsterRun:
            (run,) = instance.get_runs(dg.RunsFilter(tags={PARTITION_NAME_TAG: rid}))
            return run

        pids = laptop.pids()
        with laptop.started("down", "--wait") as waits:
            _wait_until(lambda: identify(pids["daemon"]) is None, "no run begins any more")
            (laptop.folder / f"waits.sh.{ENDS}.go").touch()
            _wait_until(lambda: run_of(ENDS).is_finished, "the run ends")
            assert run_of(ENDS).status is dg.DagsterRunStatus.SUCCESS
            assert (up.site.place(ENDS) / "images/0001.jpg").read_bytes() == PAGE
            assert identify(pids["webserver"]), "it is looked at until the last run has ended"
            waits.send_signal(signal.SIGINT)
            said, _ = waits.communicate(timeout=AT_MOST_SECONDS)
        assert waits.returncode == 128 + signal.SIGINT
        assert "Waiting for the end" in said
        down = laptop.ao("down")
        assert down.returncode == 0, down.stdout
        assert f"Under way: {GOES_ON}. Interrupted; goes on after the next ao up." in down.stdout
        assert laptop.is_quiet()
        interrupted = run_of(GOES_ON)
        assert interrupted.status is dg.DagsterRunStatus.FAILURE
        assert interrupted.tags[WILL_RETRY_TAG] == "true", "the next daemon runs it again"
    told = laptop.ao("status", GOES_ON, DAGSTER_HOME=str(laptop.home)).stdout
    assert "Its run was interrupted" in told
    assert "Dagster runs it again by itself" in told
    assert laptop.ao("down").stdout == f"Nothing is up on the instance in {laptop.home}.\n"


def test_ctrl_c_leaves_nothing_behind(laptop: Laptop) -> None:
    """A daemon that outlives the command starts runs that nobody watches."""
    with laptop.started("up", "--port", str(laptop.port), "--viewer-port", str(laptop.viewer_port)) as command:
        _wait_until((laptop.home / "services/services.json").exists, "the first service is started")
        command.send_signal(signal.SIGINT)
        said, _ = command.communicate(timeout=AT_MOST_SECONDS)
    assert command.returncode == 128 + signal.SIGINT, said
    assert laptop.is_quiet()


def test_a_port_that_is_taken_is_told_of_before_anything_is_started(laptop: Laptop) -> None:
    """Half of the services up, and the reason in a log, is a riddle."""
    with socket.create_server(("127.0.0.1", laptop.viewer_port)):
        refused = laptop.up()
        assert refused.returncode == 1
        assert f"port {laptop.viewer_port}, for the viewer, is taken by another process" in refused.stdout
        assert "--viewer-port" in refused.stdout
        assert not marked(MARK, str(laptop.home))


def test_a_process_that_got_a_recorded_number_is_left_alone(laptop: Laptop) -> None:
    """After a reboot the numbers of yesterday are somebody else's."""
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            now = identify(stranger.pid)
            assert now
            for started, boot in ((now.started - 1, boot_id()), (now.started, "an earlier boot")):
                process = {"pid": stranger.pid, "started": started, "boot": boot}
                recorded = {"name": "daemon", "process": process, "began": 0.0, "port": None}
                (laptop.home / "services").mkdir(parents=True, exist_ok=True)
                (laptop.home / "services/services.json").write_text(
                    json.dumps({"site": f"{laptop.folder}/site.toml", "services": [recorded]})
                )
                assert "Nothing is up" in laptop.ao("down").stdout
                assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.parametrize("record", ["", '{"site": "/site.toml", "services": [{"na'])
def test_what_is_left_of_a_torn_record_is_found_and_ended_all_the_same(laptop: Laptop, record: str) -> None:
    """A record that a power failure tore must not keep the laptop from coming up."""
    (laptop.home / "services").mkdir(parents=True)
    (laptop.home / "services/services.json").write_text(record)
    with subprocess.Popen(["sleep", "600"], env={MARK: str(laptop.home)}) as left:
        try:
            refused = laptop.up()
            assert (refused.returncode, "are left" in refused.stdout) == (1, True)
            assert laptop.ao("down").stdout == "Everything is down.\n"
            assert left.wait() == -signal.SIGTERM
        finally:
            left.kill()


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_second_command_at_once_is_refused(laptop: Laptop, command: str) -> None:
    """Two would start two daemons."""
    (laptop.home / "services").mkdir(parents=True)
    with (laptop.home / "services/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = laptop.ao(command)
    assert refused.returncode == 1
    assert "another ao up or ao down is at work" in refused.stdout
