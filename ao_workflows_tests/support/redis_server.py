"""A private Redis: Debian's server on a free port, with a password in a file. The benchmarks use it too.

What belongs here: starting and ending it. What does not: what is tested with it.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from ao_workflows.machine.processes import free_port
from ao_workflows_tests.support.parent import end_with_it

_STARTED_WITHIN_SECONDS = 60.0


class RedisServer:
    """One server, which keeps nothing on disk; ``address`` names the file with its password."""

    def __init__(self, folder: Path) -> None:
        """:raises FileNotFoundError: where there is no Redis."""
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("Redis's server is not installed")
        self._program = program
        self._port = free_port()
        self._word = secrets.token_hex(12)
        self._process: subprocess.Popen[bytes] | None = None
        passfile = folder / "redis-password"
        passfile.write_text(f"{self._word}\n")
        passfile.chmod(0o600)
        self.address = f"redis://127.0.0.1:{self._port}/0?passfile={passfile}"

    @property
    def client(self) -> Redis:
        return Redis(host="127.0.0.1", port=self._port, password=self._word)

    def start(self) -> None:
        """Starts it, empty; where it was killed, again."""
        self._process = subprocess.Popen(
            [self._program, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_it,  # noqa: PLW1509 - one call of the kernel
        )
        assert self._process.stdin
        settings = f'port {self._port}\nbind 127.0.0.1\nsave ""\nrequirepass {self._word}\n'
        self._process.stdin.write(settings.encode())
        self._process.stdin.close()
        until = time.monotonic() + _STARTED_WITHIN_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "Redis ended by itself"
            assert time.monotonic() < until, "Redis does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends it as the kernel does."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisError:
            return False
