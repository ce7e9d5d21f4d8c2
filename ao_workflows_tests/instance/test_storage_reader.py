"""The archivists' page and PostgreSQL: a user that reads, a database that refuses all else, and a page that works."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
import sqlalchemy

from ao_workflows.instance import storage_reader
from ao_workflows.instance.dagster_processes import make_tables, webserver
from ao_workflows.instance.storage_reader import USER, make_reader, verifier
from ao_workflows.machine.processes import free_port
from ao_workflows_tests.support.instances import instance_on
from ao_workflows_tests.support.postgres import Postgres

CODE = """
import dagster as dg

WORKS = dg.DynamicPartitionsDefinition(name="works")

@dg.asset(partitions_def=WORKS)
def thing() -> None:
    \"\"\"Something that a work has.\"\"\"

defs = dg.Definitions(assets=[thing])
"""

REFUSED = r"permission denied|must be (owner|(a )?superuser)|must have"

WORKS = dg.DynamicPartitionsDefinition(name="works")


@dg.asset(partitions_def=WORKS)
def thing() -> None:
    """Something that a work has."""


@dataclass
class Storage:
    """A storage with a run of a work in it, and the user that reads it."""

    server: Postgres
    url: str
    passfile: Path
    home: Path

    @property
    def reading(self) -> str:
        """The storage's address for the user that reads."""
        place = sqlalchemy.make_url(self.url)
        return f"postgresql+psycopg2://{USER}@127.0.0.1:{place.port}/{place.database}?passfile={self.passfile}"

    def connect(self) -> Any:
        connection = psycopg2.connect(self.reading.replace("+psycopg2", ""))
        connection.autocommit = True
        return connection


def instance_of_deployment(url: str, home: Path) -> dg.DagsterInstance:
    """As the services have it."""
    with instance_on(url, home):
        pass
    settings = (home / "dagster.yaml").read_text()
    of_class = "instance_class:\n  module: ao_workflows.instance.cancelling\n  class: CancellingInstance\n"
    (home / "dagster.yaml").write_text(settings + of_class)
    return dg.DagsterInstance.from_config(str(home))


