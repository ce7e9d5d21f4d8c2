"""A private MariaDB: Debian's mariadbd on a free port, in a folder of its own, for as long as the tests run.

What belongs here: starting, killing and ending the server. What does not: what is tested with it. A test module
takes the fixture with ``pytest_plugins = ["ao_workflows_tests.support.mariadb"]``.
"""

from __future__ import annotations

import getpass
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ao_workflows_tests.support.parent import end_with_it

if TYPE_CHECKING:
    from pymysql.connections import Connection

START_SECONDS = 60

TIME_ZONE = "+05:45"
"""The server's own, Kathmandu's: nothing may rest on a server that keeps UTC."""

_SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


class MariaDb:
    """One server, which may be killed and started again on the port that it had.

    Start it from the main thread only: the kernel ends it with the thread that started it.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.data = folder / "data"
        self.socket = folder / "s"
        self.log = folder / "log"
        # A server that starts removes every server's temporary tables from the folder where it has its own.
        self.environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
        self.certificate = folder / "certificate.pem"
        self.user = "drs"
        self.password = secrets.token_urlsafe(12)
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def install(self) -> None:
        """Make the data folder, a certificate for 127.0.0.1 that signs itself, and the user."""
        (self.folder / "tmp").mkdir()
        done = subprocess.run(
            [
                _program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self.data}",
                f"--user={getpass.getuser()}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")
        make_certificate(self.certificate)
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()
        self.run(f"CREATE USER {self.user}@'127.0.0.1' IDENTIFIED BY '{self.password}'")
        self.run(f"GRANT ALL ON *.* TO {self.user}@'127.0.0.1'")

    def start(self) -> None:
        """Start the server, and return once it says that it takes connections."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(str(ready))
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [
                        _program("mariadbd"),
                        "--no-defaults",
                        f"--datadir={self.data}",
                        f"--user={getpass.getuser()}",
                        f"--socket={self.socket}",
                        f"--pid-file={self.folder / 'pid'}",
                        "--bind-address=127.0.0.1",
                        f"--port={self.port}",
                        f"--default-time-zone={TIME_ZONE}",
                        f"--ssl-cert={self.certificate}",
                        f"--ssl-key={self.certificate}",
                        "--skip-name-resolve",
                        "--skip-log-bin",
                        "--performance-schema=off",
                        "--innodb-buffer-pool-size=16M",
                        "--innodb-log-file-size=8M",
                        "--innodb-flush-log-at-trx-commit=2",
                        *self.options,
                    ],
                    stdout=log,
                    stderr=log,
                    env={**self.environment, "NOTIFY_SOCKET": str(ready)},
                    preexec_fn=end_with_it,  # noqa: PLW1509 - one call of the kernel
                )
            self._await_ready(notified)

    def _await_ready(self, notified: socket.socket) -> None:
        assert self._process
        ended = os.pidfd_open(self._process.pid)
        try:
            while True:
                readable, _, _ = select.select([notified, ended], [], [], START_SECONDS)
                if notified not in readable:
                    self.kill()
                    pytest.fail(f"mariadbd did not start:\n{self.log.read_text()[-4000:]}")
                if b"READY=1" in notified.recv(4096):
                    return
        finally:
            os.close(ended)

    def kill(self) -> None:
        """End the server at once, as a power cut or the kernel's killer of big processes would."""
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def running(self) -> bool:
        """Whether it has been started and not been killed."""
        return self._process is not None

    def admin(self, database: str | None = None) -> Connection:
        """A connection as root, through the socket."""
        import pymysql

        return pymysql.connect(unix_socket=str(self.socket), user="root", database=database, autocommit=True)

    def run(self, statement: str, *values: object, database: str | None = None) -> list[tuple[object, ...]]:
        """Run one statement as root."""
        with closing(self.admin(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def await_row_lock(self) -> int:
        """Return once a connection waits for a row that another holds: the one that waits."""
        # The status first: innodb_trx is not refreshed while it is asked all the time
        while self.run("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'") != [
            ("Innodb_row_lock_current_waits", "1")
        ]:
            pass
        waiting = "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        return int(str(self.run(waiting)[0][0]))

    def make_database(self) -> str:
        """An empty database of its own for one test; its name."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.run(f"CREATE DATABASE {name}")
        return name

    def url(self, database: str) -> str:
        """How the user reaches a database."""
        return f"mysql+pymysql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"


def make_certificate(path: Path) -> None:
    """A certificate and its key, in one file, for 127.0.0.1, signed by itself."""
    subprocess.run(
        [
            _program("openssl"), "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=mariadb of the tests",
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", path.with_suffix(".part"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    with path.open("ab") as whole:
        whole.write(path.with_suffix(".part").read_bytes())


def _program(name: str) -> str:
    found = shutil.which(name, path=_SEARCH)
    assert found, name
    return found


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDb]:
    """The server of this session, running. A test that kills it starts it again."""
    needed = ("mariadbd", "mariadb-install-db", "openssl")
    missing = [name for name in needed if not shutil.which(name, path=_SEARCH)]
    if missing:
        reason = f"{', '.join(missing)} not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with _running() as server:
        yield server


@pytest.fixture
def mariadb_server_with_a_log_of_statements(mariadb_server: MariaDb) -> Iterator[MariaDb]:
    """Another one, whose binary log is as that of servers set up before MariaDB 10.2 and MySQL 5.7."""
    assert mariadb_server.running
    with _running("--log-bin=log", "--server-id=1", "--binlog-format=STATEMENT") as server:
        yield server


@contextmanager
def _running(*options: str) -> Iterator[MariaDb]:
    # Not pytest's own folder: the path of a Unix socket has at most 107 bytes
    folder = Path(tempfile.mkdtemp(prefix="ao-mariadb-", dir="/tmp"))
    server = MariaDb(folder, *options)
    try:
        server.install()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
