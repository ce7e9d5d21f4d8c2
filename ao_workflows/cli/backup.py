"""``ao backup``: Dagster's storage, which knows every run and materialization, dumped and brought back.

What belongs here: arguments, what is printed, exit codes. What does not: the dumps (``ao_workflows.upkeep.backup``).
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ao_workflows import clients

if TYPE_CHECKING:
    from ao_workflows.upkeep.backup import BackupStore

_PLACE = click.option("--to", "to", metavar="PLACE", help="A folder, or s3://bucket/prefix.  [backup.to in site.toml]")


@click.group(invoke_without_command=True)
@_PLACE
@click.option("--database", metavar="URL", help="The database to dump.  [that of DAGSTER_HOME]")
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    help="Remove older ones, but not the last.  [backup.keep_days; none, with --to]",
)
@click.pass_context
def backup(context: click.Context, to: str | None, database: str | None, keep_days: int | None) -> None:
    """Back up Dagster's storage, a PostgreSQL database, and read the backup again from first byte to last.

    Exits with 0 if it is there and can be read, 1 if not, 2 if the command was not understood.
    """
    if context.invoked_subcommand is None:
        _make(to, database, keep_days)


@backup.command("list")
@_PLACE
def list_command(to: str | None) -> None:
    """Say which backups there are."""
    from ao_workflows.upkeep.backup import dumps_in

    store, _ = _place(to)
    found = dumps_in(store)
    for dump in found:
        click.echo(f"{dump.name}  {dump.made:%Y-%m-%d %H:%M} UTC  {dump.bytes / 1e6:10.1f} MB")
    if not found:
        click.echo(f"{store} has none.")


@backup.command("restore")
@click.argument("name", metavar="NAME|latest")
@_PLACE
@click.option("--into", "database", metavar="URL", help="The empty database that it goes into.")
@click.option("--replace", metavar="URL", help="The database whose place it takes; that one is kept by another name.")
def restore_command(name: str, to: str | None, database: str | None, replace: str | None) -> None:
    """Put a backup into an empty database, or in the place of one that is there; whole or not at all.

    No service of Dagster's may run meanwhile.
    """
    from ao_workflows.upkeep import backup as backups

    if (database is None) == (replace is None):
        raise click.UsageError("either --into an empty database, or --replace one that is there?")

    store, _ = _place(to)
    kept = ""
    with tempfile.TemporaryDirectory() as scratch:
        if database is not None:
            dump = backups.restore(store, name, database, Path(scratch))
        else:
            dump, kept = backups.put_back(store, name, str(replace), Path(scratch), datetime.now(UTC))
    click.echo(f"{dump.name} is restored: what Dagster knew at {dump.made:%Y-%m-%d %H:%M} UTC.")
    if kept:
        click.echo(f"What was there until now is the database {kept}: dropdb {kept}, when nobody wants it.")
    else:
        click.echo("Name that database in dagster.yaml, run `dagster instance migrate`, and start the daemon.")


def _make(to: str | None, database: str | None, keep_days: int | None) -> None:
    from ao_workflows.upkeep import backup as backups

    store, days = _place(to)
    with tempfile.TemporaryDirectory() as scratch:
        dump = backups.make(store, database or _storage(), Path(scratch))
    click.echo(f"{store}/{dump.name}: {dump.bytes / 1e6:.1f} MB, read again")
    days = keep_days or days
    for old in backups.prune(store, days, datetime.now(UTC)) if days else ():
        click.echo(f"{old.name} is removed: it is older than {days} days")


def _storage() -> str:
    """Returns the address of the storage of the instance in DAGSTER_HOME."""
    import dagster as dg

    from ao_workflows.errors import BackupError
    from ao_workflows.upkeep.backup import storage_url

    try:
        with dg.DagsterInstance.get() as instance:
            return storage_url(instance)
    except dg.DagsterError as error:
        raise BackupError(f"Dagster's instance cannot be opened: {error}; --database names one") from error


def _place(to: str | None) -> tuple[BackupStore, int | None]:
    """Returns where backups are kept, and for how many days; None for the days if a person named the place."""
    from ao_workflows.site.loading import load
    from ao_workflows.upkeep.backup import store_of

    if to is not None and not to.startswith("s3://"):
        return store_of(to, None), None
    site = load()
    return clients.backup_place(site, to), None if to else site.backup.keep_days
