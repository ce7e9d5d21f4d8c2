"""``ao drs init``: made where it is missing, looked at where it is there, and never altered."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from ao_workflows.cli import main
from ao_workflows.site.demo import demo_site

if TYPE_CHECKING:
    from ao_workflows_tests.support.mariadb import MariaDb


def ao_drs_init(folder: Path, url: str, *words: str) -> Result:
    text = demo_site(folder, None).replace(f"sqlite:///{folder}/drs.sqlite", url)
    (folder / "site.toml").write_text(text)
    return CliRunner().invoke(main, ["drs", "init", *words], env={"AO_SITE": f"{folder}/site.toml"})


def test_the_table_is_made_once_and_then_found(tmp_path: Path, mariadb_server: MariaDb) -> None:
    """It is in every deployment's script, and run at each."""
    for url in (f"sqlite:///{tmp_path}/more/drs.sqlite", mariadb_server.url(mariadb_server.make_database())):
        made, there = ao_drs_init(tmp_path, url), ao_drs_init(tmp_path, url)
        assert made.stdout.startswith("The table was made: ")
        assert there.stdout.startswith("The table is there: ")
        assert "glacier_sync_progress has 0 rows" in there.stdout
        assert (made.exit_code, there.exit_code) == (0, 0)
        assert json.loads(ao_drs_init(tmp_path, url, "--json").stdout)["made"] is False


def test_a_table_that_is_not_right_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    """The archive's other systems write to it."""
    path = tmp_path / "drs.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE glacier_sync_progress (id INTEGER PRIMARY KEY, object_name TEXT)")
        connection.commit()
    before = path.read_bytes()
    result = ao_drs_init(tmp_path, f"sqlite:///{path}")
    assert result.exit_code == 1
    assert "has no column restore_requested_on" in result.stderr
    assert "never altered" in result.stderr
    assert path.read_bytes() == before


def test_a_database_that_refuses_is_told_without_its_password(tmp_path: Path, mariadb_server: MariaDb) -> None:
    """What is printed at a deployment is kept in logs."""
    url = mariadb_server.url("drs").replace(mariadb_server.password, "x" + mariadb_server.password)
    result = ao_drs_init(tmp_path, url)
    assert result.exit_code == 1
    assert "Access denied" in result.stderr
    assert mariadb_server.password not in result.output


def test_a_folder_that_cannot_be_made_is_told_with_its_reason(tmp_path: Path) -> None:
    """It ended in a traceback, whose last line did not say that a database was meant."""
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path}/file/below/drs.sqlite"
    result = ao_drs_init(tmp_path, url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"its folder {tmp_path}/file/below cannot be made: Not a directory; see " in result.stderr
    assert "cannot be made" in json.loads(ao_drs_init(tmp_path, url, "--json").stdout)["error"]
