"""The front door: a real HAProxy with the project's configuration, and people who may come in.

What belongs here: making users and a certificate, starting and ending the proxy. What does not: what it must refuse.
"""

from __future__ import annotations

import http.client
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ao_workflows.deployment.secret_files import proxy_users, self_signed
from ao_workflows.machine.processes import free_port
from ao_workflows_tests.conftest import CHECKOUT, skip_or_fail

STARTS_WITHIN_SECONDS = 30


class Proxy:
    """The proxy on ``port``, over TLS; ``passwords`` has each user's, and ``process`` is its own."""

    def __init__(self, port: int, passwords: Mapping[str, str], certificate: Path, process: int) -> None:
        self.port = port
        self.process = process
        self.passwords = passwords
        self.host = f"127.0.0.1:{port}"
        self.origin = f"https://{self.host}"
        self._context = ssl.create_default_context(cafile=str(certificate))
        self._context.check_hostname = False

    def login(self, user: str, password: str | None = None) -> dict[str, str]:
        """The header that a browser sends for this user."""
        word = f"{user}:{self.passwords[user] if password is None else password}"
        return {"Authorization": f"Basic {b64encode(word.encode()).decode()}"}

    def memory_mib(self) -> int:
        """The most that its process has held."""
        (line,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{self.process}/status").read_text(), re.MULTILINE)
        return int(line) // 1024

    def connect(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        """A connection from this address of this machine, after TLS's handshake."""
        place = "::1" if ":" in source else "127.0.0.1"
        plain = socket.create_connection((place, self.port), timeout=30, source_address=(source, 0))
        return self._context.wrap_socket(plain)

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | list[str]],
        body: bytes | None = None,
        source: str = "127.0.0.1",
    ) -> tuple[int, dict[str, str], str]:
        """One request from this address: the status, the headers in lower case, and the text."""
        place = "::1" if ":" in source else "127.0.0.1"
        connection = http.client.HTTPSConnection(
            place, self.port, timeout=30, context=self._context, source_address=(source, 0)
        )
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                for each in [value] if isinstance(value, str) else value:
                    connection.putheader(name, each)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, "" if answer.status == 101 else answer.read().decode()
        finally:
            connection.close()


@contextmanager
def running_proxy(
    folder: Path,
    webserver: str,
    viewer: str = "127.0.0.1:1",
    flower: str = "127.0.0.1:1",
    listen: str = "127.0.0.1",
) -> Iterator[Proxy]:
    """The proxy in front of these servers, each ``host:port``: anna is an operator, tenzin an archivist."""
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        skip_or_fail("haproxy is not installed")
        raise AssertionError
    passwords = {name: secrets.token_hex(8) for name in ("anna", "tenzin")}
    users, certificate, log = folder / "proxy_users", folder / "proxy.pem", folder / "haproxy.log"
    users.write_text(
        proxy_users([("anna", "operator", passwords["anna"]), ("tenzin", "archivist", passwords["tenzin"])])
    )
    certificate.write_text(self_signed())
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "AO_LISTEN": f"{listen}:{port}",
        "AO_CERTIFICATE": str(certificate),
        "AO_WEBSERVER": webserver,
        "AO_VIEWER": viewer,
        "AO_FLOWER": flower,
    }
    command = [program, "-db", "-f", str(CHECKOUT / "docker/proxy/haproxy.cfg"), "-f", str(users)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        proxy = Proxy(port, passwords, certificate, process.pid)
        until = time.monotonic() + STARTS_WITHIN_SECONDS
        while True:
            assert process.poll() is None, log.read_text()
            try:
                proxy.ask("GET", "/", {})
                break
            except (ConnectionError, ssl.SSLError):
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.05)
        yield proxy
    finally:
        process.terminate()
        process.wait()
