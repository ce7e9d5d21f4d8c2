"""The folder of a site's services: the record of what was started, the lock, the logs.

What belongs here: finding it, reading and writing it, and what of its services is alive. What does not: starting and
ending them (``ao_workflows.services.running``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ao_workflows.errors import ServicesError
from ao_workflows.instance.dagster_processes import executes_a_run
from ao_workflows.machine import file_locks
from ao_workflows.machine.processes import ProcessId, command_line, is_alive, marked
from ao_workflows.services.record import Recorded, Service, parse_recorded

MARK = "AO_UP"
"""The variable that everything below the services is given: their instance's folder. So a run is found whose code
server is gone, and no process of anybody else's is."""


@dataclass(frozen=True)
class Place:
    """Where a site and its instance are: ``site`` is the file, ``home`` Dagster's folder."""

    site: Path
    home: Path

    @property
    def folder(self) -> Path:
        """The record, the lock and the logs."""
        return self.home / "services"

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    @classmethod
    def find(cls, site: Path | None) -> Place:
        """That of ``site``, else of AO_SITE; its instance is in DAGSTER_HOME, else in ``dagster`` beside it.

        :raises ServicesError: where neither names a site.
        """
        named = site or (Path(given) if (given := os.environ.get("AO_SITE")) else None)
        if named is None:
            raise ServicesError("no site is named: set AO_SITE, or give --site. For the demo's, there is ao ui")
        file = named.resolve()
        home = os.environ.get("DAGSTER_HOME")
        return cls(file, Path(home).resolve() if home else file.parent / "dagster")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps a second command out.

        :raises ServicesError: if there is one, or there can be no folder.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = file_locks.take_if_free(self.folder / "lock")
        except OSError as error:
            raise ServicesError(
                f"{self.folder} cannot be used: {error.strerror}; DAGSTER_HOME names its home"
            ) from error
        if lock is None:
            raise ServicesError(f"another ao up or ao down is at work in {self.home}: wait for its end")
        try:
            yield
        finally:
            os.close(lock)

    def recorded(self) -> Recorded | None:
        """What was started here last; None where nothing was, or nobody knows.

        :raises ServicesError: where the record may not be read.
        """
        path = self.folder / "services.json"
        try:
            return parse_recorded(path.read_text(errors="replace"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ServicesError(f"{path} cannot be read: {error.strerror}") from error

    def record(self, services: Mapping[str, Service]) -> None:
        path = self.folder / "services.json"
        if not services:
            path.unlink(missing_ok=True)
            return
        under_way = path.with_suffix(".tmp")
        under_way.write_text(Recorded(str(self.site), services).dump())
        under_way.replace(path)

    def below(self, *, runs_only: bool = False) -> list[ProcessId]:
        """What the services started: processes that execute runs, also when their code server is gone, and others."""
        recorded = self.recorded()
        services = [service.process for service in recorded.services.values()] if recorded else []
        below = [process for process in marked(MARK, str(self.home)) if process not in services]
        return [process for process in below if not runs_only or executes_a_run(command_line(process))]


def alive(recorded: Recorded | None) -> dict[str, Service]:
    """The services of the record that are there."""
    services = recorded.services.values() if recorded else ()
    return {service.name: service for service in services if is_alive(service.process)}
