"""The services of a site without containers: started, looked at and ended as processes of this machine.

What belongs here: the order of that. What does not: where it is recorded (``folder``), what a process is started with
(``ao_workflows.instance.dagster_processes``), and what is printed (``ao_workflows.cli.services``).
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ao_workflows.errors import ServiceNotUp, ServicesError
from ao_workflows.instance import dagster_processes
from ao_workflows.machine.processes import Prepared, end, free_port, is_alive, is_free, no_interrupts, wait_gone
from ao_workflows.services.folder import MARK, ServicesFolder, alive
from ao_workflows.services.record import ENDED, PORT_OPTIONS, SERVICES, Service, ports
from ao_workflows.site.sections import CHECKOUT

if TYPE_CHECKING:
    from dagster import DagsterInstance

UP_WITHIN_SECONDS = 120.0
"""On a machine that is busy with other things; on a quiet one it is about ten."""

_GRACE_SECONDS = 15.0
_RUN_GRACE_SECONDS = 30.0
_SCRIPT_GRACE_SECONDS = 15.0
_LOOK_EVERY_SECONDS = 0.2
_LOOK_FOR_RUNS_EVERY_SECONDS = 1.0
_TAIL = 10


def bring_up(folder: ServicesFolder, given: Mapping[str, int | None], say: Callable[[str], None]) -> dict[str, Service]:
    """Starts the services that are not up, and returns all of them once they do their work.

    If that fails, or is interrupted, what was started is ended.

    :param given: the ports that are asked for.
    :param say: called with a sentence about each step.
    :raises ServicesError: if one cannot be started, or does not do its work.
    """
    recorded = folder.recorded()
    up = alive(recorded)
    if recorded and up and recorded.site != str(folder.site):
        raise ServicesError(
            f"the services of {recorded.site} are up on the instance in {folder.home}: run ao down first, or set "
            f"another DAGSTER_HOME"
        )
    if recorded is None and folder.below():
        raise ServicesError(
            f"processes of an earlier ao up are left on the instance in {folder.home}: run ao down first"
        )
    chosen: dict[str, int | None] = {**ports(recorded, up, given), "daemon": None}
    was = recorded.services.get("code") if recorded else None
    # What is up knows the code server by its port: it comes back there.
    chosen["code"] = was.port if was and up else free_port()
    down = [name for name in SERVICES if name not in up]
    for name in down:
        if (port := chosen[name]) is not None and not is_free(port):
            raise ServicesError(_taken(name, port))
    if not (folder.home / "dagster.yaml").exists():
        _copy_dagster_yaml(folder.home)
    say(f"Starting {', '.join(down)} …" if down else "Everything is up already.")
    start = _Start(folder, chosen, up)
    try:
        start.all(down)
    except BaseException as error:
        with no_interrupts():
            start.undo()
        if isinstance(error, OSError):
            raise ServicesError(f"{folder.folder} cannot be written to: {error.strerror}") from error
        raise
    return {name: start.services[name] for name in SERVICES}


def bring_down(folder: ServicesFolder, *, wait: bool) -> bool:
    """Ends the services, and returns whether any was up.

    :param wait: let runs end by themselves; otherwise they are interrupted.
    """
    up = alive(folder.recorded())
    if not up and not folder.below():
        folder.record({})
        return False
    _end(folder, up, runs=True, wait=wait)
    folder.record({})
    return True


def _end(folder: ServicesFolder, services: Mapping[str, Service], *, runs: bool, wait: bool = False) -> None:
    """Ends the services in their order, with ``runs`` all that is below any of the site's too."""
    had_runs = False
    for names in ENDED:
        end([services[name].process for name in names if name in services], _GRACE_SECONDS)
        if runs and names == ("daemon",):  # it may have begun a run while it ended
            while wait and folder.below(runs_only=True):
                time.sleep(_LOOK_FOR_RUNS_EVERY_SECONDS)
            under_way = folder.below(runs_only=True)
            had_runs = bool(under_way)
            end(under_way, _RUN_GRACE_SECONDS)
    if had_runs:
        # Whoever sees to it that a sync script ends with its run, has work where the run had to be killed.
        wait_gone(folder.below(), _SCRIPT_GRACE_SECONDS)
    if runs:
        end(folder.below(), _GRACE_SECONDS)


