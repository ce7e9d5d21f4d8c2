"""Backups of Dagster's storage: PostgreSQL's own dump, compressed, proven to be readable, in a folder or on S3.

What belongs here: making, listing, removing and restoring dumps. What does not: when that is done
(``ao_workflows.defs.nightly.backup``), and what is printed (``ao_workflows.cli.backup``).

Which program writes a dump and which reads it, and what a custom-format dump contains: PostgreSQL's manual, pg_dump and
pg_restore.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ao_workflows.errors import BackupError
from ao_workflows.machine.times import moment

if TYPE_CHECKING:
    import dagster as dg

    from ao_workflows.aws.connections import AwsConnection

_NAME = re.compile(r"dagster-(\d{8}T\d{6}Z)\.dump")
_TIME = "%Y%m%dT%H%M%SZ"
_LAST_WORDS = 2000


@dataclass(frozen=True)
class Dump:
    """One backup: its name, when it was begun, and its size in bytes."""

    name: str
    made: datetime
    bytes: int


class BackupStore(Protocol):
    """Where backups are kept."""

    def entries(self) -> list[tuple[str, int]]:
        """Returns the names of what is there, with the sizes in bytes."""

    def put(self, path: Path) -> None:
        """Stores a finished dump under its name."""

    def get(self, name: str, into: Path) -> None:
        """Fetches a dump into the file ``into``."""

    def remove(self, name: str) -> None:
        """Removes a dump."""


class FolderStore:
    """Backups in a folder: a dump appears whole, and is on the disk when ``put`` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def entries(self) -> list[tuple[str, int]]:
        """Returns the files of the folder."""
        if not self.path.is_dir():
            return []
        return [(each.name, each.stat().st_size) for each in self.path.iterdir() if each.is_file()]

    def put(self, path: Path) -> None:
        """Copies the dump under another name, flushes and renames it."""
        self.path.mkdir(parents=True, exist_ok=True)
        under_way = self.path / f".{path.name}.part"
        try:
            with path.open("rb") as source, under_way.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
                out.flush()
                os.fsync(out.fileno())
            under_way.replace(self.path / path.name)
        finally:
            under_way.unlink(missing_ok=True)

    def get(self, name: str, into: Path) -> None:
        """Copies the dump."""
        shutil.copyfile(self.path / name, into)

    def remove(self, name: str) -> None:
        """Removes the file."""
        (self.path / name).unlink(missing_ok=True)


class BucketStore:
    """Backups below an S3 prefix, sent with a checksum that S3 compares."""

    def __init__(self, url: str, connection: AwsConnection) -> None:
        from ao_workflows.aws.connections import make_client

        self._url = url.rstrip("/")
        self._bucket, _, prefix = self._url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client: Any = make_client("s3", connection)

    def __str__(self) -> str:
        return self._url

    def entries(self) -> list[tuple[str, int]]:
        """Returns the objects directly below the prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix, Delimiter="/"
        )
        return [(each["Key"][len(self._prefix) :], each["Size"]) for page in pages for each in page.get("Contents", [])]

    def put(self, path: Path) -> None:
        """Sends the dump in parts, each with its checksum."""
        self._client.upload_file(
            str(path), self._bucket, self._prefix + path.name, ExtraArgs={"ChecksumAlgorithm": "CRC32"}
        )

    def get(self, name: str, into: Path) -> None:
        """Fetches the object."""
        self._client.download_file(self._bucket, self._prefix + name, str(into))

    def remove(self, name: str) -> None:
        """Deletes the object."""
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)


def store_of(to: str | None, aws_credentials: Path | None) -> BackupStore:
    """Returns where a setting says that backups are stored; S3 is reached with the site's default profile.

    :raises BackupError: if the setting names no place.
    """
    if not to:
        raise BackupError("where to? Set [backup] to in site.toml, or give --to")
    if not to.startswith("s3://"):
        return FolderStore(Path(to))
    from ao_workflows.aws.connections import AwsConnection

    return BucketStore(
        to, AwsConnection(region="us-east-1", credentials_file=str(aws_credentials) if aws_credentials else None)
    )


def storage_url(instance: dg.DagsterInstance) -> str:
    """Returns the address of the database with the instance's runs; empty if it is not PostgreSQL."""
    return str(getattr(instance.run_storage, "postgres_url", ""))


def dumps_in(store: BackupStore) -> list[Dump]:
    """Returns the backups that are stored there, the oldest first; files with other names are ignored."""
    found = []
    for name, size in store.entries():
        if (match := _NAME.fullmatch(name)) and (made := moment(match[1])):
            found.append(Dump(name, made, size))
    return sorted(found, key=lambda dump: dump.made)


def make(store: BackupStore, storage_url: str, scratch: Path) -> Dump:
    """Dumps the database, reads the dump from its first byte to its last, and stores it.

    :param scratch: a folder for the dump meanwhile.
    :raises BackupError: with the program's message; then nothing is left in ``scratch``, and nothing was stored.
    """
    begun = datetime.now(UTC).replace(microsecond=0)
    path = scratch / f"dagster-{begun.strftime(_TIME)}.dump"
    try:
        _run("pg_dump", ["--format=custom", "--no-owner", "--no-privileges", f"--file={path}", libpq_url(storage_url)])
        check(path)
        try:
            store.put(path)
            sizes = dict(store.entries())
        except Exception as error:
            raise BackupError(f"{store}: the backup cannot be put there: {error}") from error
        if sizes.get(path.name) != path.stat().st_size:
            raise BackupError(f"{store}: {path.name} is not there as it was sent")
        return Dump(path.name, begun, path.stat().st_size)
    finally:
        path.unlink(missing_ok=True)


