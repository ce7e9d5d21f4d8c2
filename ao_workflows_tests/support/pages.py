"""Servers that stand where the pages are, behind the front door, and only write down what reaches them.

What belongs here: those servers, and the proxy together with them. What does not: what must reach them and what not.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ao_workflows_tests.support.proxy import Proxy


class Server(ThreadingHTTPServer):
    """A server by its name that notes each request's method, path and headers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), _Answer)

    def handle_error(self, *_: object) -> None:
        """Says nothing: the proxy ends connections, as it should."""

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, {name.lower(): word for name, word in self.headers.items()}))
        if self.headers.get("Upgrade"):
            self.send_response(101)
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
            accepted = b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
            self.send_header("Sec-WebSocket-Accept", accepted)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.wfile.flush()
            self.close_connection = True
            self.rfile.read()  # until it is closed
            return
        text = f"{self.server.name} {len(body)}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Server", "uvicorn")
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else text)

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        pass


class Door:
    """The proxy and the three servers behind it."""

    def __init__(self, proxy: Proxy, servers: dict[str, Server]) -> None:
        self.proxy = proxy
        self.servers = servers

    def arrived(self) -> list[tuple[str, str, str]]:
        return [(name, method, path) for name, server in self.servers.items() for method, path, _ in server.seen]
