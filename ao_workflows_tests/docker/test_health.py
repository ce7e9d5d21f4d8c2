"""What a container's health check says of its service, as Docker runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ao_workflows_tests.conftest import skip_or_fail
from ao_workflows_tests.support.postgres_server import Postgres

HEALTH = Path(__file__).parents[2] / "docker/image/health"
NEW_CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc"]
"""Its first process is as old as the check."""


def said_of_the_daemon(postgres: Postgres, seconds_ago: int | None, before: list[str]) -> tuple[int, str]:
    """The check's exit code and words, where the daemon said so long ago that it is alive."""
    address = postgres.database()
    beats = "" if seconds_ago is None else f"INSERT INTO daemon_heartbeats SELECT {utc(seconds_ago)}"
    database = address.partition("?")[0].rpartition("/")[2]
    postgres.run(database, f"CREATE TABLE daemon_heartbeats (timestamp timestamp); {beats}")
    environment = {"AO_SERVICE": "daemon", "DAGSTER_STORAGE": address}
    done = subprocess.run(
        [*before, sys.executable, str(HEALTH)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.strip()


def utc(seconds_ago: int) -> str:
    """That moment, as Dagster writes it."""
    return f"now() AT TIME ZONE 'utc' - interval '{seconds_ago} s'"


@pytest.mark.skipif(time.time() - psutil.Process(1).create_time() < 200, reason="the machine has just been started")
def test_a_daemon_is_called_unhealthy_when_it_is_called_silent_elsewhere(postgres: Postgres) -> None:
    """The container was unhealthy while `ao up` and `ao site check` were content."""
    assert said_of_the_daemon(postgres, 150, []) == (0, "daemon: works")
    code, said = said_of_the_daemon(postgres, 200, [])
    assert code == 1
    assert re.fullmatch(r"daemon: last said 2\d\d s ago that it is alive", said), said
    assert said_of_the_daemon(postgres, None, []) == (1, "daemon: has never said that it is alive")


def test_what_the_daemon_before_said_does_not_make_a_new_one_healthy(postgres: Postgres) -> None:
    """An upgrade, or a restart, went on by the heartbeat of the daemon that it had ended a minute before."""
    tried = subprocess.run([*NEW_CONTAINER, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        skip_or_fail(f"no process namespace can be made here: {tried.stderr.strip()}")
    code, said = said_of_the_daemon(postgres, 60, NEW_CONTAINER)
    assert code == 1
    assert re.fullmatch(r"daemon: last said \d+ s ago that it is alive, before it was started.*", said), said