class _Start:
    """The start of what is not ``up``; ``services`` are those, and each that was started since."""

    def __init__(self, folder: ServicesFolder, ports: Mapping[str, int | None], up: Mapping[str, Service]) -> None:
        self._folder = folder
        self._ports = ports
        self._up = up
        self._workspace = folder.folder / "workspace.yaml"
        self.services = dict(up)

    def all(self, down: Sequence[str]) -> None:
        """Starts what is ``down``, and returns when all do their work."""
        from ao_workflows.instance.opening import opened_instance

        until = time.monotonic() + UP_WITHIN_SECONDS
        with opened_instance(str(self._folder.home)) as instance:
            dagster_processes.make_tables(instance)
            if "code" in down:
                self._start("code")
            _await(self._folder, self.services["code"], instance, until)
            for name in down:
                if name != "code":
                    self._start(name)
            for name in SERVICES:
                _await(self._folder, self.services[name], instance, until)

    def undo(self) -> None:
        """Ends what was started; a run that a code server of before has begun is left to it."""
        started = {name: service for name, service in self.services.items() if name not in self._up}
        _end(self._folder, started, runs="code" in started)
        with suppress(OSError):  # what has ended counts for nothing in it
            self._folder.record(self._up)

    def _start(self, name: str) -> None:
        """Starts one, once it is recorded: whoever comes after a crash of ours knows of it."""
        port = self._ports[name]
        if name == "code" and port is not None:
            self._workspace.write_text(dagster_processes.workspace(port))
        log = self._folder.log(name)
        if log.exists():  # it says why the service ended
            log.replace(log.with_suffix(".log.1"))
        folder = {
            "AO_SITE": str(self._folder.site),
            "DAGSTER_HOME": str(self._folder.home),
            MARK: str(self._folder.home),
        }
        with log.open("wb") as out:
            prepared = Prepared([sys.executable, *self._words(name)], self._folder.home, os.environ | folder, out)
        self.services[name] = Service(name, prepared.id, time.time(), port)
        self._folder.record(self.services)
        prepared.begin()

    def _words(self, name: str) -> list[str]:
        port, code = self._ports[name], ("-w", str(self._workspace))
        if port is None:
            return dagster_processes.daemon(*code)
        if name == "code":
            return dagster_processes.code_server(port)
        return dagster_processes.webserver(port, *code, read_only=name == "viewer")


def _await(folder: ServicesFolder, service: Service, instance: DagsterInstance, until: float) -> None:
    """Waits until the service does its work.

    :raises ServiceNotUp: where it ends, or time is up.
    """
    while True:
        fault = _fault(service, instance)
        if not fault:
            return
        ended = not is_alive(service.process)
        if ended or time.monotonic() > until:
            said = "it ended" if ended else f"{fault} after {UP_WITHIN_SECONDS:.0f} s"
            raise ServiceNotUp(service.name, said, folder.log(service.name), _tail(folder.log(service.name)))
        time.sleep(_LOOK_EVERY_SECONDS)


def _fault(service: Service, instance: DagsterInstance) -> str:
    """Why the service does not do its work; empty where it does."""
    if not is_alive(service.process):
        return "it ended"
    if service.port is None:
        return dagster_processes.daemon_fault(instance, service.began)
    if service.name == "code":
        return dagster_processes.code_server_fault(service.port)
    return dagster_processes.webserver_fault(service.port)


def _tail(log: Path) -> list[str]:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return []
    # Without colours, and without what a traceback underlines.
    say = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines if line.strip(" ^~")]
    return say[-_TAIL:]


def _taken(name: str, port: int) -> str:
    if name in PORT_OPTIONS:
        return (
            f"port {port}, for the {name}, is taken by another process: end that, or give another {PORT_OPTIONS[name]}"
        )
    return f"port {port}, where the code server was, is taken by another process: run ao down, then ao up"


def _copy_dagster_yaml(home: Path) -> None:
    try:
        # By a rename: half of one would be taken for an instance without limits.
        under_way = Path(shutil.copy(CHECKOUT / "dagster.yaml", home / "services/dagster.yaml"))
        under_way.replace(home / "dagster.yaml")
    except OSError as error:
        raise ServicesError(f"dagster.yaml cannot be copied from {CHECKOUT} to {home}: {error.strerror}") from error
