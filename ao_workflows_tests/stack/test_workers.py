"""The demo's works through the deployment with two workers, one of which is killed, and then Redis."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from ao_workflows_tests.stack.deployment import (
    ARCHIVIST,
    NAME,
    OPERATOR,
    SERVICES,
    UID,
    Deployment,
    deployed,
    run,
    wait_until,
)
from ao_workflows_tests.stack.test_works import RUNS, assert_failed_and_resumed

pytestmark = pytest.mark.timeout(2400)

PROJECT = f"ao-{NAME}-workers"
OURS = ("redis", "worker", "flower")


@dataclass
class Trial:
    """What was seen of one trial."""

    deployment: Deployment
    exit_code: int = -1
    output: str = ""
    killed_run: str = ""
    killed_at: float = 0.0
    processes: str = ""
    """The environment and the command line of every process of Redis, the workers and their page."""


@pytest.fixture(scope="module")
def trial(images: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """The demo's works, while a worker is killed in the middle of a download, and Redis after it."""
    settings = {"RUNS_IN": "workers", "RUNS_AT_ONCE": "4", "WORKERS": "2"}
    folder = tmp_path_factory.mktemp("workers") / "deployed"
    with deployed(folder, (*SERVICES, *OURS), project=PROJECT, settings=settings) as deployment:
        done = Trial(deployment)
        log = folder / "trial.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*deployment.compose_command, "--profile", "dev", "--profile", "workers", "run", "-T", "--rm", "trial"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            _kill_a_worker(done)
            done.processes = _told_by_processes(deployment)
            deployment.kill("redis")
            process.wait(timeout=1800)
        finally:
            process.terminate()
            process.wait()
        done.exit_code, done.output = process.returncode, log.read_text()
        yield done


def _kill_a_worker(done: Trial) -> None:
    """Kills the worker, all of its container, that has some parts of a zip on the disk and not all of them."""
    deployment = done.deployment

    def downloading() -> tuple[str, str] | None:
        for journal in deployment.staging.glob("incoming/*/*.journal"):
            try:
                finished = len(journal.read_text().splitlines()) - 1
            except FileNotFoundError:  # the download has ended
                continue
            for container in deployment.containers("worker") if finished >= 2 else ():
                logs = run("docker", "logs", container)
                said = re.search(
                    rf"(\S+) - downloaded_bag - {journal.parent.name}: downloading", logs.stdout + logs.stderr
                )
                if said:
                    return said[1], container
        return None

    found = wait_until("a worker downloads", downloading, 400)
    assert found
    done.killed_run, container = found
    os.kill(deployment.inspect(container)["State"]["Pid"], signal.SIGKILL)
    done.killed_at = time.time()


def _told_by_processes(deployment: Deployment) -> str:
    told = ""
    for container in (each for service in OURS for each in deployment.containers(service)):
        for line in run("docker", "top", container, "-eo", "pid", check=False).stdout.split()[1:]:
            for place in (Path("/proc", line, "environ"), Path("/proc", line, "cmdline")):
                try:
                    told += place.read_text(errors="replace").replace("\0", "\n")
                except OSError:  # it has ended meanwhile
                    continue
    return told


@pytest.fixture(scope="module")
def runs(trial: Trial) -> list[dict[str, Any]]:
    return list(trial.deployment.python(RUNS))


def test_every_work_ends_right_though_a_worker_and_redis_are_killed(trial: Trial) -> None:
    """Nothing is lost, and nobody has to do anything, wherever runs are executed."""
    assert trial.exit_code == 0, trial.output
    assert "13 works in the archive" in trial.output
    assert trial.deployment.run_containers() == [], "the one setting says workers"


def test_a_killed_worker_s_run_fails_in_two_minutes_and_its_retry_resumes(
    trial: Trial, runs: list[dict[str, Any]]
) -> None:
    """Celery would show it as started for ever."""
    assert_failed_and_resumed(runs, trial.killed_run, trial.killed_at)


def test_a_worker_is_the_archive_s_user_and_has_no_more_than_a_run_s_container(trial: Trial) -> None:
    """It is the service that touches the archive."""
    deployment = trial.deployment
    assert len(deployment.containers("worker")) == 2
    for container in deployment.containers("worker"):
        found = deployment.inspect(container)
        assert found["Config"]["User"] == str(UID)
        assert found["HostConfig"]["CapDrop"] == ["ALL"]
        assert found["HostConfig"]["ReadonlyRootfs"]
        assert found["HostConfig"]["Memory"] > 0
        assert "/var/run/docker.sock" not in {mount["Destination"] for mount in found["Mounts"]}
    files = list(deployment.archive.glob("Archive?/??/**/*"))
    assert {path.lstat().st_uid for path in files} == {UID}


def test_the_workers_page_is_for_operators(trial: Trial) -> None:
    """It shows what every host runs."""
    status, text = _get(trial.deployment, OPERATOR, "/workers/workers")
    assert status == 200
    assert "@ao" in text, text[-2000:]
    assert _get(trial.deployment, ARCHIVIST, "/workers/workers")[0] == 403


def _get(deployment: Deployment, user: str, path: str) -> tuple[int, str]:
    login = b64encode(f"{user}:{deployment.secrets[user]}".encode()).decode()
    unproven = ssl.create_default_context()
    unproven.check_hostname, unproven.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(
        f"https://localhost:{deployment.port}{path}", headers={"Authorization": f"Basic {login}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60, context=unproven) as answer:  # noqa: S310 - https here
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_no_secret_is_anywhere_but_in_its_file(trial: Trial) -> None:
    """The workers hold all of the archive's keys, and the word of Redis."""
    told = trial.processes
    for service in OURS:
        for container in trial.deployment.containers(service):
            logs = run("docker", "logs", container)
            told += run("docker", "inspect", container).stdout + logs.stdout + logs.stderr
    assert "WORKERS_BROKER" in told
    assert [name for name, secret in trial.deployment.secrets.items() if secret in told] == []


def test_a_worker_that_is_stopped_ends_by_itself(trial: Trial) -> None:
    """An upgrade stops them all; one that does not end is killed, with its run, when the patience ends."""
    started = time.monotonic()
    trial.deployment.compose("stop", "worker", timeout=200)
    assert time.monotonic() - started < 120
    for container in trial.deployment.compose("ps", "-q", "-a", "worker").split():
        assert trial.deployment.inspect(container)["State"]["ExitCode"] == 0
