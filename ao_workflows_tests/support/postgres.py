"""The session's PostgreSQL.

What belongs here: the fixture. What does not: the server's own workings (``postgres_server``).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ao_workflows_tests.conftest import skip_or_fail
from ao_workflows_tests.support.postgres_server import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's server."""
    folder = Path(tempfile.mkdtemp(prefix="ao-postgres-"))
    try:
        try:
            server = Postgres(folder)
        except FileNotFoundError as error:
            skip_or_fail(str(error))
        server.start()
        yield server
        server.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
