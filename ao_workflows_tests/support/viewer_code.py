"""The archivists' code server, with the command and the environment that docker-compose.yml gives it, and no more.

What belongs here: starting it. What does not: the page that asks it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from ao_workflows.instance.dagster_processes import code_server_fault
from ao_workflows.machine.processes import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@contextmanager
def viewer_code(site: Path) -> Iterator[int]:
    """The server of a site.toml, on this machine; the port at which it serves the definitions."""
    service = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]["viewer-code"]
    port = free_port()
    given = {"0.0.0.0": "127.0.0.1", "4000": str(port)}  # noqa: S104 - it is what must not be here
    words = [given.get(word, word) for word in service["command"]]
    environment = {name: value for name, value in service["environment"].items() if not value.startswith("${")}
    log = site.with_name("viewer-code.log")
    with log.open("wb") as out:
        served = subprocess.Popen(
            [BIN / words[0], *words[1:]],
            cwd=site.parent,
            env={"PATH": f"{BIN}:/usr/bin:/bin", "AO_SITE": str(site), **environment},
            stdout=out,
            stderr=out,
        )
    try:
        until = time.monotonic() + 90
        while fault := code_server_fault(port):
            assert served.poll() is None, log.read_text()
            assert time.monotonic() < until, f"{fault}\n{log.read_text()}"
            time.sleep(0.1)
        yield port
    finally:
        served.terminate()
        served.wait()
