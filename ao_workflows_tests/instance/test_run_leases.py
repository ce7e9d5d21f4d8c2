"""Claims on runs: one worker has a run, for as long as it says so."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ao_workflows.instance import run_leases
from ao_workflows.instance.broker import with_password
from ao_workflows.instance.run_leases import RunLeases
from ao_workflows_tests.conftest import skip_or_fail
from ao_workflows_tests.support.redis_server import RedisServer


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    try:
        server = RedisServer(tmp_path_factory.mktemp("redis"))
    except FileNotFoundError as error:
        skip_or_fail(str(error))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def claims(redis: RedisServer) -> RunLeases:
    return RunLeases(with_password(redis.address))


def wanted() -> bool:
    return True


def test_one_of_two_workers_has_a_run_and_lets_go_of_it_at_its_end(claims: RunLeases) -> None:
    """Redis gives a message to a second worker while the first one lives: the run would be executed twice."""
    assert claims.holder("r") is None
    with claims.held("r", "first", wanted) as is_ours, claims.held("r", "second", wanted) as is_theirs:
        assert (is_ours, is_theirs, claims.holder("r")) == (True, False, "first")
    assert claims.holder("r") is None


def test_who_has_no_claim_gives_none_back_that_is_another_s(claims: RunLeases, redis: RedisServer) -> None:
    """A worker that was silent for too long would take the run from the one that has it now."""
    with claims.held("r2", "first", wanted) as is_ours:
        assert is_ours
        redis.client.set("ao-workflows/run/r2", "second")
    assert claims.holder("r2") == "second"


def test_a_claim_is_renewed_while_it_is_held_and_ends_by_itself_where_nobody_does(
    claims: RunLeases, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of days outlasts any time that one could give it at its beginning."""
    monkeypatch.setattr(run_leases, "RENEW_SECONDS", 0.05)
    with claims.held("r3", "first", wanted):
        redis.client.delete("ao-workflows/run/r3")  # Redis was started again
        until = time.monotonic() + 30
        while claims.holder("r3") is None:
            assert time.monotonic() < until
            time.sleep(0.02)
        left = redis.client.pttl("ao-workflows/run/r3")
        assert isinstance(left, int)
        assert 0 < left <= run_leases.ENDS_SECONDS * 1000


_CUT_OFF = """
import sys, time
from ao_workflows.instance import run_leases
run_leases.RENEW_SECONDS, run_leases.ENDS_SECONDS = 0.05, 0.1
claims = run_leases.RunLeases(sys.argv[1])
with claims.held("r4", "first", lambda: sys.argv[2] == "wanted"):
    print("held", flush=True)
    input()
    time.sleep(3)
print("ended well", flush=True)
"""


@pytest.mark.parametrize(("is_wanted", "code"), [("wanted", 0), ("ended", -9)])
def test_a_worker_that_cannot_reach_redis_ends_unless_its_run_is_still_to_be(
    tmp_path: Path, is_wanted: str, code: int
) -> None:
    """Its run is taken for lost by then, and may have been begun by another."""
    try:
        server = RedisServer(tmp_path)
    except FileNotFoundError as error:
        skip_or_fail(str(error))
    server.start()
    worker = subprocess.Popen(
        [sys.executable, "-c", _CUT_OFF, with_password(server.address), is_wanted],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout
    assert worker.stdout.readline() == "held\n"
    server.kill()
    said, _ = worker.communicate("\n", timeout=120)
    assert (worker.returncode, "ended well" in said) == (code, code == 0)


def test_a_storage_that_does_not_answer_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is cut off from both must not go on for as long as a connection takes to fail."""
    monkeypatch.setattr(run_leases, "ASK_SECONDS", 0.05)

    def fails() -> bool:
        raise OSError("no storage")

    assert run_leases._says_yes(wanted)
    assert not run_leases._says_yes(fails)
    assert not run_leases._says_yes(lambda: time.sleep(0.5) or True)
