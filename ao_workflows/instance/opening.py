"""Opening Dagster's instance from outside of a run, and whether its daemon works.

What belongs here: that. What does not: the runs in it (``ao_workflows.status.runs``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from ao_workflows.errors import InstanceUnusable
from ao_workflows.instance.dagster_processes import HEARD_OF_SECONDS

_STORAGES = {"dagster", "dagster_shared", "dagster_postgres", "alembic", "sqlalchemy", "sqlite3", "psycopg2", "psycopg"}
"""The packages whose errors say that the storage fails."""

_QUEUE_DAEMON = "QUEUED_RUN_COORDINATOR"


@contextmanager
def opened_instance(home: str | None = None) -> Iterator[dg.DagsterInstance]:
    """Opens the Dagster instance in ``home``, or else in the folder that DAGSTER_HOME names.

    :raises InstanceUnusable: if there is none, its files cannot be used, or its storage fails, also later while the
        caller uses the instance.
    """
    home = home or os.environ.get("DAGSTER_HOME")
    if not home:
        raise InstanceUnusable("DAGSTER_HOME is not set; it names the folder with the instance's dagster.yaml")
    try:
        with _from_config(home) as instance:
            yield instance
    except Exception as error:
        if not is_of_the_storage(error):
            raise
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InstanceUnusable(f"the instance in {home} cannot be asked: {said}") from error


def is_of_the_storage(error: Exception) -> bool:
    """Whether an error shows that the instance's storage fails, and is no mistake of the caller's.

    Each storage has its own errors, and some of their classes are private: they are recognised by their package.
    """
    return type(error).__module__.partition(".")[0] in _STORAGES


def _from_config(home: str) -> dg.DagsterInstance:
    path = Path(home) / "dagster.yaml"
    try:
        # Dagster would make an instance of its own there, with no limits and no runs.
        if not path.is_file():
            raise InstanceUnusable(f"there is no dagster.yaml in DAGSTER_HOME ({home})")
        return dg.DagsterInstance.from_config(home)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InstanceUnusable(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise InstanceUnusable(f"the instance in {home} cannot be opened: {error}") from error


def daemon_silence(instance: dg.DagsterInstance) -> str | None:
    """Returns, in words, that no daemon takes runs from the queue; None if one does."""
    beat = instance.get_daemon_heartbeats().get(_QUEUE_DAEMON)
    if beat is None:
        return "no daemon has ever taken a run from this instance's queue"
    silent = time.time() - beat.timestamp
    if silent <= HEARD_OF_SECONDS:
        return None
    return f"its daemon has not been heard of since {datetime.fromtimestamp(beat.timestamp, UTC):%Y-%m-%d %H:%M} UTC"


def instance_id(instance: dg.DagsterInstance) -> str:
    """Returns an id, stored in its database, that distinguishes a Dagster instance from every other."""
    storage: Any = instance.run_storage
    return str(storage.get_run_storage_id())