def check(path: Path) -> None:
    """Reads a dump whole, as restoring it would.

    :raises BackupError: if it cannot be read, or contains none of Dagster's tables.
    """
    _run("pg_restore", ["--file=/dev/null", str(path)])
    contents = _run("pg_restore", ["--list", str(path)])
    if missing := [table for table in ("runs", "event_logs") if f" TABLE DATA public {table} " not in contents]:
        raise BackupError(f"{path.name}: holds no table {missing[0]}: it is no backup of Dagster's storage")


def prune(store: BackupStore, keep_days: int, now: datetime) -> list[Dump]:
    """Removes the backups that are older than ``keep_days``, but never the last one; returns those that are gone."""
    there = dumps_in(store)
    old = [dump for dump in there[:-1] if dump.made < now - timedelta(days=keep_days)]
    for dump in old:
        store.remove(dump.name)
    return old


def restore(store: BackupStore, name: str, storage_url: str, scratch: Path) -> Dump:
    """Restores a backup into an empty database, whole or not at all.

    :param scratch: a folder for the dump meanwhile.
    :raises BackupError: if there is no such backup, it cannot be read, or the database is not empty.
    """
    there = {dump.name: dump for dump in dumps_in(store)}
    dump = list(there.values())[-1] if name == "latest" and there else there.get(name)
    if dump is None:
        raise BackupError(f"{store}: has no backup {name}; `ao backup list` says which there are")
    url = libpq_url(storage_url)
    count = _sql(url, "select count(*) from information_schema.tables where table_schema = 'public'")
    if count != "0":
        raise BackupError(
            f"the database has {count} tables, and a backup goes into an empty one only: make one with createdb, and "
            f"name it with --into; or --replace the one that is there"
        )
    path = scratch / dump.name
    try:
        store.get(dump.name, path)
        check(path)
        _run("pg_restore", ["--single-transaction", "--exit-on-error", "--no-owner", f"--dbname={url}", str(path)])
    finally:
        path.unlink(missing_ok=True)
    return dump


def put_back(store: BackupStore, name: str, storage_url: str, scratch: Path, now: datetime) -> tuple[Dump, str]:
    """Replaces the database with a backup; the old database is kept under another name, which is returned, too.

    The backup goes into a new database; when that is complete, the two change names, both or neither. Whoever is
    connected to the old one loses the connection. If this is killed, it can be called again.

    :param scratch: a folder for the dump meanwhile.
    :raises BackupError: if there is no such backup, it cannot be read, or PostgreSQL refuses.
    """
    url = libpq_url(storage_url)
    database = unquote(urlsplit(url).path[1:])
    fresh, kept = f"{database}_restored", f"{database}_before_{now:%Y%m%d_%H%M%S}"
    server = _with_database(url, "postgres")
    _sql(server, f"drop database if exists {_name(fresh)}")
    _sql(server, f"create database {_name(fresh)}")
    dump = restore(store, name, _with_database(url, fresh), scratch)
    _sql(server, f"alter database {_name(database)} with allow_connections false")
    try:
        connected = f"from pg_stat_activity where datname = {_text(database)}"
        _sql(server, f"select count(pg_terminate_backend(pid)) {connected}")
        _sql(
            server,
            f"alter database {_name(database)} rename to {_name(kept)}",
            f"alter database {_name(kept)} with allow_connections true",
            f"alter database {_name(fresh)} rename to {_name(database)}",
        )
    except BackupError:
        _sql(server, f"alter database {_name(database)} with allow_connections true")
        raise
    return dump, kept


def libpq_url(storage_url: str) -> str:
    """Returns the database's address as PostgreSQL's own programs read it: without the name of Python's driver.

    :raises BackupError: if it is not a PostgreSQL database.
    """
    scheme, separator, rest = storage_url.partition("://")
    if not separator or scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise BackupError(
            "Dagster's storage is no PostgreSQL database. Where it is SQLite, copy the folder DAGSTER_HOME while "
            "nothing runs"
        )
    return f"postgresql://{rest}"


def _with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(database)}"))


def _name(database: str) -> str:
    return '"' + database.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sql(url: str, *statements: str) -> str:
    """Runs the statements, all or none of them, and returns what the last one says."""
    whole = ["--single-transaction"] if len(statements) > 1 else []  # no database can be made within one
    words = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", *whole]
    return _run("psql", [*words, *(f"--command={each}" for each in statements), url]).strip()


def _run(program: str, words: Sequence[str]) -> str:
    # A password comes from the file that the address names, or from none: nobody is there to be asked.
    never_ask = [] if program == "pg_restore" and not any(word.startswith("--dbname") for word in words) else ["-w"]
    try:
        done = subprocess.run([program, *never_ask, *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BackupError(f"{program} is not installed: Debian has it in postgresql-client") from error
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip()[-_LAST_WORDS:]}")
    return done.stdout
