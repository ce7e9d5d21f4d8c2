"""The deployment's instance keeps its connections to PostgreSQL, for as long as it is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest
import yaml

from ao_workflows_tests.support.postgres import Postgres


@pytest.fixture
def instance(postgres: Postgres, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    settings = {
        "instance_class": {"module": "ao_workflows.instance.cancelling", "class": "CancellingInstance"},
        "storage": {"postgres": {"postgres_url": postgres.database()}},
        "telemetry": {"enabled": False},
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        _ask(opened)
        yield opened


def _ask(instance: dg.DagsterInstance) -> None:
    """One question to each of the three storages."""
    instance.get_runs_count()
    instance.get_dynamic_partitions("works")
    instance.all_instigator_state()


def _connections(postgres: Postgres, instance: dg.DagsterInstance) -> set[str]:
    """The server's processes for the instance's database; there are some."""
    storage: Any = instance.run_storage
    database = urlsplit(storage.postgres_url).path[1:]
    question = f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}'"  # noqa: S608 - the name is the fixture's
    found = set(postgres.run("postgres", question).split())
    assert found
    return found


def test_the_next_question_goes_over_the_connection_that_is_there(
    postgres: Postgres, instance: dg.DagsterInstance
) -> None:
    """To make one for each took more time than to answer."""
    before = _connections(postgres, instance)
    _ask(instance)
    assert _connections(postgres, instance) == before


def test_a_connection_that_the_server_ended_is_made_anew(postgres: Postgres, instance: dg.DagsterInstance) -> None:
    """PostgreSQL was started again: nobody may be told an error for it."""
    before = _connections(postgres, instance)
    for pid in before:
        postgres.run("postgres", f"SELECT pg_terminate_backend({pid})")
    _ask(instance)
    assert not _connections(postgres, instance) & before


def test_a_closed_instance_leaves_no_connection(postgres: Postgres, instance: dg.DagsterInstance) -> None:
    """The code server opens one for each tick, and PostgreSQL takes a hundred connections."""
    before = _connections(postgres, instance)
    for _ in range(5):
        with dg.DagsterInstance.from_ref(instance.get_ref()) as another:
            _ask(another)
    assert _connections(postgres, instance) == before
