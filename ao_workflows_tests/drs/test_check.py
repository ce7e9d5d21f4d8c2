"""Whether DRS as it is can be used: what is wrong with its table, and with what its user may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ao_workflows.drs.client import Drs
from ao_workflows.errors import DatabaseError
from ao_workflows_tests.support.drs_sites import COLUMNS_OF_THE_PRESENT_SYSTEM, NOON, Site

if TYPE_CHECKING:
    from ao_workflows_tests.support.mariadb import MariaDb


def test_the_check_says_what_it_found(site: Site) -> None:
    """`ao site check` prints it: which database it was matters as much as that it answered."""
    site.drs.record("W1", None, NOON, {})
    said = site.drs.check()
    assert "glacier_sync_progress has 1 row" in said
    assert ("mariadb 10" if site.on_mariadb else "sqlite 3") in said
    assert "drs:" not in said, "a password"


def test_the_check_changes_nothing(site: Site) -> None:
    """It is run on production's database, at any time."""
    site.drs.record("W1", None, NOON, {})
    before = site.sql("SELECT * FROM glacier_sync_progress")
    site.drs.check()
    assert site.sql("SELECT * FROM glacier_sync_progress") == before
    site.drs.record("W2", None, NOON, {})
    assert site.sql("SELECT MAX(id) FROM glacier_sync_progress") == [(2,)]


def test_a_table_of_the_present_system_is_right(empty_site: Site) -> None:
    """A check that refuses what works would stop a site from switching."""
    empty_site.make_table_of_the_present_system()
    assert "has 0 rows" in empty_site.drs.check()


def test_columns_that_would_refuse_or_cut_our_rows_are_named_all_at_once(empty_site: Site) -> None:
    """Each would be found by a work at night, one after the other."""
    columns = COLUMNS_OF_THE_PRESENT_SYSTEM.format(auto="", on_update="")
    columns = columns.replace("VARCHAR(255)", "VARCHAR(32)").replace(
        "debag_complete_on TIMESTAMP NULL", "debag_complete_on DATE"
    )
    columns = columns.replace("sync_complete_on TIMESTAMP NULL", "sync_complete_on DATETIME NOT NULL")
    empty_site.sql(f"CREATE TABLE glacier_sync_progress ({columns}, vendor VARCHAR(9) NOT NULL)")
    with pytest.raises(DatabaseError) as caught:
        empty_site.drs.check()
    for fault in (
        "has object_name as VARCHAR(32)",
        "has debag_complete_on as DATE, and a time is needed",
        "has sync_complete_on as NOT NULL",
        "has vendor as NOT NULL without a default",
    ):
        assert fault in str(caught.value)
    assert str(caught.value).count("; has ") == 3


@pytest.mark.parametrize("granted", ["SELECT", "SELECT, INSERT", "SELECT, UPDATE"])
def test_a_user_who_may_not_write_is_found_by_the_check(server_site: Site, server: MariaDb, granted: str) -> None:
    """Else a user made for reports passes, and the first work finds it."""
    database = server_site.url.rpartition("/")[2]
    user = f"reader_{database}"
    server.run(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY '{server.password}'")
    server.run(f"GRANT {granted} ON {database}.* TO {user}@'127.0.0.1'")
    drs = Drs(url=server_site.url.replace(f"//{server.user}:", f"//{user}:"))
    with pytest.raises(DatabaseError, match="needs SELECT, INSERT and UPDATE on glacier_sync_progress") as caught:
        drs.check()
    assert server.password not in str(caught.value)
    server.run(f"GRANT SELECT, INSERT, UPDATE ON {database}.* TO {user}@'127.0.0.1'")
    assert "has 0 rows" in drs.check()


def test_a_table_without_a_column_is_named_by_the_check(empty_site: Site) -> None:
    """Else the first work of the night finds it."""
    empty_site.make_table_of_the_present_system()
    empty_site.sql("ALTER TABLE glacier_sync_progress DROP COLUMN debag_complete_on")
    with pytest.raises(DatabaseError, match="has no column debag_complete_on"):
        empty_site.drs.check()
