"""Dagster's processes, for this platform: the words that Python starts each with, and how to tell that it works.

What belongs here: those two, for everything that runs the processes: the demo, ``ao up``, the containers. What does
not: who starts them and when. Nothing of Dagster's is imported for a check, since a container is checked every 15 s.

The daemon is started by a module with a private name, because its command need not be on the PATH. The address at which
the web page is checked, and the name of the code server's service, are not documented. If one of these changes, a
service that works is reported as down.
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
"""Dagster's options for a process that starts a code server for itself."""

ANSWERS_WITHIN_SECONDS = 10
HEARD_OF_SECONDS = 180
"""A daemon that has not reported for so long is called silent. Each of its loops reports every 30 s that it is alive; a
long tick or a busy machine may delay a report, and nobody is called for that.
"""


def code_server(port: int) -> list[str]:
    """Returns Python's arguments for the code server at ``port``, with the platform's definitions."""
    where = ["-h", "127.0.0.1", "-p", str(port)]
    return ["-m", "dagster", "api", "grpc", *where, *HERE, "--location-name", LOCATION]


def webserver(port: int, *code: str, read_only: bool = False) -> list[str]:
    """Returns Python's arguments for the web page at ``port``; ``code`` is where the code is, in Dagster's options."""
    where = ["-h", "127.0.0.1", "-p", str(port)]
    return ["-m", "ao_workflows.instance.web_page", *where, *code, *(["--read-only"] if read_only else [])]


def daemon(*code: str) -> list[str]:
    """Returns Python's arguments for the daemon; ``code`` is where the code is, in Dagster's options."""
    return ["-m", "dagster._daemon", "run", *code]


def workspace(port: int) -> str:
    """Returns the text of a workspace.yaml that finds the code server at ``port``."""
    return f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: {LOCATION}}}\n"


def make_tables(instance: DagsterInstance) -> None:
    """Makes Dagster's tables before two processes use them, each of which would make those that it misses."""
    instance.get_runs_count()
    instance.get_dynamic_partitions("works")
    instance.all_instigator_state()


def webserver_fault(port: int) -> str:
    """Returns why the web page on this machine does not answer; empty if it does."""
    import urllib.request
    from http.client import HTTPException

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=ANSWERS_WITHIN_SECONDS) as answer:
            return "" if answer.status == 200 else f"it answers with {answer.status}"  # noqa: PLR2004 - HTTP's OK
    except (OSError, HTTPException) as error:
        return f"it does not answer: {getattr(error, 'reason', error)}"


def code_server_fault(port: int) -> str:
    """Returns why the code server on this machine does not serve the definitions; empty if it does."""
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
    """Returns which of the daemon's loops have not reported that they are alive; empty if all have.

    :param began: when the daemon was started, in seconds since 1970; earlier reports do not count.
    """
    beats = instance.get_daemon_heartbeats()
    since = max(began, time.time() - HEARD_OF_SECONDS)
    silent = [
        name for name in instance.get_required_daemon_types() if name not in beats or beats[name].timestamp < since
    ]
    return f"{', '.join(silent).lower()} is not heard of" if silent else ""


def executes_a_run(command_line: Sequence[str]) -> bool:
    """Whether this is the command line of a process that a code server started for a run: Dagster starts those by
    ``multiprocessing``.
    """
    return "--multiprocessing-fork" in command_line
