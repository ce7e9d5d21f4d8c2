"""DRS: what is recorded and read, on SQLite and on MariaDB alike, and what is done when the database fails."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from ao_workflows.drs.client import Drs
from ao_workflows.drs.parts import row_for
from ao_workflows.errors import DatabaseError, DatabaseUnavailable
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.drs_sites import NOON, Site, site_on

if TYPE_CHECKING:
    from ao_workflows_tests.support.mariadb import MariaDb

pytest_plugins = ["ao_workflows_tests.support.mariadb"]


# The table


# What is recorded


def test_a_stage_sets_its_column_and_leaves_an_entry(site: Site) -> None:
    """The column is what the archive's reports read, the entry what a person reads."""
    for hours, stage in enumerate(Stage):
        site.drs.record("W1", stage, NOON + timedelta(hours=hours), {"bytes": 7}, event="e")
    progress = site.only()
    assert progress.times == {stage: NOON + timedelta(hours=hours) for hours, stage in enumerate(Stage)}
    assert [entry.stage for entry in progress.entries] == list(Stage)
    assert progress.entries[2].at == NOON + timedelta(hours=2)
    assert progress.entries[2].data == {"bytes": 7}
    assert (progress.rid, progress.stage, progress.event) == ("W1", Stage.SYNCED_ARCHIVE, "e")
    assert progress.created
    assert progress.updated
    assert abs(progress.updated - datetime.now(UTC)) < timedelta(minutes=10)


def test_what_is_stored_has_the_form_of_the_contract(site: Site) -> None:
    """The archive's present system reads these rows."""
    site.drs.record("W1", Stage.DOWNLOADED_BAG, NOON.replace(microsecond=5), {"key": "k"}, event="e")
    ((name, stored),) = site.sql("SELECT object_name, user_data FROM glacier_sync_progress")
    assert name == "W1"
    assert json.loads(str(stored)) == [
        {
            "time_stamp": "2026-11-21T12:00:00.000005+00:00",
            "user_data": {"key": "k", "stage": "downloaded_bag", "event": "e"},
        }
    ]


def test_a_time_of_another_zone_is_stored_in_utc(site: Site) -> None:
    """MySQL takes a TIMESTAMP's text to be in the session's zone: the same row would say two times on two hosts."""
    at = datetime(2026, 11, 21, 17, 45, 0, 900_000, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    site.drs.record("W1", Stage.DEBAGGED_WORK, at, {})
    assert site.only().times == {Stage.DEBAGGED_WORK: NOON}
    seconds = "UNIX_TIMESTAMP(debag_complete_on)" if site.on_mariadb else "unixepoch(debag_complete_on)"
    assert site.sql(f"SELECT {seconds} FROM glacier_sync_progress") == [(int(NOON.timestamp()),)]  # noqa: S608


def test_a_time_without_a_zone_is_refused(site: Site) -> None:
    """A naive time would be stored as if it were UTC, hours off."""
    with pytest.raises(ValueError, match="zone"):
        site.drs.record("W1", None, NOON.replace(tzinfo=None), {})


def test_the_same_call_again_changes_nothing(site: Site) -> None:
    """A commit whose answer was lost is tried again, and must not leave two entries or two rows."""
    for stage in (Stage.RESTORE_REQUESTED, Stage.RESTORED_MESSAGE, None):
        event = "" if stage is Stage.RESTORE_REQUESTED else "e"
        for _ in range(2):
            site.drs.record("W1", stage, NOON, {"size": 1.5, "name": "ཀ"}, event=event)
    site.drs.record("W1", Stage.RESTORE_REQUESTED, NOON, {"size": 1.5, "name": "ཀ"})
    assert site.count() == 1
    assert len(site.only().entries) == 3


def test_a_stage_done_again_moves_its_time_and_adds_an_entry(site: Site) -> None:
    """A reprocessed work has to show when it was done last, and that it was done before."""
    for minutes in (0, 5):
        site.drs.record("W1", Stage.SYNCED_ARCHIVE, NOON + timedelta(minutes=minutes), {}, event="e")
    assert site.only().times == {Stage.SYNCED_ARCHIVE: NOON + timedelta(minutes=5)}
    assert [entry.at for entry in site.only().entries] == [NOON, NOON + timedelta(minutes=5)]


def test_a_failures_note_sets_no_column(site: Site) -> None:
    """A note that looked like a stage would show a failed work as done."""
    site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event="e")
    site.drs.record("W1", None, NOON, {"failed": "debagged_work", "why": "one file is wrong"}, event="e")
    progress = site.only()
    assert progress.times == {Stage.RESTORED_MESSAGE: NOON}
    assert progress.entries[-1].data == {"failed": "debagged_work", "why": "one file is wrong"}


