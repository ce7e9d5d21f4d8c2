"""Pruning on the engine: containers of runs that ended, and images that a newer build has taken the name of.

What belongs here: choosing and removing them, and the metadata about it. What does not: launching
(``ao_workflows.instance.run_containers``), and anything on the host that is not this deployment's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dagster import MetadataValue

RUN_LABEL = "dagster/run_id"
IMAGE_LABEL = "org.opencontainers.image.title=ao-workflows"
_NEVER_STARTED = "0001-01-01"


@dataclass(frozen=True)
class Pruned:
    """What was removed, and when the oldest container that was kept ended."""

    containers: int = 0
    container_bytes: int = 0
    oldest_kept: datetime | None = None
    images: int = 0
    image_bytes: int = 0

    def metadata(self) -> dict[str, Any]:
        """Returns the same facts as metadata for the run that keeps house."""
        told: dict[str, Any] = {
            "containers: removed": self.containers,
            "containers: bytes freed": self.container_bytes,
            "images: removed": self.images,
            "images: bytes freed": self.image_bytes,
        }
        if self.oldest_kept:
            told["containers: oldest kept"] = MetadataValue.timestamp(self.oldest_kept)
        return told


def remove_ended(client: Any, network: str, before: datetime, *, well: bool) -> None:
    """Removes the containers of the network's runs that ended before a moment.

    :param well: removes only those that exited with 0, and keeps those of runs that failed.
    """
    for container, ended in _ended(client, network, well=well):
        if ended < before:
            _remove(container)


def prune(client: Any, network: str, before: datetime) -> Pruned:
    """Removes the containers of the network's runs that ended before a moment, however they ended, and old images.

    An image is removed if it is this package's, was made before that moment, and has neither a name nor a container any
    more. A younger one may be of a build that is under way.
    """
    count = size = 0
    kept = []
    sizes = {
        each["Id"]: each.get("SizeRw", 0)
        for each in client.api.containers(all=True, size=True, filters={"label": RUN_LABEL, "network": network})
    }
    for container, ended in _ended(client, network, well=False):
        if ended < before and _remove(container):
            count, size = count + 1, size + sizes.get(container.id, 0)
        else:
            kept.append(ended)
    gone = client.images.prune(filters={"dangling": True, "label": IMAGE_LABEL, "until": str(int(before.timestamp()))})
    images = [each for each in gone.get("ImagesDeleted") or [] if "Deleted" in each]
    return Pruned(count, size, min(kept, default=None), len(images), gone.get("SpaceReclaimed", 0))


def _remove(container: Any) -> bool:
    """Removes a container, and returns whether it could; another launch may be removing it at the same time."""
    import docker.errors

    try:
        container.remove()
    except docker.errors.APIError:
        return False
    return True


def _ended(client: Any, network: str, *, well: bool) -> Iterator[tuple[Any, datetime]]:
    filters = {"label": RUN_LABEL, "network": network, "status": "exited"} | ({"exited": 0} if well else {})
    for container in client.containers.list(all=True, filters=filters, ignore_removed=True):
        if not (said := container.attrs["State"]["FinishedAt"]).startswith(_NEVER_STARTED):
            yield container, ended_at(said)


def ended_at(said: str) -> datetime:
    """Reads the engine's time of a container's end. It has nanoseconds, and Python reads no more than microseconds."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", said))
