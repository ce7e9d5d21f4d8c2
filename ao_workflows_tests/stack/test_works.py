"""The demo's works through the deployment, while its parts are killed one after the other."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ao_workflows.instance.pruning import ended_at
from ao_workflows_tests.stack.deployment import (
    ARCHIVIST,
    IMAGE,
    OPERATOR,
    SERVICES,
    UID,
    Deployment,
    run,
    wait_until,
)
from ao_workflows_tests.stack.test_reach import reached_from

pytestmark = pytest.mark.timeout(2400)

FAILED_WITHIN_SECONDS = 120

RUNS = """
import json
from dagster import DagsterInstance, DagsterEventType
told = []
with DagsterInstance.get() as instance:
    for record in instance.get_run_records():
        run = record.dagster_run
        made = {}
        for log in instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION):
            event = log.dagster_event.event_specific_data.materialization
            made[event.asset_key.to_user_string()] = {k: str(v.value) for k, v in event.metadata.items()}
        told.append({"id": run.run_id, "status": run.status.value, "rid": run.tags.get("dagster/partition"),
                     "parent": run.parent_run_id, "ended": record.end_time, "made": made})
print(json.dumps(told))
"""

DRS = """
import json
from ao_workflows.drs.client import Drs
from ao_workflows.site.loading import load
site = load()
rows = Drs(url=site.drs.url, config=site.drs.config).rows()
print(json.dumps({row.rid: sorted(stage.value for stage in row.times) for row in rows}))
"""


@dataclass
class Trial:
    """What was seen of one trial: its output, and the run whose container was killed."""

    exit_code: int = -1
    output: str = ""
    killed_run: str = ""
    killed_at: float = 0.0
    reached: set[str] = field(default_factory=set)
    """The services that the run reached."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Where a secret might be, and what was found there: of every process while the trial ran."""


@pytest.fixture(scope="module")
def trial(deployment: Deployment) -> Iterator[Trial]:
    """The demo's works restored, while a run's container, the daemon, PostgreSQL and the code server are killed."""
    done = Trial()
    log = deployment.folder / "trial.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*deployment.compose_command, "--profile", "dev", "run", "-T", "--rm", "trial"],
            cwd=deployment.folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _kill_a_download(deployment, done)
        done.seen = list(_everything_of_each_process(deployment))
        for service in ("daemon", "postgres", "code"):
            _wait_for_a_run(deployment)
            deployment.kill(service)
        process.wait(timeout=1800)
    finally:
        process.terminate()
        process.wait()
    done.exit_code, done.output = process.returncode, log.read_text()
    yield done


def _kill_a_download(deployment: Deployment, done: Trial) -> None:
    """Kills the container of a run that has some parts of its zip on the disk, and not all of them."""

    def downloading() -> tuple[str, dict[str, Any]] | None:
        for journal in deployment.staging.glob("incoming/*/*.journal"):
            try:
                finished = len(journal.read_text().splitlines()) - 1
            except FileNotFoundError:  # the download has ended
                continue
            if finished < 2:
                continue
            rid = journal.parent.name
            for container in deployment.run_containers("status=running"):
                found = deployment.inspect(container)
                if found["Name"].startswith(f"/run-{rid}-"):
                    return rid, found
        return None

    found = wait_until("a run downloads", downloading, 300)
    assert found
    done.reached = reached_from(deployment, found[1]["Id"])
    os.kill(found[1]["State"]["Pid"], signal.SIGKILL)
    done.killed_run, done.killed_at = found[1]["Config"]["Labels"]["dagster/run_id"], time.time()


def _wait_for_a_run(deployment: Deployment) -> None:
    """Until a run's container runs, so that what is killed next is missed."""
    wait_until("a run is under way", lambda: deployment.run_containers("status=running"), 300)


