"""The table that is DRS: made once, or used as it is, and its rows in their order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.drs_sites import NOON, Site

if TYPE_CHECKING:
    pass


def test_all_rows_of_one_work_are_read_those_updated_last_first(site: Site) -> None:
    """What was synced may be in any of them; and another work's, whose name differs in case alone, is none of them."""
    for number, event in enumerate(("first", "second", "third")):
        site.drs.record("W1", Stage.SYNCED_ARCHIVE, NOON + timedelta(hours=number), {"n": number}, event=event)
    site.drs.record("w1", Stage.SYNCED_ARCHIVE, NOON, {}, event="other")
    site.drs.record("W1", None, NOON, {"held": "why"}, event="second")
    site.sql("UPDATE glacier_sync_progress SET update_time = '2026-11-22 00:00:00'")
    site.sql("UPDATE glacier_sync_progress SET update_time = '2026-11-23 00:00:00' WHERE id = 2")
    assert [row.event for row in site.drs.rows_of("W1")] == ["second", "third", "first"]
    assert [entry.data for entry in site.drs.rows_of("W1")[0].entries] == [{"n": 1}, {"held": "why"}]
    assert site.drs.rows_of("W2") == []


def test_the_table_is_made_once(empty_site: Site) -> None:
    """`ao drs init` run on a site that has its table must leave it, and say so."""
    assert empty_site.drs.init()
    empty_site.drs.record("W1", None, NOON, {})
    assert not empty_site.drs.init()
    assert empty_site.count() == 1


def test_more_works_are_asked_for_than_a_statement_takes(site: Site) -> None:
    """A list of 40,000 works must not pass the limit of a statement's parameters."""
    site.drs.record("W39999", None, NOON, {})
    assert [row.rid for row in site.drs.rows([f"W{number}" for number in range(40_000)])] == ["W39999"]


def test_the_table_of_the_present_system_is_used_as_it_is(empty_site: Site) -> None:
    """A site switches without touching its database, and its old programs go on reading it."""
    empty_site.make_table_of_the_present_system()
    definition = "SHOW CREATE TABLE glacier_sync_progress" if empty_site.on_mariadb else "SELECT sql FROM sqlite_master"
    before = empty_site.sql(definition)
    assert not empty_site.drs.init()
    old = '[{"time_stamp": "2024-05-01T10:00:00-04:00", "user_data": {"provider": "manual"}}]'
    empty_site.sql(
        "INSERT INTO glacier_sync_progress (object_name, restore_requested_on, user_data)"  # noqa: S608
        f" VALUES ('W1', '2024-05-01 14:00:00', '{old}')"
    )
    empty_site.drs.record("W1", Stage.RESTORED_MESSAGE, NOON, {}, event="e")
    progress = empty_site.only()
    assert progress.row == 1
    assert progress.times[Stage.RESTORE_REQUESTED] == datetime(2024, 5, 1, 14, tzinfo=UTC)
    assert progress.entries[0].at == datetime(2024, 5, 1, 14, tzinfo=UTC)
    assert (progress.entries[0].data, progress.entries[0].event) == ({"provider": "manual"}, "")
    ((stored,),) = empty_site.sql("SELECT user_data FROM glacier_sync_progress")
    assert json.loads(str(stored))[0] == json.loads(old)[0]
    assert empty_site.sql(definition)[0][0] == before[0][0]
    assert "has 1 row" in empty_site.drs.check()


def test_the_works_without_a_sync_are_found_latest_first_and_counted(site: Site) -> None:
    """Among a hundred thousand works that are done, the few that are not must be found without reading all."""
    for number, rid in enumerate(("W1", "W2", "W3"), 1):
        site.drs.record(rid, Stage.RESTORED_MESSAGE, NOON, {}, event=f"e{number}")
    site.drs.record("W2", Stage.SYNCED_ARCHIVE, NOON, {}, event="e2")
    long_ago = datetime.now(UTC) - timedelta(days=1)
    assert sorted(site.drs.unfinished(long_ago, 10)) == ["W1", "W3"]
    assert len(site.drs.unfinished(long_ago, 1)) == 1
    assert site.drs.unfinished(datetime.now(UTC) + timedelta(hours=1), 10) == []
    assert site.drs.counts() == (3, 1)
