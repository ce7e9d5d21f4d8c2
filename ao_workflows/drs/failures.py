"""What a database driver's errors mean: which of them may pass by themselves, and what to do about the others.

What belongs here: the meaning of error numbers. What does not: trying again, which is ``ao_workflows.drs.client``'s.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from ao_workflows.drs.config import Database
from ao_workflows.drs.table import TABLE
from ao_workflows.errors import DatabaseError, DatabaseUnavailable

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

_PASSING = {
    1020: "the row was changed by another",
    1040: "too many connections",
    1053: "the server is shutting down",
    1077: "the server is shutting down",
    1079: "the server is shutting down",
    1152: "the connection was aborted",
    1158: "the network failed",
    1159: "the network failed",
    1160: "the network failed",
    1161: "the network failed",
    1203: "too many connections of this user",
    1205: "a lock is held by another",
    1213: "a deadlock",
    1226: "the user's limit is reached",
    1290: "the server takes no writes for now",
    1317: "the query was interrupted",
    1836: "the server takes no writes for now",
    1927: "the connection was killed",
    2003: "no connection",
    2006: "the connection was lost",
    2013: "the connection was lost",
    4031: "the connection was lost",
}
"""Errors of MySQL, MariaDB and their client that may pass by themselves, and what they mean.

https://mariadb.com/kb/en/mariadb-error-codes/, https://dev.mysql.com/doc/mysql-errors/8.4/en/
"""

_SQLITE_PASSING = {5: "the file is locked by another writer", 6: "the table is locked by another writer"}

_DENIED = (1044, 1045, 1698)
_NOT_GRANTED = (1142, 1143)
_NO_DATABASE = 1049
_NO_TABLE = 1146
_NO_TLS = 2026


def no_table(database: Database) -> DatabaseError:
    """Returns the error for a database without the table."""
    return DatabaseError(database.where, f"there is no table {TABLE}; `ao drs init` makes it")


def database_error(database: Database, error: DBAPIError) -> DatabaseError:
    """Returns the platform's error for a driver's error: ``DatabaseUnavailable`` if it may pass by itself."""
    return _sqlite_error(database, error) if database.is_sqlite else _mysql_error(database, error)


def _sqlite_error(database: Database, error: DBAPIError) -> DatabaseError:
    # The low byte; the others tell kinds of it apart. https://sqlite.org/rescode.html
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code in _SQLITE_PASSING:
        return DatabaseUnavailable(database.where, _SQLITE_PASSING[code])
    if "no such table" in str(error.orig):
        return no_table(database)
    return DatabaseError(database.where, str(error.orig))


def _mysql_error(database: Database, error: DBAPIError) -> DatabaseError:
    arguments = error.orig.args if error.orig else ()
    code, said = arguments if len(arguments) == 2 else (0, str(error.orig))  # noqa: PLR2004
    cause = getattr(error.orig, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        untrusted = f"the server's certificate is not trusted: {cause.verify_message}; see {database.source}"
        return DatabaseError(database.where, untrusted)
    if code in _PASSING:
        return DatabaseUnavailable(database.where, f"{_PASSING[code]}: {said} ({code})")
    # A server that dies in the middle of an answer leaves the driver with half of it, and no code
    if error.connection_invalidated or not code:
        return DatabaseUnavailable(database.where, f"the connection was lost: {said}")
    if code == _NO_TABLE:
        return no_table(database)
    if code in _DENIED:
        reason = f"{said} ({code}); user and password are those of {database.source}"
    elif code in _NOT_GRANTED:
        reason = f"{said} ({code}); the user needs SELECT, INSERT and UPDATE on {TABLE}"
    elif code in (_NO_DATABASE, _NO_TLS):
        reason = f"{said} ({code}); {database.source} asks for it"
    else:
        reason = f"{said} ({code})"
    return DatabaseError(database.where, reason)
