"""A private PostgreSQL: Debian's server on a free port, in a folder of its own. The benchmarks use it too.

What belongs here: starting and ending the server, making databases. What does not: what is tested with it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

from ao_workflows.machine.processes import free_port

_USER = "postgres"
_SECONDS_TO_START = 60.0


class Postgres:
    """One server; its password is in the file ``passfile``, and in no address."""

    def __init__(self, folder: Path) -> None:
        """:raises FileNotFoundError: where there is no PostgreSQL."""
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            raise FileNotFoundError("PostgreSQL's server is not installed")
        self._folder = folder
        self._programs = found[-1].parent
        self._databases = 0
        self._server: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.passfile = folder / "pgpass"
        self.log = folder / "log"

    def start(self) -> None:
        """Makes the server's files, and starts it. PostgreSQL refuses to run as root: it gets Debian's user then."""
        password, data = self._folder / "password", self._folder / "data"
        word = secrets.token_hex(12)
        password.write_text(word)
        self.passfile.write_text(f"*:*:*:*:{word}\n")
        self.passfile.chmod(0o600)
        if os.geteuid() == 0:
            self._folder.chmod(0o755)
            data.mkdir()
            for path in (data, password):
                shutil.chown(path, _USER)
        self._as_user(
            "initdb", "-D", str(data), "-A", "scram-sha-256", "-U", "dagster", "--pwfile", str(password), "-N"
        )
        options = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        words = ["-D", str(data), *(word for option in options for word in ("-c", option))]
        # QUIT ends it at once, and comes when these tests end, however they do.
        command = ["setpriv", "--pdeathsig", "QUIT", *self._user(), "--", str(self._programs / "postgres"), *words]
        with self.log.open("ab") as out:
            self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/")
        asked = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        until = time.monotonic() + _SECONDS_TO_START
        while subprocess.run(asked, check=False).returncode:
            assert self._server.poll() is None, self.log.read_text()
            assert time.monotonic() < until, "PostgreSQL does not answer"
            time.sleep(0.05)

    def end(self) -> None:
        """Ends it, at once."""
        assert self._server
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait()

    def database(self) -> str:
        """The address of a new, empty database, as SQLAlchemy reads it."""
        self._databases += 1
        name = f"d{self._databases}"
        self.run("postgres", f"CREATE DATABASE {name}")
        return f"postgresql+psycopg2://{self._place(name)}"

    def run(self, database: str, sql: str) -> str:
        """Runs some SQL, and returns what psql prints."""
        command = [self._programs / "psql", "-XAtwc", sql, f"postgresql://{self._place(database)}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def _place(self, database: str) -> str:
        return f"dagster@127.0.0.1:{self.port}/{database}?passfile={self.passfile}"

    def _as_user(self, program: str, *words: str) -> None:
        command = ["setpriv", *self._user(), "--", str(self._programs / program), *words]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", check=False)
        assert done.returncode == 0, done.stderr

    @staticmethod
    def _user() -> list[str]:
        """The words of setpriv for Debian's user, where root is who runs this."""
        return ["--reuid", _USER, "--regid", _USER, "--init-groups"] if os.geteuid() == 0 else []
