"""DRS, the archive's database: the one client of its table ``glacier_sync_progress``.

What belongs here: connecting, writing and reading, and what is tried again when the database fails. What does not: how
the database is named (``config``), what the table is (``table``), what a driver's error means (``failures``), and which
row an entry belongs to (``rows``).
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import random
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ao_workflows.drs.check import check_table
from ao_workflows.drs.config import Database, named_database
from ao_workflows.drs.failures import database_error
from ao_workflows.drs.parts import columns, row_for
from ao_workflows.drs.rows import DrsRow, entry_of, stored_entry, stored_list
from ao_workflows.drs.table import TABLE, latest_first, parsed_row, progress_table, unfinished_first
from ao_workflows.errors import AoError, DatabaseError, DatabaseUnavailable
from ao_workflows.works.stages import Stage

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

CONNECT_SECONDS = 5
LOCK_SECONDS = 3
ANSWER_SECONDS = 30
LONGEST_DELAY = 2.0

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Drs:
    """The archive's database, named by a URL or by ``section:/path/to/db_apps.config``.

    It is no resource with a configuration: Dagster stores that, and shows it to whoever may look at its page, and a URL
    may have a password in it.

    Each call opens its own connection and closes it, so that none is held while files move, and each takes
    what may pass (a deadlock, a lost connection, a server that restarts) for ``patience`` seconds before it
    raises ``DatabaseUnavailable``.
    """

    url: str | None = field(default=None, repr=False)
    config: str | None = None
    patience: float = 15.0

    def init(self) -> bool:
        """Makes the table if it is missing, and returns whether it was.

        :raises DatabaseError: if the database refuses, ``DatabaseUnavailable`` if it does not answer.
        """
        database = self._database()
        if database.is_sqlite:
            folder = Path(database.where).parent
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                said = f"its folder {folder} cannot be made: {error.strerror}; see {database.source}"
                raise DatabaseError(database.where, said) from error

        def make(connection: Connection) -> bool:
            from sqlalchemy import inspect

            _one_writer_at_a_time(connection, database, "init")
            if inspect(connection).has_table(TABLE):
                return False
            progress_table(connection.dialect.name).create(connection)
            return True

        return self._attempt(database, make, writes=True)

    def record(
        self, rid: str, stage: Stage | None, at: datetime, data: Mapping[str, object], *, event: str = ""
    ) -> None:
        """Notes in one transaction that a stage was done: sets its column and adds an entry to ``user_data``.

        Calling it again with the same arguments changes nothing.

        :param stage: None adds the entry only, such as that of a failure.
        :param at: with a time zone.
        :param data: anything that JSON has a form for; ``part`` names the part that it is about (see ``parts``).
        :param event: the restore event's identity. The row with that event is written to; if there is none, a new row
            is begun, so that the columns of an earlier restore stay as they are. Without an event it is the row updated
            last.
        :raises ValueError: if ``at`` has no time zone.
        :raises DatabaseError: if the database refuses, ``DatabaseUnavailable`` if it does not answer.
        """
        if at.tzinfo is None:
            raise ValueError("a time without its zone cannot be compared with the database's")
        database = self._existing_database()
        entry = stored_entry(stage, at, data, event)

        def write(connection: Connection) -> None:
            _one_writer_at_a_time(connection, database, rid)
            table = progress_table(connection.dialect.name)
            rows = _rows_of(connection, table, rid)
            if not database.is_sqlite:
                # MariaDB 11.6.2 and later refuse to lock a row that another has written since the transaction's
                # first look. READ COMMITTED would do too, but not on a server whose binary log has statements
                connection.commit()
            parsed = entry_of(entry)
            row = row_for(rid, rows, stage, parsed)
            times = {done.column: _second(at) for done, at in columns(rid, row, stage, parsed).items()}
            updated = _not_before(rows)
            if row:
                _add(connection, table, row.row, times | {"update_time": updated}, entry)
            else:
                values = {"object_name": rid, "user_data": json.dumps([entry]), "update_time": updated, **times}
                connection.execute(table.insert().values(values))

        self._attempt(database, write, writes=True)

    def rows(self, rids: Sequence[str] | None = None) -> list[DrsRow]:
        """Returns of each work the row that was updated last, in the order of the RIDs: of the works named, or of all.

        :raises DatabaseError: if the database refuses, ``DatabaseUnavailable`` if it does not answer.
        """

        def read(connection: Connection) -> list[DrsRow]:
            latest: dict[str, DrsRow] = {}
            for query in latest_first(progress_table(connection.dialect.name), rids):
                for row in connection.execute(query):
                    if row.object_name is not None and row.object_name not in latest:
                        latest[row.object_name] = parsed_row(row)
            # A MySQL database compares names without case, RIDs have it
            wanted = latest.keys() if rids is None else latest.keys() & set(rids)
            return [latest[rid] for rid in sorted(wanted)]

        return self._attempt(self._existing_database(), read, writes=False)

    def rows_of(self, rid: str) -> list[DrsRow]:
        """Returns all rows of one work, one for each of its restores, those updated last first.

        :raises DatabaseError: if the database refuses, ``DatabaseUnavailable`` if it does not answer.
        """

        def read(connection: Connection) -> list[DrsRow]:
            return _rows_of(connection, progress_table(connection.dialect.name), rid)

        return self._attempt(self._existing_database(), read, writes=False)

    def unfinished(self, since: datetime, most: int, before: datetime | None = None) -> list[str]:
        """Returns the RIDs in the rows without a sync, those updated last first.

        A RID may come more than once, and another row of that work may have the sync.

        :param since: only rows that were updated since then; ``before`` leaves out those updated later than that.
        :param most: how many rows at most.
        :raises DatabaseError: if the database refuses, ``DatabaseUnavailable`` if it does not answer.
        """

        def read(connection: Connection) -> list[str]:
            query = unfinished_first(progress_table(connection.dialect.name), since, most, before)
            return [row.object_name for row in connection.execute(query)]

        return self._attempt(self._existing_database(), read, writes=False)

    def counts(self) -> tuple[int, int]:
        """Returns how many rows the table has, and how many of them have a sync.

        :raises DatabaseError: if the database refuses, ``DatabaseUnavailable`` if it does not answer.
        """

        def read(connection: Connection) -> tuple[int, int]:
            from sqlalchemy import func, select

            table = progress_table(connection.dialect.name)
            synced = table.columns[Stage.SYNCED_ARCHIVE.column]
            rows, done = connection.execute(select(func.count(), func.count(synced)).select_from(table)).one()
            return rows, done

        return self._attempt(self._existing_database(), read, writes=False)

    def check(self) -> str:
        """Connects, looks at the table and at what this user may do with it, and returns a sentence about it; changes
        no row.

        :raises DatabaseError: if something is missing, ``DatabaseUnavailable`` if the database does not answer.
        """
        database = self._existing_database()

        return self._attempt(database, lambda connection: check_table(connection, database), writes=True)

    def _database(self) -> Database:
        # Read at every call: a password that was changed in the option file holds from the next call on
        return named_database(self.url, self.config)

    def _existing_database(self) -> Database:
        database = self._database()
        # SQLite would make an empty one
        if database.is_sqlite and not Path(database.where).is_file():
            raise DatabaseError(database.where, "there is no such file; `ao drs init` makes it")
        return database

    def _attempt(self, database: Database, action: Callable[[Connection], T], *, writes: bool) -> T:
        """``action`` in a transaction of its own, from the start again while what stops it may pass."""
        from sqlalchemy.exc import DBAPIError

        until = time.monotonic() + self.patience
        delay = 0.05
        while True:
            try:
                with _connected(database) as connection:
                    if writes and database.is_sqlite:
                        # A transaction that reads first and asks to write later is refused if another has
                        # written in between
                        connection.exec_driver_sql("BEGIN IMMEDIATE")
                    result = action(connection)
                    connection.commit()
                    return result
            except (DBAPIError, DatabaseUnavailable) as error:
                failure = database_error(database, error) if isinstance(error, DBAPIError) else error
                pause = delay * random.uniform(0.5, 1.5)  # noqa: S311 - so that writers do not meet again
                if not failure.transient or time.monotonic() + pause > until:
                    raise failure from (None if failure is error else error)
                _log.warning("%s; trying again", failure)
            time.sleep(pause)
            delay = min(delay * 2, LONGEST_DELAY)


def _connected(database: Database) -> Connection:
    """A connection.

    The driver tells what the server refuses. What it cannot use, or half a handshake, ends in Python's own errors.
    """
    from sqlalchemy.exc import DBAPIError

    try:
        return _engine(database).connect()
    except (AoError, DBAPIError):
        raise
    except (IndexError, struct.error) as error:
        cut = f"the server's greeting was cut short: {error}; see {database.source}"
        raise DatabaseUnavailable(database.where, cut) from error
    except Exception as error:  # noqa: BLE001 - whatever comes of an option or a value
        # Not chained: what cannot be encoded is in the error, and it may be the password
        raise DatabaseError(database.source, _unusable(database, error)) from None


def _unusable(database: Database, error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"its user, password or database has a letter that {error.encoding} lacks, and the driver sends no other"
    options = ", ".join(sorted(database.url.query))
    # What follows the first line may be of a file with a password
    said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    tls = "; for TLS there are ssl_ca, ssl_capath, ssl_cert, ssl_key and ssl_cipher" if "ssl" in options else ""
    return f"cannot be used to connect{options and f', with the options {options}'}: {said}{tls}"


@functools.lru_cache(maxsize=8)
def _engine(database: Database) -> Engine:
    """One engine a process and database. It holds no connection, so a fork may inherit it."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    if database.is_sqlite:
        return create_engine(
            database.url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": LOCK_SECONDS}
        )
    arguments: dict[str, object] = {
        "charset": "utf8mb4",
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": ANSWER_SECONDS,
        "write_timeout": ANSWER_SECONDS,
        # TIMESTAMP columns are written and read in the session's time zone
        "init_command": f"SET time_zone = '+00:00', innodb_lock_wait_timeout = {LOCK_SECONDS}",
    }
    if database.socket:
        arguments["unix_socket"] = database.socket
    if database.tls and database.tls.mode == "disabled":
        arguments["ssl_disabled"] = True
    elif database.tls:
        try:
            arguments["ssl"] = database.tls.context()
        except OSError as error:
            raise DatabaseError(database.source, f"its ssl- files cannot be used: {error}") from error
    return create_engine(database.url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)


