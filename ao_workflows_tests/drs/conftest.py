"""A database on SQLite and one on MariaDB, empty or with its table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ao_workflows_tests.support.drs_sites import Site, site_on

if TYPE_CHECKING:
    from ao_workflows_tests.support.mariadb import MariaDb


@pytest.fixture(params=["sqlite", "mariadb"])
def empty_site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    if request.param == "sqlite":
        path = tmp_path / "drs.sqlite"
        path.touch()
        return Site(f"sqlite:///{path}")
    return site_on(request.getfixturevalue("mariadb_server"))


@pytest.fixture
def site(empty_site: Site) -> Site:
    assert empty_site.drs.init()
    return empty_site


@pytest.fixture
def server(mariadb_server: MariaDb) -> Iterator[MariaDb]:
    yield mariadb_server
    if not mariadb_server.running:
        mariadb_server.start()


@pytest.fixture
def server_site(server: MariaDb) -> Site:
    site = site_on(server)
    assert site.drs.init()
    return site
