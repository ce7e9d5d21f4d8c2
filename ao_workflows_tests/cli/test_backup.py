"""``ao backup`` on a real PostgreSQL with Dagster's own tables: made, read again, kept, removed, restored."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text

from ao_workflows.cli import main
from ao_workflows.definitions import build
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows.upkeep import backup

if TYPE_CHECKING:
    from ao_workflows_tests.support.moto_server import Aws
    from ao_workflows_tests.support.postgres_server import Postgres

OLD = "dagster-20200101T000000Z.dump"


def ao(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def instance_on(url: str, home: Path) -> dg.DagsterInstance:
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(
        f"storage:\n  postgres:\n    postgres_url: {url}\ntelemetry:\n  enabled: false\n"
    )
    return dg.DagsterInstance.from_config(str(home))


@dg.asset
def thing() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"digest": "of the work"})


@pytest.fixture(scope="module")
def used(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database of an instance with a run and a materialization in it."""
    url = postgres.database()
    with instance_on(url, tmp_path_factory.mktemp("home")) as instance:
        assert dg.materialize([thing], instance=instance).success
    return url


def test_a_backup_is_restored_into_an_empty_database_with_its_runs_and_materializations(
    used: str, postgres: Postgres, tmp_path: Path
) -> None:
    """A backup that was never restored is a hope."""
    made = ao("backup", "--to", str(tmp_path / "backups"), "--database", used)
    assert made.exit_code == 0, made.output
    (name,) = os.listdir(tmp_path / "backups")
    assert f"{tmp_path}/backups/{name}: " in made.output
    assert name in ao("backup", "list", "--to", str(tmp_path / "backups")).output
    empty = postgres.database()
    restored = ao("backup", "restore", "latest", "--to", str(tmp_path / "backups"), "--into", empty)
    assert restored.exit_code == 0, restored.output
    with instance_on(empty, tmp_path / "home") as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.SUCCESS
        event = instance.get_latest_materialization_event(dg.AssetKey("thing"))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata["digest"].value == "of the work"


def test_a_database_that_is_not_empty_is_left_as_it_is(used: str, tmp_path: Path) -> None:
    """Restored over the living one, a backup would take back what happened since, or half of it."""
    assert ao("backup", "--to", str(tmp_path), "--database", used).exit_code == 0
    refused = ao("backup", "restore", "latest", "--to", str(tmp_path), "--into", used)
    assert refused.exit_code == 1
    assert "goes into an empty one only" in refused.output


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
    assert [(dump.name, dump.made) for dump in backup.dumps_in(backup.Folder(tmp_path))] == [
        (OLD, datetime(2020, 1, 1, tzinfo=UTC))
    ]


def test_old_backups_go_and_the_last_one_and_what_is_no_backup_stay(used: str, tmp_path: Path) -> None:
    """A full disk ends the backups; a last one removed for its age ends them too."""
    for name in (OLD, "dagster-20200102T000000Z.dump", "notes.txt"):
        (tmp_path / name).write_text("old")
    place = backup.Folder(tmp_path)
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--database", "sqlite:////x"), "copy the folder DAGSTER_HOME"),
        (("--database", "postgresql://127.0.0.1:1/d"), "pg_dump failed: "),
    ],
)
def test_what_cannot_be_backed_up_is_said_and_leaves_nothing(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """An empty file by a backup's name is the worst backup of all."""
    refused = ao("backup", "--to", str(tmp_path), *words)
    assert refused.exit_code == 1
    assert said in refused.output
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_not_dagsters_is_no_backup(postgres: Postgres, tmp_path: Path) -> None:
    """The wrong address, dumped every night for a year."""
    refused = ao("backup", "--to", str(tmp_path), "--database", postgres.database())
    assert refused.exit_code == 1
    assert "holds no table runs" in refused.output
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_full_or_not_there_is_said(used: str, tmp_path: Path) -> None:
    """The night's backup must fail loudly."""
    (tmp_path / "file").write_text("in the way")
    refused = ao("backup", "--to", str(tmp_path / "file/backups"), "--database", used)
    assert refused.exit_code == 1
    assert "the backup cannot be put there" in refused.output


def test_backups_go_to_s3_and_come_back(used: str, postgres: Postgres, aws: Aws, tmp_path: Path) -> None:
    """The host's own disk is what a backup is for losing."""
    place = backup.Bucket(f"s3://{aws.make_bucket()}/ao/", aws.connection)
    dump = backup.make(place, used, tmp_path)
    assert [each.name for each in backup.dumps_in(place)] == [dump.name]
    empty = postgres.database()
    assert backup.restore(place, "latest", empty, tmp_path) == dump
    assert postgres.run(urlsplit(empty).path[1:], "select count(*) from runs") == "1\n"
    assert backup.prune(place, 1, datetime.now(UTC) + timedelta(days=9)) == []
    place.remove(dump.name)
    assert backup.dumps_in(place) == []


def test_the_nightly_job_backs_up_the_storage_that_it_runs_on(postgres: Postgres, tmp_path: Path) -> None:
    """A schedule that nobody ran is found out on the day of the restore."""
    text = demo_site(tmp_path, None) + f'[backup]\nto = "{tmp_path}/backups"\n'
    defs = build(parse(text, "the test's site"))
    schedule = defs.resolve_schedule_def("nightly_backup")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    with instance_on(postgres.database(), tmp_path / "home") as instance:
        assert defs.resolve_job_def("back_up").execute_in_process(instance=instance).success
        (event,) = instance.fetch_observations(dg.AssetKey("dagster_backup"), limit=1).records
        (name,) = os.listdir(tmp_path / "backups")
        observation = event.asset_observation
        assert observation is not None
        assert observation.metadata["backup"].value == f"{tmp_path}/backups/{name}"
