"""A small Docker engine over HTTP: it writes down the containers that it is asked for, as an engine is asked.

What belongs here: what Docker's client asks when a run is launched. What does not: running anything.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

_ID = "c0ffee" * 10


@contextmanager
def docker_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The engine that Docker's client finds, for as long as the block: the settings of each container asked for."""
    created: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def _answer(self, status: int, body: object) -> None:
            said = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/version":
                self._answer(200, {"ApiVersion": "1.41", "Version": "20.10.24"})
            elif path.endswith("/containers/json"):
                self._answer(200, [])
            else:
                self._answer(200, {"Id": _ID, "Name": "/run", "State": {"Status": "created"}, "Config": {}})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
            if "/containers/create" in self.path:
                created.append(body)
                self._answer(201, {"Id": _ID, "Warnings": []})
            else:
                self._answer(200, {})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    try:
        yield created
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