def test_what_json_cannot_say_is_stored_as_its_text(site: Site) -> None:
    """A note about a file with a broken name must not be the second failure."""
    site.drs.record("W1", None, NOON, {"path": Path("/a"), "at": NOON, "file": "\udcff.tif", "sign": "𝌆"})
    stored = {"path": "/a", "at": str(NOON), "file": "?.tif", "sign": "𝌆"}
    assert site.only().entries[0].data == stored


# Which row


def test_a_second_restore_begins_another_row(site: Site) -> None:
    """In the old row, the old restore's sync would say that the new one is done before it has begun."""
    for event in ("spring", "autumn", "autumn"):
        site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event=event)
        if event == "spring":
            site.drs.record("W1", Stage.SYNCED_ARCHIVE, NOON, {}, event=event)
    assert site.count() == 2
    assert (site.only().event, site.only().times) == ("autumn", {Stage.RESTORED_MESSAGE: NOON})


def test_a_late_stage_goes_to_the_row_of_its_own_event(site: Site) -> None:
    """The run of an earlier event may be retried after the next event has come."""
    for event in ("spring", "autumn"):
        site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event=event)
    site.drs.record("W1", Stage.DOWNLOADED_BAG, NOON, {}, event="spring")
    rows = site.sql("SELECT download_complete_on IS NOT NULL FROM glacier_sync_progress ORDER BY id")
    assert rows == [(1,), (0,)]


def test_an_event_joins_the_request_that_asked_for_it(site: Site) -> None:
    """Asked for and restored in two rows would show a request that was never answered."""
    site.drs.record("W1", Stage.RESTORE_REQUESTED, NOON, {"tier": "Bulk"})
    site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event="e")
    assert site.count() == 1
    assert site.only().event == "e"


def test_a_request_after_a_restore_begins_another_row(site: Site) -> None:
    """The next restore begins when it is asked for, not when it comes."""
    site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event="spring")
    for minutes in (1, 2):
        site.drs.record("W1", Stage.RESTORE_REQUESTED, NOON + timedelta(minutes=minutes), {})
    assert site.count() == 2
    assert site.only().times == {Stage.RESTORE_REQUESTED: NOON + timedelta(minutes=2)}


def test_a_clock_that_was_set_back_does_not_reorder_a_work_s_rows(site: Site) -> None:
    """A virtual machine's clock steps: the row of the restore before would be taken for the work's."""
    site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event="spring")
    site.sql("UPDATE glacier_sync_progress SET update_time = '2037-01-01 00:00:00'")
    site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event="autumn")
    assert site.only().event == "autumn"


def test_the_row_updated_last_counts(site: Site) -> None:
    """The archive's system may have several rows for a work, and not in the order of their ids."""
    for rid in ("W1", "W2", "W1", "w1"):
        site.sql(f"INSERT INTO glacier_sync_progress (object_name) VALUES ('{rid}')")  # noqa: S608
    site.sql("UPDATE glacier_sync_progress SET update_time = '2027-01-01 00:00:00' WHERE id = 1")
    site.sql("UPDATE glacier_sync_progress SET update_time = '2026-12-01 00:00:00' WHERE id = 3")
    assert [(row.rid, row.row) for row in site.drs.rows()] == [("W1", 1), ("W2", 2), ("w1", 4)]
    assert [row.row for row in site.drs.rows(["W1", "W3"])] == [1]
    assert site.drs.rows([]) == []
    site.drs.record("W1", Stage.DOWNLOADED_BAG, NOON, {})
    assert site.sql("SELECT id FROM glacier_sync_progress WHERE download_complete_on IS NOT NULL") == [(1,)]


# The archive's present system


def test_a_new_event_leaves_what_the_present_system_finished(empty_site: Site) -> None:
    """Its rows name no event; the one of a finished work must not be taken for the new restore's."""
    empty_site.make_table_of_the_present_system()
    for rid, done in (("W1", "sync_complete_on"), ("W2", "restore_complete_on")):
        empty_site.sql(
            f"INSERT INTO glacier_sync_progress (object_name, {done}) VALUES ('{rid}', '2024-05-01 14:00:00')"  # noqa: S608
        )
        empty_site.drs.record(rid, Stage.RESTORED_MESSAGE, NOON, {}, event=f"event of {rid}")
    assert empty_site.count() == 4
    empty_site.sql(
        "INSERT INTO glacier_sync_progress (object_name, restore_complete_on) VALUES ('W3', '2024-05-01 14:00:00')"
    )
    empty_site.drs.record("W3", Stage.DOWNLOADED_BAG, NOON, {}, event="taken over half-way")
    assert empty_site.only("W3").stage is Stage.DOWNLOADED_BAG
    assert Stage.RESTORED_MESSAGE in empty_site.only("W3").times