@pytest.fixture(scope="module")
def storage(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    folder = tmp_path_factory.mktemp("reader")
    passfile = folder / "viewer-pgpass"
    passfile.write_text(f"*:*:*:{USER}:{secrets.token_urlsafe(24)}\n")
    passfile.chmod(0o600)
    made = Storage(postgres, postgres.database(), passfile, folder / "home")
    with instance_of_deployment(made.url, made.home) as instance:
        make_tables(instance)
        instance.run_storage.get_run_storage_id()  # type: ignore[attr-defined]
        instance.add_dynamic_partitions("works", ["W1", "W2"])
        assert dg.materialize([thing], partition_key="W1", instance=instance).success
        assert make_reader(instance, passfile) == []
        assert make_reader(instance, passfile) == [], "at the next start"
    yield made
    postgres.run(str(sqlalchemy.make_url(made.url).database), f"DROP OWNED BY {USER}")
    postgres.run("postgres", f"DROP ROLE {USER}")


def test_the_user_reads_every_table_and_those_that_a_migration_makes(storage: Storage) -> None:
    """After an update the page would show an error for what is new."""
    database = str(sqlalchemy.make_url(storage.url).database)
    storage.server.run(database, "CREATE TABLE made_later (number int); INSERT INTO made_later VALUES (7)")
    with closing(storage.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        assert {"runs", "event_logs", "asset_keys", "made_later"} <= set(tables)
        for table in tables:
            cursor.execute(f'SELECT count(*) FROM "{table}"')  # noqa: S608


@pytest.mark.parametrize(
    "write",
    [
        "INSERT INTO kvs (key, value) VALUES ('a', 'b')",
        "UPDATE runs SET run_body = '{}'",
        "UPDATE asset_keys SET cached_status_data = NULL",
        "DELETE FROM event_logs",
        "TRUNCATE runs",
        "DROP TABLE runs",
        "ALTER TABLE runs ADD COLUMN more int",
        "SELECT id FROM runs FOR UPDATE",
        "BEGIN; LOCK TABLE runs",
        "SELECT nextval('runs_id_seq')",
        "CREATE TABLE mine (number int)",
        "CREATE TEMPORARY TABLE mine (number int)",
        "CREATE SCHEMA mine",
        "CREATE DATABASE mine",
        "CREATE ROLE other",
        f"ALTER ROLE {USER} SUPERUSER",
        "SET ROLE dagster",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'many bytes')",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY runs TO PROGRAM 'id'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'dagster'",
        "SELECT count(pg_advisory_lock(number)) FROM generate_series(1, 100000) number",
        "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
        "SELECT pg_logical_emit_message(false, 'a', repeat('much', 1000))",
        "SET temp_file_limit = -1",
    ],
)
def test_whatever_it_does_besides_reading_the_database_refuses(storage: Storage, write: str) -> None:
    """Whoever has taken the archivists' page over had the storage, and with it every run that was still to come."""
    of_others = psycopg2.connect(storage.url.replace("+psycopg2", ""))  # it is there to be ended
    with closing(of_others), closing(storage.connect()) as reading, pytest.raises(psycopg2.Error, match=REFUSED):
        reading.cursor().execute(write)


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_it_may_not_connect_to_another_database(storage: Storage, database: str) -> None:
    """There it could make tables and large objects, and fill the disk on which the storage is."""
    address = sqlalchemy.make_url(storage.reading.replace("+psycopg2", "")).set(database=database)
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(address.render_as_string(hide_password=False)).close()


def test_what_it_has_sorted_fills_no_disk(storage: Storage) -> None:
    """A page that has been taken over could have PostgreSQL write as much as there is room for."""
    most = "SELECT setting::bigint * 1024 FROM pg_settings WHERE name = 'temp_file_limit'"
    with closing(storage.connect()) as reading, reading.cursor() as cursor:
        cursor.execute(most)
        assert cursor.fetchall() == [(1 << 30,)]
    limit = f"ALTER ROLE {USER} SET temp_file_limit = "
    storage.server.run("postgres", f"{limit}'1MB'")  # it is the same limit, and soon reached
    full = pytest.raises(psycopg2.Error, match="temporary file size exceeds temp_file_limit")
    with closing(storage.connect()) as reading, reading.cursor() as cursor, full:
        cursor.execute("SELECT repeat('a', 1000) || n FROM generate_series(1, 40000) n ORDER BY 1 OFFSET 39999")
    storage.server.run("postgres", f"{limit}'1GB'")


@pytest.fixture(scope="module")
def page(storage: Storage) -> Iterator[str]:
    """The archivists' page, as docker-compose.yml starts it, by the user that reads."""
    home = storage.home.with_name("page")
    with instance_of_deployment(storage.reading, home):
        pass
    (home / "works.py").write_text(CODE)
    port = free_port()
    words = webserver(port, "-f", str(home / "works.py"), read_only=True)
    with (home / "log").open("wb") as log:
        served = subprocess.Popen(
            [sys.executable, *words], cwd=home, env={"DAGSTER_HOME": str(home), "PATH": ""}, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"{address}/server_info", timeout=5).close()  # noqa: S310
                break
            except OSError:
                assert served.poll() is None, (home / "log").read_text()
                assert time.monotonic() < until, "the page does not answer"
                time.sleep(0.2)
        yield address
    finally:
        served.terminate()
        served.wait()


def ask(page: str, query: str) -> dict[str, Any]:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{page}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        found = json.load(answer)
    assert "errors" not in found, found
    return dict(found["data"])


QUESTIONS = """{
  assetNodes { assetKey { path } partitionStats { numMaterialized numFailed numPartitions }
    assetPartitionStatuses { __typename ... on DefaultPartitionStatuses { materializedPartitions } }
    assetMaterializations { runId partition } }
  runsOrError { __typename ... on Runs { results { runId status eventConnection { events { __typename } } } } }
  instance { daemonHealth { allDaemonStatuses { daemonType healthy } } hasInfo runQueuingSupported }
  workspaceOrError { __typename ... on Workspace { locationEntries { name loadStatus } } }
  partitionBackfillsOrError { __typename }
  capturedLogsMetadata(logKey: ["none"]) { stdoutLocation }
}"""


def test_the_page_shows_works_and_runs_and_asks_the_database_for_nothing_that_it_refuses(
    storage: Storage, page: str
) -> None:
    """It notes the states of partitions in the storage on the way, and would show an error where that is refused."""
    log = storage.server.log
    before = len(log.read_text())
    with urllib.request.urlopen(page, timeout=60) as answer:  # noqa: S310
        assert b"Dagster" in answer.read()
    for _ in range(2):
        found = ask(page, QUESTIONS)
        (node,) = found["assetNodes"]
        assert node["partitionStats"] == {"numMaterialized": 1, "numFailed": 0, "numPartitions": 2}
        assert node["assetPartitionStatuses"]["materializedPartitions"] == ["W1"]
        (run,) = found["runsOrError"]["results"]
        assert run["status"] == "SUCCESS"
        assert found["workspaceOrError"]["locationEntries"][0]["loadStatus"] == "LOADED"
    assert [line for line in log.read_text()[before:].splitlines() if "ERROR" in line] == []


def test_without_its_own_word_the_page_would_have_been_refused(storage: Storage) -> None:
    """Else the test above shows nothing."""
    with instance_of_deployment(storage.reading, storage.home.with_name("asks")) as instance:
        assert not instance.event_log_storage.can_write_asset_status_cache()
    with instance_of_deployment(storage.url, storage.home) as instance:
        assert instance.event_log_storage.can_write_asset_status_cache()


def test_a_password_is_stored_as_postgresql_stores_it(storage: Storage) -> None:
    """In its own form, so that the password is in no statement, and in no log of statements."""
    word = storage.passfile.read_text().strip().rpartition(":")[2]
    stored = storage.server.run("postgres", f"SELECT rolpassword FROM pg_authid WHERE rolname = '{USER}'").strip()  # noqa: S608
    assert stored.startswith("SCRAM-SHA-256$4096:")
    assert word not in stored
    assert verifier("a", b"salt" * 4) == verifier("a", b"salt" * 4) != verifier("b", b"salt" * 4)


def test_what_postgresql_refuses_is_told_and_stops_no_page(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On a site's own server the administrator makes the user: the operators' page must start all the same."""
    with instance_of_deployment(storage.reading, tmp_path / "home"):
        pass
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(storage_reader, "PASSFILE", storage.passfile)
    monkeypatch.setattr(sys, "argv", ["storage_reader", "a-page", "--option"])
    became: list[Any] = []
    monkeypatch.setattr(storage_reader.os, "execvp", lambda *words: became.append(words))
    storage_reader.main()
    assert became == [("a-page", ["a-page", "--option"])]
    assert f"The user {USER} of the archivists' page: PostgreSQL says: " in capfd.readouterr().err
