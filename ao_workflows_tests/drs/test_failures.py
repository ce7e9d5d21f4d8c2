"""What a database driver's errors mean: which may pass by themselves, and what to do about the others."""

from __future__ import annotations

import sqlite3
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from pymysql.err import OperationalError
from sqlalchemy.exc import DBAPIError

from ao_workflows.drs.client import Drs
from ao_workflows.drs.config import Database, named_database
from ao_workflows.drs.failures import database_error
from ao_workflows.errors import DatabaseError, DatabaseUnavailable
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
    failure = database_error(named_database("mysql+pymysql://u@h/d", None), DBAPIError("SELECT", None, error))
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


SERVER: Database = named_database("mysql+pymysql://ao:word@db/drs", None)
FILE: Database = named_database("sqlite:////srv/drs.sqlite", None)


def of_driver(*arguments: object, lost: bool = False, cause: Exception | None = None) -> DatabaseError:
    """What is told of an error of MySQL's driver."""
    error = OperationalError(*arguments)
    if cause:
        error.original_exception = cause  # type: ignore[attr-defined]
    return database_error(SERVER, DBAPIError("SELECT", None, error, connection_invalidated=lost))


@pytest.mark.parametrize("code", [1040, 1205, 1213, 2003, 2006, 2013, 1290, 4031])
def test_what_may_pass_is_an_outage_with_the_driver_s_words(code: int) -> None:
    """A run that fails for a lock or a restart would be a person's to start again, at night."""
    found = of_driver(code, "the server's words")
    assert isinstance(found, DatabaseUnavailable)
    assert found.transient
    assert f"the server's words ({code})" in str(found)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1045, "user and password are those of"),
        (1044, "user and password are those of"),
        (1142, "needs SELECT, INSERT and UPDATE on glacier_sync_progress"),
        (1049, "asks for it"),
        (2026, "asks for it"),
        (1146, "`ao drs init` makes it"),
        (1064, "the server's words (1064)"),
    ],
)
def test_what_does_not_pass_says_what_to_do(code: int, said: str) -> None:
    """Tried again for hours, a wrong password locks the user out, and nobody learns of it."""
    found = of_driver(code, "the server's words")
    assert not isinstance(found, DatabaseUnavailable)
    assert said in str(found)


def test_a_connection_that_died_in_an_answer_is_an_outage_whatever_is_left_of_the_error() -> None:
    """The driver has half an answer then, and no code, or a code of something else."""
    assert isinstance(of_driver("packet sequence number wrong"), DatabaseUnavailable)
    assert isinstance(of_driver(1064, "half a message", lost=True), DatabaseUnavailable)


def test_a_certificate_that_is_not_trusted_is_told_as_that() -> None:
    """Its code is that of a server which is away, and would be waited for."""
    untrusted = ssl.SSLCertVerificationError("no")
    untrusted.verify_message = "self-signed certificate"
    found = of_driver(2003, "no connection", cause=untrusted)
    assert not isinstance(found, DatabaseUnavailable)
    assert "self-signed certificate" in str(found)


def test_a_file_that_another_writes_to_is_an_outage_and_one_without_the_table_is_not() -> None:
    """SQLite tells kinds of an error apart above the low byte of its number."""

    def of_file(words: str, code: int) -> DatabaseError:
        error = sqlite3.OperationalError(words)
        error.sqlite_errorcode = code
        return database_error(FILE, DBAPIError("SELECT", None, error))

    assert isinstance(of_file("database is locked", 5 | 1 << 8), DatabaseUnavailable)
    assert isinstance(of_file("database table is locked", 6), DatabaseUnavailable)
    assert "`ao drs init` makes it" in str(of_file("no such table: glacier_sync_progress", 1))
    assert type(of_file("disk I/O error", 10)) is DatabaseError
    assert type(database_error(FILE, SimpleNamespace(orig="odd"))) is DatabaseError  # type: ignore[arg-type]