@pytest.mark.parametrize("stored", ["null", "{}", '{"d1": 1}', '["plain", [1]]', "7"])
def test_user_data_of_another_form_is_kept_and_added_to(site: Site, stored: str) -> None:
    """The present system's first rows hold dicts and plain values; they are someone's record too."""
    site.sql(f"INSERT INTO glacier_sync_progress (object_name, user_data) VALUES ('W1', '{stored}')")  # noqa: S608
    site.drs.record("W1", None, NOON, {"new": True})
    ((text,),) = site.sql("SELECT user_data FROM glacier_sync_progress")
    *before, added = json.loads(str(text))
    found = json.loads(stored)
    assert before == (found if isinstance(found, list) else [found] if found is not None else [])
    assert added["user_data"]["new"] is True
    assert len(site.only().entries) == len(before) + 1


# Several at once


def _start_writers(write: Callable[[int], None], writers: int) -> list[BaseProcess]:
    # Forked on purpose: a worker that forks after a connection was used must not share it
    context = multiprocessing.get_context("fork")
    processes: list[BaseProcess] = [context.Process(target=write, args=(each,)) for each in range(writers)]
    for process in processes:
        process.start()
    return processes


def _await_success(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.join()
        assert process.exitcode == 0


def _append(drs: Drs, count: int) -> Callable[[int], None]:
    def append(writer: int) -> None:
        for number in range(count):
            drs.record("W1", None, NOON, {"writer": writer, "number": number}, event="e")

    return append


def _written(site: Site) -> list[tuple[object, object]]:
    return [(entry.data["writer"], entry.data["number"]) for entry in site.only().entries]


def test_eight_writers_to_one_work_lose_nothing(site: Site) -> None:
    """Read, append, write back: without a lock the later writer throws away the earlier one's entry."""
    site.drs.rows()
    _await_success(_start_writers(_append(site.drs, 10), 8))
    assert site.count() == 1
    assert sorted(_written(site)) == [(writer, number) for writer in range(8) for number in range(10)]
    for writer in range(8):
        assert [number for who, number in _written(site) if who == writer] == list(range(10))


def test_first_writers_that_meet_make_one_row(site: Site) -> None:
    """A row that is not there yet cannot be locked: each of them would find none, and make one."""
    together = multiprocessing.get_context("fork").Barrier(4)

    def write(writer: int) -> None:
        for number in range(6):
            together.wait()
            site.drs.record(f"W{number}", None, NOON, {"writer": writer}, event="e")

    _await_success(_start_writers(write, 4))
    assert site.count() == 6
    assert [len(row.entries) for row in site.drs.rows()] == [4] * 6


# A database that fails


class Recording:
    """A record under way in a thread of its own."""

    def __init__(self, drs: Drs, stage: Stage | None = Stage.SYNCED_ARCHIVE) -> None:
        self.error: BaseException | None = None
        self._drs = drs
        self._stage = stage
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._drs.record("W1", self._stage, NOON, {"n": 1}, event="e")
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.error = error

    def done(self) -> None:
        self._thread.join()
        if self.error:
            raise self.error


def _database(site: Site) -> str:
    return site.url.rpartition("/")[2]


def test_a_row_that_another_holds_for_a_while_is_waited_for(server: MariaDb, server_site: Site) -> None:
    """A person's open transaction in a MySQL shell is no failure of the work."""
    server_site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event="e")
    with closing(server.admin(_database(server_site))) as shell:
        shell.begin()
        shell.query("SELECT * FROM glacier_sync_progress FOR UPDATE")
        recording = Recording(server_site.drs)
        server.await_row_lock()
        shell.commit()
    recording.done()
    assert server_site.only().stage is Stage.SYNCED_ARCHIVE


