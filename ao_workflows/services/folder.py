"""The folder of a site's services: its lock, its logs, and the file with the record.

What belongs here: finding it, reading and writing it, and which of its services are alive. What does not: starting and
ending them (``running``).
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
from ao_workflows.services.record import Service, ServicesRecord, parse_record

MARK = "AO_UP"
"""The variable that everything below the services is given: their instance's folder. So a run is found whose code
server is gone, and no process of anybody else's is."""


@dataclass(frozen=True)
class ServicesFolder:
    """Where a site and its instance are: ``site`` is its site.toml, ``home`` Dagster's folder."""

    site: Path
    home: Path

    @property
    def folder(self) -> Path:
        """The folder with the record, the lock and the logs."""
        return self.home / "services"

    def log(self, name: str) -> Path:
        """Returns the log of the service of that name."""
        return self.folder / f"{name}.log"

    @classmethod
    def find(cls, site: Path | None) -> ServicesFolder:
        """Finds the folder of ``site``, else of the site that AO_SITE names; Dagster's is DAGSTER_HOME, else
        ``dagster`` beside it.

        :raises ServicesError: if neither names a site.
        """
        named = site or (Path(given) if (given := os.environ.get("AO_SITE")) else None)
        if named is None:
            raise ServicesError("no site is named: set AO_SITE, or give --site. For the demo's, there is ao ui")
        file = named.resolve()
        home = os.environ.get("DAGSTER_HOME")
        return cls(file, Path(home).resolve() if home else file.parent / "dagster")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps a second command out while inside.

        :raises ServicesError: if there is one, or the folder cannot be made.
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

    def recorded(self) -> ServicesRecord | None:
        """Returns what was started here last; None if nothing was, or the record is broken.

        :raises ServicesError: if the record may not be read.
        """
        path = self.folder / "services.json"
        try:
            return parse_record(path.read_text(errors="replace"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ServicesError(f"{path} cannot be read: {error.strerror}") from error

    def record(self, services: Mapping[str, Service]) -> None:
        """Writes the record of the services that were started; removes it if there are none."""
        path = self.folder / "services.json"
        if not services:
            path.unlink(missing_ok=True)
            return
        under_way = path.with_suffix(".tmp")
        under_way.write_text(ServicesRecord(str(self.site), services).dump())
        under_way.replace(path)

    def below(self, *, runs_only: bool = False) -> list[ProcessId]:
        """Returns the processes that the services started: runs, also those whose code server is gone, and others.

        :param runs_only: only those that execute runs.
        """
        recorded = self.recorded()
        services = [service.process for service in recorded.services.values()] if recorded else []
        below = [process for process in marked(MARK, str(self.home)) if process not in services]
        return [process for process in below if not runs_only or executes_a_run(command_line(process))]


def alive(recorded: ServicesRecord | None) -> dict[str, Service]:
    """Returns the services of the record whose processes are alive."""
    services = recorded.services.values() if recorded else ()
    return {service.name: service for service in services if is_alive(service.process)}
