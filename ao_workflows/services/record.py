"""The record of a site's services: what is written of each when it starts, and what a person sees of them.

What belongs here: the record as values and as JSON, the choice of ports, the table. What does not: starting, looking at
and ending them (``running``).
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass

from ao_workflows.errors import ServicesError
from ao_workflows.machine.processes import ProcessId

SERVICES = ("code", "webserver", "viewer", "daemon")
"""Each needs the ones before it; the names are those of docker-compose.yml."""

ENDED = (("daemon",), ("viewer", "webserver"), ("code",))
"""The daemon first, so that nothing new starts. Runs, which the code server would wait for, end after it."""

PORTS = {"webserver": 3000, "viewer": 3001}
PORT_OPTIONS = {"webserver": "--port", "viewer": "--viewer-port"}


@dataclass(frozen=True)
class Service:
    """A service that was started; ``began`` is in seconds since 1970, ``port`` is None for the daemon."""

    name: str
    process: ProcessId
    began: float
    port: int | None


@dataclass(frozen=True)
class ServicesRecord:
    """The services that were started, for the site.toml at ``site``."""

    site: str
    services: Mapping[str, Service]

    def dump(self) -> str:
        """Returns the record as JSON."""
        return json.dumps({"site": self.site, "services": [asdict(each) for each in self.services.values()]}, indent=1)


def parse_record(text: str) -> ServicesRecord | None:
    """Reads the record; returns None if the text is broken: then the machine crashed, and nothing of it is alive."""
    try:
        found = json.loads(text)
        services = [Service(**{**each, "process": ProcessId(**each["process"])}) for each in found["services"]]
        return ServicesRecord(str(found["site"]), {each.name: each for each in services if each.name in SERVICES})
    except (ValueError, TypeError, KeyError):
        return None


def ports(recorded: ServicesRecord | None, alive: Container[str], given: Mapping[str, int | None]) -> dict[str, int]:
    """Returns the port of each page: the one it is up at, else the one ``given``, else its last one, else Dagster's own
    or the next one.

    :param alive: the names of the services that are up.
    :raises ServicesError: if a page is up at another port than was asked for, or two pages are to have one port.
    """
    chosen = {}
    for name, default in PORTS.items():
        was = recorded.services[name].port if recorded and name in recorded.services else None
        wanted = given.get(name)
        if name in alive and wanted not in {None, was}:
            raise ServicesError(f"the {name} is up at port {was}: run ao down before it gets port {wanted}")
        chosen[name] = wanted or was or default
    if chosen["webserver"] == chosen["viewer"]:
        raise ServicesError(f"the webserver and the viewer cannot both have port {chosen['viewer']}: give one another")
    return chosen


def address(service: Service) -> str:
    """Returns the address at which a service answers."""
    if service.port is None:
        return ""
    scheme = "http://" if service.name in PORTS else ""
    return f"{scheme}127.0.0.1:{service.port}"


def services_table(services: Mapping[str, Service]) -> list[str]:
    """Returns a line for each service, of at most 80 columns."""
    rows = [("service", "pid", "address", "log")]
    rows += [
        (name, str(services[name].process.pid), address(services[name]), f"{name}.log")
        for name in SERVICES
        if name in services
    ]
    return [f"{name:<11}{pid:<10}{at:<25}{log}" for name, pid, at, log in rows]
