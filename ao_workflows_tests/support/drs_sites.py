"""One empty database of a test's own, and SQL on it past the code under test.

What belongs here: what the tests of several of DRS's modules ask for. What does not: the server (``mariadb``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from ao_workflows.drs.client import Drs
from ao_workflows.drs.rows import DrsRow

if TYPE_CHECKING:
    from ao_workflows_tests.support.mariadb import MariaDb

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
COLUMNS_OF_THE_PRESENT_SYSTEM = """
    id INTEGER PRIMARY KEY {auto},
    object_name VARCHAR(255),
    restore_requested_on TIMESTAMP NULL,
    restore_complete_on TIMESTAMP NULL,
    download_complete_on TIMESTAMP NULL,
    debag_complete_on TIMESTAMP NULL,
    sync_complete_on TIMESTAMP NULL,
    user_data JSON,
    create_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    update_time TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP {on_update}
"""
"""No index but the key, no default of ours."""


class Site:
    """One empty database, and SQL on it past the code under test, in UTC."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.drs = Drs(url=url, patience=20)
        self._engine = create_engine(url, poolclass=NullPool)

    @property
    def on_mariadb(self) -> bool:
        return self.url.startswith("mysql")

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        with self._engine.begin() as connection:
            if self.on_mariadb:
                connection.exec_driver_sql("SET time_zone = '+00:00'")
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def make_table_of_the_present_system(self) -> None:
        columns = COLUMNS_OF_THE_PRESENT_SYSTEM.format(
            auto="AUTO_INCREMENT" if self.on_mariadb else "AUTOINCREMENT",
            on_update="ON UPDATE CURRENT_TIMESTAMP" if self.on_mariadb else "",
        )
        self.sql(f"CREATE TABLE glacier_sync_progress ({columns})")

    def count(self) -> object:
        return self.sql("SELECT COUNT(*) FROM glacier_sync_progress")[0][0]

    def only(self, rid: str = "W1") -> DrsRow:
        (progress,) = self.drs.rows([rid])
        return progress


def site_on(server: MariaDb) -> Site:
    """A new database on the server."""
    return Site(server.url(server.make_database()))
