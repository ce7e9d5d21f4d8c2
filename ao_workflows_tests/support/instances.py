"""Dagster's instances on a database of a test's own, and one that has been used.

What belongs here: making them. What does not: the server (``postgres``).
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from ao_workflows_tests.support.postgres import Postgres


def instance_on(url: str, home: Path) -> dg.DagsterInstance:
    """An instance in the folder ``home``, on the database at ``url``."""
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(
        f"storage:\n  postgres:\n    postgres_url: {url}\ntelemetry:\n  enabled: false\n"
    )
    return dg.DagsterInstance.from_config(str(home))


@dg.asset
def thing() -> dg.MaterializeResult[None]:
    """Something to be in a database."""
    return dg.MaterializeResult(metadata={"digest": "of the work"})


@pytest.fixture(scope="module")
def used(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database of an instance with a run and a materialization in it."""
    url = postgres.database()
    with instance_on(url, tmp_path_factory.mktemp("home")) as instance:
        assert dg.materialize([thing], instance=instance).success
    return url
