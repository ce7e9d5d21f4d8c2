"""Dagster's processes, for this platform: the words that Python starts each with, and how to tell that it works.

What belongs here: that alone, for everybody who runs them: the demo, ``ao up``, the containers. What does not: who
starts them and when. Nothing of Dagster's is imported to ask, for a container asks every 15 s.

The daemon is a module with a private name, because its command need not be on anybody's PATH; and the page's address
and the code server's name are told in no documentation. When they move, a service that works is shown as down.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance

MODULE = "ao_workflows.definitions"
LOCATION = "ao_workflows"
"""The code location's name in workspace.yaml."""

HERE = ("-m", MODULE)
"""The code in a code server that the process starts for itself."""

ANSWERS_WITHIN_SECONDS = 10
HEARD_OF_SECONDS = 180
"""A daemon that has said nothing for so long is called silent. Each of its loops says every 30 s that it is alive; a
long tick, or a busy machine, may keep one from it for a while, and nobody is called for that."""


def code_server(port: int) -> list[str]:
    """The code server at ``port``, with the platform's definitions."""
    where = ["-h", "127.0.0.1", "-p", str(port)]
    return ["-m", "dagster", "api", "grpc", *where, *HERE, "--location-name", LOCATION]


def webserver(port: int, *code: str, read_only: bool = False) -> list[str]:
    """The web page at ``port``, over the ``code`` as Dagster's options name it."""
    where = ["-h", "127.0.0.1", "-p", str(port)]
    return ["-m", "dagster_webserver", *where, *code, *(["--read-only"] if read_only else [])]


def daemon(*code: str) -> list[str]:
    """The daemon, over the ``code`` as Dagster's options name it."""
    return ["-m", "dagster._daemon", "run", *code]


def workspace(port: int) -> str:
    """The workspace.yaml that finds the code server at ``port``."""
    return f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: {LOCATION}}}\n"


def make_tables(instance: DagsterInstance) -> None:
    """Makes Dagster's tables before two processes look at them: each would make what it misses."""
    instance.get_runs_count()
    instance.get_dynamic_partitions("works")
    instance.all_instigator_state()


def webserver_fault(port: int) -> str:
    """Why the web page on this machine does not answer; empty where it does."""
    import urllib.request
    from http.client import HTTPException

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=ANSWERS_WITHIN_SECONDS) as answer:
            return "" if answer.status == 200 else f"it answers with {answer.status}"  # noqa: PLR2004 - HTTP's OK
    except (OSError, HTTPException) as error:
        return f"it does not answer: {getattr(error, 'reason', error)}"


def code_server_fault(port: int) -> str:
    """Why the code server on this machine does not serve the definitions; empty where it does."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            asked = health_pb2.HealthCheckRequest(service="DagsterApi")
            answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=ANSWERS_WITHIN_SECONDS)
    except grpc.RpcError as error:
        return f"it does not answer: {error.details().strip()}"
    return "" if answer.status == health_pb2.HealthCheckResponse.SERVING else "it does not serve"


def daemon_fault(instance: DagsterInstance, began: float) -> str:
    """What of the daemon that ``began`` then, in seconds of the epoch, is not heard of; empty where all is."""
    beats = instance.get_daemon_heartbeats()
    since = max(began, time.time() - HEARD_OF_SECONDS)
    silent = [
        name for name in instance.get_required_daemon_types() if name not in beats or beats[name].timestamp < since
    ]
    return f"{', '.join(silent).lower()} is not heard of" if silent else ""


def executes_a_run(command_line: Sequence[str]) -> bool:
    """Whether a process with these words is one that a code server made for a run: Dagster spawns it by
    ``multiprocessing``.
    """
    return "--multiprocessing-fork" in command_line
