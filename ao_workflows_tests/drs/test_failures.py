"""What a database driver's errors mean: which may pass by themselves, and what to do about the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pymysql.err import OperationalError
from sqlalchemy.exc import DBAPIError

from ao_workflows.drs.client import Drs
from ao_workflows.drs.config import named_database
from ao_workflows.drs.failures import told
from ao_workflows.errors import DatabaseError
from ao_workflows_tests.support.drs_sites import NOON, Site

if TYPE_CHECKING:
    from ao_workflows_tests.support.mariadb import MariaDb


def test_a_missing_table_fails_at_once_and_says_what_makes_it(empty_site: Site) -> None:
    """Retried as if it were an outage, a site that forgot `ao drs init` would look slow, not wrong."""
    for ask in (empty_site.drs.check, empty_site.drs.rows, lambda: empty_site.drs.record("W1", None, NOON, {})):
        with pytest.raises(DatabaseError, match="no table glacier_sync_progress; `ao drs init` makes it") as caught:
            ask()
        assert not caught.value.transient


def test_a_refusal_of_a_row_that_changed_since_it_was_read_may_pass() -> None:
    """It ended the stage, where the same call a moment later would have done."""
    error = OperationalError(1020, "Record has changed since last read in table 'glacier_sync_progress'")
    failure = told(named_database("mysql+pymysql://u@h/d", None), DBAPIError("SELECT", None, error))
    assert failure.transient
    assert "the row was changed by another" in str(failure)


def test_a_wrong_password_fails_at_once_and_is_not_repeated(server: MariaDb, server_site: Site) -> None:
    """Retried, it locks the account out; printed, it is in every run's log."""
    wrong = "no" + server.password
    drs = Drs(url=server_site.url.replace(server.password, wrong), patience=3600)
    with pytest.raises(DatabaseError, match=r"Access denied for user 'drs'.*\[drs\] url") as caught:
        drs.record("W1", None, NOON, {})
    assert not caught.value.transient
    assert wrong not in str(caught.value)


def test_a_missing_database_fails_at_once_and_is_named(server: MariaDb, server_site: Site) -> None:
    """The reader must learn that it is the name, not the server, that is wrong."""
    drs = Drs(url=server.url("nowhere"), patience=3600)
    with pytest.raises(DatabaseError, match="Unknown database 'nowhere'") as caught:
        drs.rows()
    assert not caught.value.transient
