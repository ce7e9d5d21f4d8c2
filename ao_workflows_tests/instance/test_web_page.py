"""The web page's own server, which whoever may log in talks to over a WebSocket."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from ao_workflows.instance.dagster_processes import webserver, webserver_fault
from ao_workflows.instance.web_page import LARGEST_MESSAGE
from ao_workflows.machine.processes import free_port
from ao_workflows_tests.conftest import CHECKOUT

STARTS_WITHIN_SECONDS = 120
DAGSTERS_LARGEST = 16 * 1024 * 1024


class Page:
    """Dagster's web page at ``port``, without any code; ``process`` is its own."""

    def __init__(self, port: int, process: int) -> None:
        self.port = port
        self.process = process

    def memory_mib(self) -> int:
        """The most that its process has held."""
        (line,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{self.process}/status").read_text(), re.MULTILINE)
        return int(line) // 1024

    @contextmanager
    def socket(self) -> Iterator[ClientConnection]:
        """A WebSocket, as the page opens one for its live updates."""
        with connect(f"ws://127.0.0.1:{self.port}/graphql", subprotocols=[Subprotocol("graphql-ws")]) as opened:
            yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    home = tmp_path_factory.mktemp("page")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    port = free_port()
    command = [sys.executable, *webserver(port, "--empty-workspace", read_only=True)]
    process = subprocess.Popen(command, env=os.environ | {"DAGSTER_HOME": str(home)}, cwd=home)
    try:
        until = time.monotonic() + STARTS_WITHIN_SECONDS
        while fault := webserver_fault(port):
            assert process.poll() is None, "it has ended"
            assert time.monotonic() < until, fault
            time.sleep(0.1)
        yield Page(port, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def start(size: int) -> str:
    """The message of ``size`` bytes that asks for the log of a run that is not there, and goes on with a comment."""
    query = 'subscription { pipelineRunLogs(runId: "none") { __typename } } # '
    message = {"id": "1", "type": "start", "payload": {"variables": {}, "query": query}}
    message["payload"] = {"variables": {}, "query": query + "a" * (size - len(json.dumps(message)))}
    text = json.dumps(message)
    assert len(text) == size
    return text


def test_a_message_larger_than_any_of_the_page_is_refused_and_takes_no_memory(page: Page) -> None:
    """One of 16 MiB was held four times over, and whoever may log in could send as many at once as he liked."""
    before = page.memory_mib()
    for _ in range(8):
        with page.socket() as opened, pytest.raises(ConnectionClosedError) as closed:
            opened.send(start(DAGSTERS_LARGEST))
            while True:
                opened.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009  # RFC 6455, section 7.4.1: it is too big
    assert page.memory_mib() - before < 16, "MiB"


def test_a_message_that_inflates_to_more_is_refused_too(page: Page) -> None:
    """The server takes compressed messages: 16 KiB of them may be 16 MiB."""
    with page.socket() as opened:
        assert "permessage-deflate" in opened.response.headers["Sec-WebSocket-Extensions"]  # type: ignore[union-attr]
        opened.send(start(LARGEST_MESSAGE + 1))
        with pytest.raises(ConnectionClosedError) as closed:
            opened.recv(timeout=30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_a_message_of_the_largest_size_is_answered(page: Page) -> None:
    """A bound that is too narrow would end the live updates."""
    with page.socket() as opened:
        opened.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(opened.recv(timeout=30))["type"] == "connection_ack"
        opened.send(start(LARGEST_MESSAGE))
        assert json.loads(opened.recv(timeout=30))["id"] == "1"


@pytest.mark.parametrize("path", ["docker-compose.yml", "docker/kubernetes/services.yaml"])
def test_both_pages_of_a_deployment_are_started_with_the_bound(path: str) -> None:
    """Dagster's own command takes 16 MiB at once."""
    text = (CHECKOUT / path).read_text()
    assert text.count('"ao_workflows.instance.web_page"') == 2
    assert '"dagster-webserver",' not in text
