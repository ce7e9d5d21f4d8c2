"""``ao backup`` on a real PostgreSQL with Dagster's own tables: made, read again, kept, removed, restored."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ao_workflows.cli import main
from ao_workflows.upkeep import backup
from ao_workflows_tests.support.instances import instance_on

if TYPE_CHECKING:
    from ao_workflows_tests.support.moto_server import Aws
    from ao_workflows_tests.support.postgres_server import Postgres


def ao(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


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


def test_a_place_that_is_full_or_not_there_is_said(used: str, tmp_path: Path) -> None:
    """The night's backup must fail loudly."""
    (tmp_path / "file").write_text("in the way")
    refused = ao("backup", "--to", str(tmp_path / "file/backups"), "--database", used)
    assert refused.exit_code == 1
    assert "the backup cannot be put there" in refused.output


def test_backups_go_to_s3_and_come_back(used: str, postgres: Postgres, aws: Aws, tmp_path: Path) -> None:
    """The host's own disk is what a backup is for losing."""
    place = backup.BucketStore(f"s3://{aws.make_bucket()}/ao/", aws.connection)
    dump = backup.make(place, used, tmp_path)
    assert [each.name for each in backup.dumps_in(place)] == [dump.name]
    empty = postgres.database()
    assert backup.restore(place, "latest", empty, tmp_path) == dump
    assert postgres.run(urlsplit(empty).path[1:], "select count(*) from runs") == "1\n"
    assert backup.prune(place, 1, datetime.now(UTC) + timedelta(days=9)) == []
    place.remove(dump.name)
    assert backup.dumps_in(place) == []