def test_a_row_of_another_work_that_is_held_holds_up_nobody(server: MariaDb) -> None:
    """A search without an index, as the present system's table has none, locks every row that it passes."""
    site = site_on(server)
    site.make_table_of_the_present_system()
    for rid in ("W1", "W2"):
        site.drs.record(rid, Stage.RESTORED_MESSAGE, NOON, {}, event="e")
    with closing(server.admin(_database(site))) as shell:
        shell.begin()
        shell.query("SELECT * FROM glacier_sync_progress WHERE id = 2 FOR UPDATE")
        replace(site.drs, patience=0).record("W1", Stage.DOWNLOADED_BAG, NOON, {}, event="e")
    assert site.only().stage is Stage.DOWNLOADED_BAG


def test_a_lock_that_is_never_let_go_surfaces_as_an_outage(site: Site, request: pytest.FixtureRequest) -> None:
    """Waiting for ever inside a run holds its place in the queue; the retry policy has to see it."""
    site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event="e")
    hurried = replace(site.drs, patience=0)
    if site.on_mariadb:
        server: MariaDb = request.getfixturevalue("mariadb_server")
        with closing(server.admin(_database(site))) as shell:
            shell.begin()
            shell.query("SELECT * FROM glacier_sync_progress FOR UPDATE")
            with pytest.raises(DatabaseUnavailable, match="held by another"):
                hurried.record("W1", Stage.SYNCED_ARCHIVE, NOON, {}, event="e")
    else:
        with closing(sqlite3.connect(site.url.removeprefix("sqlite:///"))) as shell:
            shell.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailable, match="locked by another writer") as caught:
                hurried.record("W1", Stage.SYNCED_ARCHIVE, NOON, {}, event="e")
            assert caught.value.transient
    site.drs.record("W1", Stage.SYNCED_ARCHIVE, NOON, {}, event="e")


def test_a_deadlock_is_tried_again(server: MariaDb, server_site: Site) -> None:
    """InnoDB ends one of the two: the server's own advice is to try that one again."""
    database = _database(server_site)
    server_site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event="e")
    server.run("CREATE TABLE audit (id INT PRIMARY KEY, n INT)", database=database)
    server.run("INSERT INTO audit SELECT seq, 0 FROM seq_1_to_500", database=database)
    server.run(
        "CREATE TRIGGER counted BEFORE UPDATE ON glacier_sync_progress FOR EACH ROW"
        " UPDATE audit SET n = n + 1 WHERE id = 1",
        database=database,
    )
    with closing(server.admin(database)) as shell, shell.cursor() as cursor:
        shell.begin()
        # The transaction that has changed fewer rows is the one that is ended: ours
        cursor.execute("UPDATE audit SET n = n + 1")
        recording = Recording(server_site.drs)
        server.await_row_lock()
        cursor.execute("SELECT * FROM glacier_sync_progress FOR UPDATE")
        shell.commit()
    recording.done()
    assert "LATEST DETECTED DEADLOCK" in str(server.run("SHOW ENGINE INNODB STATUS")[0][2])
    assert server.run("SELECT n FROM audit WHERE id = 1", database=database) == [(2,)]
    assert server_site.only().stage is Stage.SYNCED_ARCHIVE


@pytest.fixture
def strict_snapshots(server: MariaDb) -> Iterator[None]:
    """As MariaDB is from 11.6.2 on; a server that does not know the setting is tested as it is."""
    known = bool(server.run("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"))
    if known:
        server.run("SET GLOBAL innodb_snapshot_isolation = ON")
    yield
    if known:
        server.run("SET GLOBAL innodb_snapshot_isolation = OFF")


@pytest.mark.usefixtures("strict_snapshots")
def test_a_row_that_another_changes_after_the_look_at_it_is_added_to(
    server: MariaDb, server_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with strict snapshots refuses the lock of a row that was written since, and the stage's note is lost."""
    server_site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event="e")

    def look_and_be_overtaken(*arguments: Any) -> Any:
        server.run("UPDATE glacier_sync_progress SET user_data = '[7]'", database=_database(server_site))
        return row_for(*arguments)

    monkeypatch.setattr("ao_workflows.drs.client.row_for", look_and_be_overtaken)
    replace(server_site.drs, patience=0).record("W1", Stage.SYNCED_ARCHIVE, NOON, {}, event="e")
    progress = server_site.only()
    assert (progress.stage, len(progress.entries)) == (Stage.SYNCED_ARCHIVE, 2)


