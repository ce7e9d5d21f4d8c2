"""How it is told that a process of Dagster's does its work, and the words that start each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import grpc
import pytest
import yaml
from dagster._daemon.types import DaemonHeartbeat
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from ao_workflows.instance.dagster_processes import (
    HEARD_OF_SECONDS,
    code_server_fault,
    daemon_fault,
    webserver,
    webserver_fault,
    workspace,
)
from ao_workflows.machine.processes import free_port


@contextmanager
def page(status: int) -> Iterator[int]:
    """A page at a port that answers with that status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_page_works_where_it_answers_well_and_else_its_fault_is_told() -> None:
    """A container that is taken for well is not started again."""
    with page(200) as port:
        assert webserver_fault(port) == ""
    with page(204) as port:
        assert webserver_fault(port) == "it answers with 204"
    with page(500) as port:
        assert "500" in webserver_fault(port) or "Internal" in webserver_fault(port)
    assert "does not answer" in webserver_fault(free_port())


@pytest.mark.parametrize("serves", [True, False])
def test_a_code_server_works_where_it_says_that_it_serves(serves: bool) -> None:
    """While it loads the definitions its port is open already."""
    checks = health.HealthServicer()
    states = health_pb2.HealthCheckResponse
    checks.set("DagsterApi", states.SERVING if serves else states.NOT_SERVING)
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert code_server_fault(port) == ("" if serves else "it does not serve")
    finally:
        server.stop(0).wait()
    assert "does not answer" in code_server_fault(port)


def test_a_daemon_works_where_all_of_it_is_heard_of_since_it_began(tmp_path: Path) -> None:
    """What an earlier daemon said is no sign of this one's life."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        now, needed = time.time(), list(instance.get_required_daemon_types())

        def beat(name: str, at: float) -> None:
            instance.add_daemon_heartbeat(DaemonHeartbeat(at, name, "1"))

        assert needed[0].lower() in daemon_fault(instance, now - 60)
        for name in needed:
            beat(name, now)
        assert daemon_fault(instance, now - 60) == ""
        assert needed[0].lower() in daemon_fault(instance, now + 60)
        beat(needed[0], now - HEARD_OF_SECONDS - 10)
        assert daemon_fault(instance, now - 10 * HEARD_OF_SECONDS) == f"{needed[0].lower()} is not heard of"


def test_the_viewer_may_read_alone_and_all_find_the_same_code() -> None:
    """A viewer without the word could launch runs."""
    assert webserver(3001, "-w", "w.yaml", read_only=True)[-1] == "--read-only"
    assert "--read-only" not in webserver(3000, "-w", "w.yaml")
    (where,) = yaml.safe_load(workspace(4001))["load_from"]
    assert where["grpc_server"]["port"] == 4001