def _everything_of_each_process(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """The environment and the command line of every process in every container, now."""
    for container in [deployment.container(service) for service in SERVICES] + deployment.run_containers():
        for line in run("docker", "top", container, "-eo", "pid", check=False).stdout.split()[1:]:
            for place in (Path("/proc", line, "environ"), Path("/proc", line, "cmdline")):
                try:
                    yield f"{place.name} of {container[:12]}", place.read_text(errors="replace").replace("\0", "\n")
                except OSError:  # it has ended meanwhile
                    continue


@pytest.fixture(scope="module")
def runs(deployment: Deployment, trial: Trial) -> list[dict[str, Any]]:
    """Every run, as Dagster's storage has it."""
    return list(deployment.python(RUNS))


def test_every_work_ends_right_whatever_is_killed(trial: Trial) -> None:
    """All of the platform, as it is deployed, for one sentence: nothing is lost, and nobody has to do anything."""
    assert trial.exit_code == 0, trial.output
    assert "13 works in the archive" in trial.output


def test_a_killed_container_fails_its_run_in_two_minutes_and_its_retry_resumes(
    trial: Trial, runs: list[dict[str, Any]]
) -> None:
    """Two terabytes must not be fetched anew because a process died at the last one."""
    assert_failed_and_resumed(runs, trial.killed_run, trial.killed_at)


def assert_failed_and_resumed(runs: list[dict[str, Any]], killed_run: str, killed_at: float) -> None:
    """The killed run failed in time, and a retry of it went on with what had been fetched."""
    (killed,) = [one for one in runs if one["id"] == killed_run]
    assert killed["status"] == "FAILURE"
    assert killed["ended"] - killed_at < FAILED_WITHIN_SECONDS
    retries = [one for one in runs if one["parent"] == killed_run]
    resumed = [one["made"]["downloaded_bag"]["resumed bytes"] for one in retries if "downloaded_bag" in one["made"]]
    assert resumed
    assert int(resumed[0]) > 0


def test_what_is_in_the_archive_belongs_to_the_archive_s_user(deployment: Deployment, trial: Trial) -> None:
    """The archive is shared with others, over NFS, by the user's number."""
    files = list(deployment.archive.glob("Archive?/??/**/*"))
    assert len(files) > 100
    assert {path.lstat().st_uid for path in files} == {UID}


def test_the_archive_s_database_knows_every_step(deployment: Deployment, trial: Trial) -> None:
    """Staff ask it, not Dagster, where a work is."""
    done = deployment.python(DRS)
    assert len(done["W1NLM4700"]) == 4, done
    assert len(done["W1NLM5043"]) == 2, "it was refused once it was downloaded"


def test_each_run_had_a_container_as_dagster_yaml_says(deployment: Deployment, trial: Trial) -> None:
    """A run's container takes nothing over from compose: what is missing in dagster.yaml is missing."""
    (container,) = deployment.run_containers(f"label=dagster/run_id={trial.killed_run}")
    found = deployment.inspect(container)
    mounts = {mount["Destination"]: mount["Source"] for mount in found["Mounts"]}
    assert mounts["/mnt"] == str(deployment.archive)
    assert mounts["/staging"] == str(deployment.staging)
    assert mounts["/run/secrets/aws"].endswith("/secrets/aws-credentials")
    assert "/var/run/docker.sock" not in mounts
    assert found["Config"]["User"] == str(UID)
    assert found["Config"]["Image"] == IMAGE
    assert found["HostConfig"]["Memory"] > 0
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert re.fullmatch(r"/run-W[0-9A-Z]+-[0-9a-f]{8}", found["Name"])


def test_a_run_reaches_the_storage_and_neither_a_code_server_nor_a_page(trial: Trial) -> None:
    """The sync script and all that unpacks a stranger's zip are in there. Whoever connects to `code:4000` has code
    executed with all secrets, and a page asks nobody for a login.
    """
    assert trial.reached == {"postgres"}


def test_containers_of_runs_that_ended_well_go_and_of_those_that_failed_stay(
    deployment: Deployment, trial: Trial
) -> None:
    """Each takes room on the host's disk, and the one that failed is what one wants to look at."""
    found = [deployment.inspect(container) for container in deployment.run_containers()]
    last_launch = max(datetime.fromisoformat(re.sub(r"\.\d+Z$", "+00:00", one["Created"])) for one in found)
    kept = [one for one in found if one["State"]["Status"] == "exited" and one["State"]["ExitCode"] == 0]
    margin = timedelta(seconds=65)
    assert all(ended_at(one["State"]["FinishedAt"]) > last_launch - margin for one in kept)
    failed = {one["Name"].split("-")[1] for one in found if one["State"]["ExitCode"] == 1}
    assert {"W1NLM5043", "W1FPL1405", "W1NLM6671"} <= failed
    assert any(one["Config"]["Labels"]["dagster/run_id"] == trial.killed_run for one in found)


def test_what_a_run_printed_is_read_in_the_web_page(deployment: Deployment, trial: Trial) -> None:
    """The run's container is gone by the time that somebody asks what it said."""
    (printed,) = (deployment.folder / "logs/compute" / trial.killed_run).glob("compute_logs/*.err")
    key = [trial.killed_run, "compute_logs", printed.stem]
    query = "query($key: [String!]!) { capturedLogs(logKey: $key) { stderr } }"
    for user in (OPERATOR, ARCHIVIST):
        assert "W1" in deployment.page(user, query, key=key)["capturedLogs"]["stderr"]


def test_a_run_that_is_cancelled_in_the_web_page_ends_itself(deployment: Deployment, trial: Trial) -> None:
    """The web page has no access to Docker, and a run that goes on after it was cancelled holds its work for ever."""
    run_id = deployment.launch("restore_work", **{"dagster/partition": "W1NLM1168"})

    def container() -> dict[str, Any] | None:
        found = deployment.run_containers(f"label=dagster/run_id={run_id}")
        return deployment.inspect(found[0]) if found else None

    wait_until("the work is being fetched", lambda: list(deployment.staging.glob("incoming/W1NLM1168/*.journal")), 180)
    query = """mutation($id: String!) { terminateRun(runId: $id) { __typename } }"""
    assert deployment.page(OPERATOR, query, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"
    ended = wait_until(
        "its container ends", lambda: (found := container()) and found["State"]["Status"] == "exited" and found, 120
    )
    assert ended
    assert [one["status"] for one in deployment.python(RUNS) if one["id"] == run_id] == ["CANCELED"]


def test_no_secret_is_anywhere_but_in_its_file(deployment: Deployment, trial: Trial) -> None:
    """Whoever may read a log, a process list or `docker inspect` must not thereby hold the archive's keys."""
    places = list(trial.seen)
    containers = [deployment.container(service) for service in SERVICES] + deployment.run_containers()
    for container in containers:
        places.append((f"docker inspect {container[:12]}", run("docker", "inspect", container).stdout))
        logs = run("docker", "logs", container)
        places.append((f"docker logs {container[:12]}", logs.stdout + logs.stderr))
    for image in (IMAGE, f"{IMAGE}-dev"):
        places.append((f"history of {image}", run("docker", "history", "--no-trunc", image).stdout))
        places.append((f"docker inspect {image}", run("docker", "inspect", image).stdout))
    storage = deployment.compose("exec", "-T", "postgres", "pg_dump", "-U", "dagster", "dagster")
    places.append(("Dagster's storage, run config and event logs in it", storage))
    for path in (deployment.folder, deployment.staging):
        for file in path.rglob("*"):
            if file.is_file() and file.parent.name != "secrets" and not file.is_relative_to(deployment.archive):
                places.append((str(file), file.read_bytes().decode(errors="replace")))
    assert {name.split(" of ")[0] for name, _ in trial.seen} == {"environ", "cmdline"}
    assert "restore_work" in storage
    found = [(what, name) for what, secret in deployment.secrets.items() for name, text in places if secret in text]
    assert found == []


def test_no_secret_is_in_the_image_s_files(deployment: Deployment, trial: Trial, images: str) -> None:
    """An image is copied to other hosts, and kept."""
    patterns = "\n".join(deployment.secrets.values())
    looked = subprocess.run(
        ["/bin/sh", "-c", f"docker save {images} | grep -a -c -F -f /dev/fd/3 3<<'EOF'\n{patterns}\nEOF\n"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert looked.stdout.strip() == "0", looked


def test_the_services_say_what_went_wrong_and_that_it_is_over(deployment: Deployment, trial: Trial) -> None:
    """After all that was killed, an operator's first look must show a deployment in order."""
    states = {service: deployment.inspect(deployment.container(service))["State"] for service in SERVICES}
    assert {service: state["Health"]["Status"] for service, state in states.items()} == dict.fromkeys(
        SERVICES, "healthy"
    ), json.dumps(states, indent=1)
    assert datetime.now(UTC) > max(ended_at(state["StartedAt"]) for state in states.values())