def test_a_server_whose_binary_log_has_statements_is_written_to(
    mariadb_server_with_a_log_of_statements: MariaDb,
) -> None:
    """Such a server refuses every write of a transaction that is READ COMMITTED."""
    site = site_on(mariadb_server_with_a_log_of_statements)
    assert site.drs.init()
    assert "has 0 rows" in site.drs.check()
    for stage in (Stage.RESTORED_MESSAGE, Stage.SYNCED_ARCHIVE):
        site.drs.record("W1", stage, NOON, {}, event="e")
    assert site.only().stage is Stage.SYNCED_ARCHIVE


def test_a_user_with_too_many_connections_is_waited_for(server: MariaDb, server_site: Site) -> None:
    """A night's many works reach a user's limit together, and each of them goes when another has ended."""
    database = _database(server_site)
    user = f"limited_{database}"
    server.run(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY '{server.password}' WITH MAX_USER_CONNECTIONS 1")
    server.run(f"GRANT ALL ON {database}.* TO {user}@'127.0.0.1'")
    limited = Site(server_site.url.replace(f"//{server.user}:", f"//{user}:"))
    with create_engine(limited.url, poolclass=NullPool).connect():
        with pytest.raises(DatabaseUnavailable, match="the user's limit is reached"):
            replace(limited.drs, patience=0).rows()
        recording = Recording(limited.drs)
    recording.done()
    assert server_site.only().stage is Stage.SYNCED_ARCHIVE


def test_a_connection_that_is_cut_is_opened_again(server: MariaDb, server_site: Site) -> None:
    """Firewalls and administrators cut connections; the stage's work must not be thrown away for it."""
    server_site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event="e")
    with closing(server.admin(_database(server_site))) as shell:
        shell.begin()
        shell.query("SELECT * FROM glacier_sync_progress FOR UPDATE")
        recording = Recording(server_site.drs)
        server.run(f"KILL CONNECTION {server.await_row_lock()}")
        shell.commit()
    recording.done()
    progress = server_site.only()
    assert (progress.stage, len(progress.entries)) == (Stage.SYNCED_ARCHIVE, 2)


def test_a_server_killed_under_its_writers_loses_and_doubles_nothing(server: MariaDb, server_site: Site) -> None:
    """A commit may be cut off before or after it was done, and the writer cannot know which."""
    patient = replace(server_site.drs, patience=60)
    processes = _start_writers(_append(patient, 20), 4)
    for enough in (10, 40):
        while len(server_site.drs.rows()) == 0 or len(server_site.only().entries) < enough:
            assert any(process.is_alive() for process in processes)
        server.kill()
        server.start()
    _await_success(processes)
    assert server_site.count() == 1
    assert sorted(_written(server_site)) == [(writer, number) for writer in range(4) for number in range(20)]


def test_a_database_that_is_down_surfaces_and_is_written_to_when_it_is_back(server: MariaDb, server_site: Site) -> None:
    """Down for an hour, it is Dagster's retries that wait: they go on only for an error that says it may pass."""
    hurried = replace(server_site.drs, patience=0.2)
    server.kill()
    for ask in (hurried.check, hurried.rows, lambda: hurried.record("W1", None, NOON, {})):
        with pytest.raises(DatabaseUnavailable, match=rf"127\.0\.0\.1:{server.port}.*no connection") as caught:
            ask()
        assert caught.value.transient
        assert server.password not in str(caught.value)
    server.start()
    hurried.record("W1", Stage.SYNCED_ARCHIVE, NOON, {}, event="e")
    assert server_site.only().stage is Stage.SYNCED_ARCHIVE


def test_no_connection_is_held_between_calls(server: MariaDb, server_site: Site) -> None:
    """A night's transfers would hold one each, idle, until the server has no more or cuts them off."""
    server_site.drs.record("W1", None, NOON, {})
    server_site.drs.rows()
    # The server needs a moment to see that a client has gone
    while server.run("SELECT id FROM information_schema.processlist WHERE user = %s", server.user):
        pass


def test_a_missing_sqlite_file_is_not_made_by_a_question(tmp_path: Path) -> None:
    """SQLite makes an empty file at the first connection: a mistyped path would be a database without works."""
    drs = Drs(url=f"sqlite:///{tmp_path / 'deep' / 'drs.sqlite'}")
    with pytest.raises(DatabaseError, match="no such file"):
        drs.rows()
    assert list(tmp_path.iterdir()) == []
    assert drs.init()
    assert drs.rows() == []


def test_importing_the_client_imports_no_driver() -> None:
    """Every run's process and every tick pays for what the definitions import."""
    code = "import ao_workflows.drs.client, sys; sys.exit(bool({'sqlalchemy', 'pymysql'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Asking for what is not done
