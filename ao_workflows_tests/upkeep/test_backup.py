"""Backups of Dagster's storage: whole or none, and never in the place of something better."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text

from ao_workflows.cli import main
from ao_workflows.upkeep import backup

if TYPE_CHECKING:
    from ao_workflows_tests.support.postgres_server import Postgres


OLD = "dagster-20200101T000000Z.dump"


def ao(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_a_backup_takes_the_place_of_a_database_which_is_kept(used: str, postgres: Postgres, tmp_path: Path) -> None:
    """After an upgrade that failed, what ran must run again with what it knew; and nothing may be lost by a mistake."""
    url = postgres.database()
    name = urlsplit(url).path[1:]
    assert ao("backup", "--to", str(tmp_path), "--database", used).exit_code == 0
    postgres.run(name, "create table later (a int)")
    # A restore that was killed left this one; and a service that nobody stopped holds the old one open.
    postgres.run("postgres", f"create database {name}_restored")
    connection = create_engine(url).connect()
    try:
        connection.execute(text("select 1"))
        done = ao("backup", "restore", "latest", "--to", str(tmp_path), "--replace", url)
    finally:
        connection.invalidate()
    assert done.exit_code == 0, done.output
    assert postgres.run(name, "select count(*) from runs") == "1\n"
    (kept,) = re.findall(rf"is the database ({name}_before_\d+_\d+)", done.output)
    assert postgres.run(kept, "select count(*) from later") == "0\n"
    assert f"{name}_restored" not in postgres.run("postgres", "select datname from pg_database").split()


def test_a_damaged_backup_takes_nothing_s_place(used: str, postgres: Postgres, tmp_path: Path) -> None:
    """The way back must not be the way down."""
    url = postgres.database()
    name = urlsplit(url).path[1:]
    postgres.run(name, "create table later (a int)")
    assert ao("backup", "--to", str(tmp_path), "--database", used).exit_code == 0
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:5000])
    refused = ao("backup", "restore", "latest", "--to", str(tmp_path), "--replace", url)
    assert refused.exit_code == 1
    assert "pg_restore failed" in refused.output
    assert postgres.run(name, "select count(*) from later") == "0\n"


@pytest.mark.parametrize("damage", ["cut", "emptied", "changed"])
def test_a_damaged_backup_is_refused_and_the_database_stays_empty(
    used: str, postgres: Postgres, tmp_path: Path, damage: str
) -> None:
    """Half a restore looks like a whole one until somebody misses a run."""
    assert ao("backup", "--to", str(tmp_path), "--database", used).exit_code == 0
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    middle = len(content) * 3 // 4
    path.write_bytes(
        {"cut": content[:middle], "emptied": b"", "changed": content[:middle] + bytes(64) + content[middle + 64 :]}[
            damage
        ]
    )
    empty = postgres.database()
    refused = ao("backup", "restore", path.name, "--to", str(tmp_path), "--into", empty)
    assert refused.exit_code == 1
    assert "pg_restore failed" in refused.output
    name = urlsplit(empty).path[1:]
    assert postgres.run(name, "select count(*) from information_schema.tables where table_schema = 'public'") == "0\n"


def test_a_name_with_no_date_in_it_is_no_backup(tmp_path: Path) -> None:
    """One such file in the folder ended each night's backup after it was made, and no old one went any more."""
    for name in (OLD, "dagster-20261399T250000Z.dump", "dagster-00000000T000000Z.dump"):
        (tmp_path / name).write_text("old")
    assert [(dump.name, dump.made) for dump in backup.dumps_in(backup.FolderStore(tmp_path))] == [
        (OLD, datetime(2020, 1, 1, tzinfo=UTC))
    ]


def test_old_backups_go_and_the_last_one_and_what_is_no_backup_stay(used: str, tmp_path: Path) -> None:
    """A full disk ends the backups; a last one removed for its age ends them too."""
    for name in (OLD, "dagster-20200102T000000Z.dump", "notes.txt"):
        (tmp_path / name).write_text("old")
    place = backup.FolderStore(tmp_path)
    assert [dump.name for dump in backup.prune(place, 30, datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=99))] == [
        OLD
    ]
    told = ao("backup", "--to", str(tmp_path), "--database", used, "--keep-days", "30")
    assert "dagster-20200102T000000Z.dump is removed: it is older than 30 days" in told.output
    left = sorted(os.listdir(tmp_path))
    assert len(left) == 2
    (tmp_path / OLD).write_text("old")
    told = ao("backup", "--to", str(tmp_path), "--database", used)
    assert "is removed" not in told.output, "nobody said for how long"
    assert left[1] == "notes.txt"


def test_a_database_that_is_not_dagsters_is_no_backup(postgres: Postgres, tmp_path: Path) -> None:
    """The wrong address, dumped every night for a year."""
    refused = ao("backup", "--to", str(tmp_path), "--database", postgres.database())
    assert refused.exit_code == 1
    assert "holds no table runs" in refused.output
    assert list(tmp_path.iterdir()) == []