def _one_writer_at_a_time(connection: Connection, database: Database, name: str) -> None:
    """Wait for any other writer of ours to the same work. The lock goes with the connection.

    A row cannot be locked before it is there: two first writers to one work would make two rows of it. SQLite
    has one writer at a time to begin with.
    """
    from sqlalchemy import text

    if database.is_sqlite:
        return
    # At most 64 characters, and the same for all databases of a server
    lock = "drs-" + hashlib.sha256(f"{database.url.database}/{name}".encode()).hexdigest()[:32]
    got = connection.execute(text("SELECT GET_LOCK(:lock, :seconds)"), {"lock": lock, "seconds": LOCK_SECONDS})
    if got.scalar() != 1:
        raise DatabaseUnavailable(database.where, f"another writer has held {name} for {LOCK_SECONDS} s")


def _rows_of(connection: Connection, table: Table, rid: str) -> list[DrsRow]:
    """All rows of a work, those updated last first. A MySQL database compares names without case, RIDs have it."""
    (query,) = latest_first(table, [rid])
    return [parsed_row(row) for row in connection.execute(query) if row.object_name == rid]


def _second(at: datetime) -> datetime:
    """A time as a column has it: in whole seconds, to which MySQL would round it up."""
    return at.astimezone(UTC).replace(tzinfo=None, microsecond=0)


def _not_before(rows: Sequence[DrsRow]) -> Any:
    """The time, and no earlier than the work's other rows: a clock that is set back must not reorder them."""
    from sqlalchemy import DateTime, case, func, literal

    latest = max((at.replace(tzinfo=None) for row in rows if (at := row.updated or row.created)), default=None)
    if latest is None:
        return func.current_timestamp()
    other = literal(latest, DateTime)
    return case((other > func.current_timestamp(), other), else_=func.current_timestamp())


def _add(connection: Connection, table: Table, row: int, times: Mapping[str, Any], entry: dict[str, object]) -> None:
    """Set a row's times and append to its ``user_data``, unless all of that is there."""
    here = table.columns.id == row
    # The archive's own systems write too: the row is locked, and what it holds now is what is added to
    now = connection.execute(table.select().where(here).with_for_update()).one()
    entries = stored_list(now.user_data)
    if entry in entries and all(getattr(now, column) == at for column, at in times.items() if column != "update_time"):
        return
    if entry not in entries:
        entries.append(entry)
    values = {"user_data": json.dumps(entries), **times}
    connection.execute(table.update().where(here).values(values))
