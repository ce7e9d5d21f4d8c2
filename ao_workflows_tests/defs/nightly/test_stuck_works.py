"""The night's look at all works: what it tells of, and what of it a person sees."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from ao_workflows.clients import resources
from ao_workflows.definitions import build
from ao_workflows.defs.nightly import stuck_works as watch
from ao_workflows.defs.nightly.stuck_works import stuck_works
from ao_workflows.site.sections import WatchSection
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import TrialSite, bag_zip
from ao_workflows_tests.support.works_in_trouble import queue, queueing_site

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, aws: Aws) -> Iterator[TrialSite]:
    """One work that stopped two days ago, one that Glacier was asked for an hour ago, one that waits in the queue with
    a copy that its event says ends in an hour and S3 in three days.
    """
    with queueing_site(tmp_path_factory.mktemp("watch"), aws) as trial:
        trial.drs.record("W1NLM4701", Stage.DOWNLOADED_BAG, NOW - timedelta(days=2), {}, event="e")
        trial.drs.record("W1NLM4702", Stage.RESTORE_REQUESTED, NOW - timedelta(hours=1), {})
        trial.drs.record("W1NLM4703", Stage.SYNCED_ARCHIVE, NOW - timedelta(days=9), {}, event="f")
        body = json.loads(trial.restore("W1NLM4712", bag_zip("W1NLM4712", {"a": b"x"})))
        ends = (NOW + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
        body["Records"][0]["glacierEventData"] = {"restoreEventData": {"lifecycleRestorationExpiryTime": ends}}
        queue(trial, "W1NLM4712", json.dumps(body))
        yield trial


def _look(site: TrialSite, **others: Any) -> tuple[dict[str, Any], dict[str, dg.AssetCheckEvaluation]]:
    """The metadata and the checks, by their names, of one night's look."""
    clients = {name: client for name, client in resources(site.site).items() if name in ("staging", "drs", "s3")}
    result = dg.materialize(
        [stuck_works(WatchSection(**others))], instance=site.instance, resources=clients, raise_on_error=True
    )
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    return dict(metadata), {found.check_name: found for found in result.get_asset_check_evaluations()}


def _rows(metadata: dict[str, Any], table: str) -> dict[str, dict[str, Any]]:
    return {record.data["work"]: dict(record.data) for record in metadata[table].records}


def test_a_work_that_stopped_fails_the_check_and_is_in_the_table_with_what_to_do(site: TrialSite) -> None:
    """Nothing fails where nothing happens: a work without a run would be missed for ever."""
    metadata, checks = _look(site)
    assert list(_rows(metadata, "stuck works")) == ["W1NLM4701"]
    row = _rows(metadata, "stuck works")["W1NLM4701"]
    assert row["where it stands"] == "restored_message stopped"
    assert row["what to do"].endswith("ao restore request W1NLM4701")
    assert not checks["no_work_is_stuck"].passed
    assert checks["no_work_is_stuck"].description == "1 work is stuck"


def test_the_site_says_how_long_glacier_may_take(site: TrialSite) -> None:
    """Bulk takes two days where Expedited takes minutes."""
    metadata, _ = _look(site, restore_hours=0.5)
    assert set(_rows(metadata, "stuck works")) == {"W1NLM4701", "W1NLM4702"}


def _aged(site: TrialSite, rid: str, days: int) -> None:
    """Nothing has touched the work's row for so long."""
    at = f"{NOW - timedelta(days=days):%Y-%m-%d %H:%M:%S}"
    with closing(sqlite3.connect(str(site.site.drs.url).removeprefix("sqlite:///"))) as table, table:
        done = table.execute(
            "UPDATE glacier_sync_progress SET create_time = ?, update_time = ?, restore_requested_on = ? "
            "WHERE object_name = ?",
            (at, at, at, rid),
        )
        assert done.rowcount == 1


def _forget(site: TrialSite, *rids: str) -> None:
    with closing(sqlite3.connect(str(site.site.drs.url).removeprefix("sqlite:///"))) as table, table:
        table.executemany("DELETE FROM glacier_sync_progress WHERE object_name = ?", [(rid,) for rid in rids])


@pytest.mark.parametrize("days", [31, 300])
def test_a_work_that_is_stuck_for_long_is_told_of_behind_many_newer_ones(
    site: TrialSite, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longer it is stuck, the more likely nobody knows of it any more: the check must not pass by then."""
    monkeypatch.setattr(watch, "LOOKED_AT", 5)
    newer = [f"W1NLM48{number:02d}" for number in range(9)]
    try:
        site.drs.record("W1NLM4799", Stage.RESTORE_REQUESTED, NOW - timedelta(days=days), {})
        _aged(site, "W1NLM4799", days)
        for rid in newer:
            site.drs.record(rid, Stage.RESTORE_REQUESTED, NOW, {})
        metadata, checks = _look(site)
        assert "W1NLM4799" in _rows(metadata, "stuck works")
        assert str(checks["no_work_is_stuck"].description).endswith("; only the newest 5 of a kind were looked at")
    finally:
        _forget(site, "W1NLM4799", *newer)


def test_a_look_that_was_cut_does_not_pass(site: TrialSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not looked at may be stuck: "none found" is not "none there"."""
    monkeypatch.setattr(watch, "LOOKED_AT", 2)
    _, checks = _look(site, stuck_hours=999)
    assert not any(check.passed for check in checks.values())
    assert checks["no_work_is_stuck"].description == "no works are stuck; only the newest 2 of a kind were looked at"


def test_every_restored_copy_is_asked_for_though_a_table_shows_the_first(
    site: TrialSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that ends tonight may be the hundred and first."""
    monkeypatch.setattr(watch, "SHOWN", 0)
    metadata, checks = _look(site, expiring_days=5)
    assert not checks["no_restore_ends_unused"].passed
    assert metadata["ending"].value == 1
    assert metadata["restored copies that end"].records == []


def test_what_cannot_be_read_does_not_pass_for_what_is_well(site: TrialSite) -> None:
    """One work's folder that may not be entered keeps neither the others from being looked at, nor the check red."""
    receipts = site.layout.receipt("W1NLM4702", "restored_message").parent
    receipts.parent.mkdir(parents=True, exist_ok=True)
    receipts.write_text("a file where a folder should be")
    try:
        metadata, checks = _look(site, stuck_hours=999)
        assert metadata["works looked at"].value == 3
        assert not checks["no_work_is_stuck"].passed
        assert f"{receipts}/restored_message.json: cannot be read: Not a directory" in str(
            checks["no_work_is_stuck"].description
        )
    finally:
        receipts.unlink()


def test_a_night_without_trouble_passes_both_checks(site: TrialSite) -> None:
    """A check that is always red is not looked at."""
    metadata, checks = _look(site, stuck_hours=999)
    assert all(check.passed for check in checks.values())
    assert metadata["stuck works"].records == []


def test_a_copy_that_ends_before_its_work_had_its_turn_is_told_by_what_s3_says(site: TrialSite) -> None:
    """Its days may have been prolonged since the event: S3 knows, the event does not."""
    _, prolonged = _look(site, expiring_days=2)
    assert prolonged["no_restore_ends_unused"].passed
    metadata, ending = _look(site, expiring_days=5)
    assert not ending["no_restore_ends_unused"].passed
    said = _rows(metadata, "restored copies that end")["W1NLM4712"]["its restored copy"]
    assert said.startswith("ends on ")
    assert said.endswith(("in 71 h", "in 70 h"))


def test_times_that_no_calendar_has_end_no_look(site: TrialSite) -> None:
    """One event with such an end, or one row of another system's, and nobody learnt of any stuck work any more."""
    body = json.loads(site.restore("W1NLM4713", bag_zip("W1NLM4713", {"a": b"x"})))
    ends = {"lifecycleRestorationExpiryTime": "9999-12-31T23:59:59-23:59"}
    body["Records"][0]["glacierEventData"] = {"restoreEventData": ends}
    run_id = queue(site, "W1NLM4713", json.dumps(body))
    for rid in ("W1NLM4714", "W1NLM4715"):
        site.drs.record(rid, Stage.RESTORE_REQUESTED, NOW, {})
    with closing(sqlite3.connect(str(site.site.drs.url).removeprefix("sqlite:///"))) as table, table:
        for rid, said in (("W1NLM4714", "never"), ("W1NLM4715", "0000-00-00 00:00:00")):
            table.execute(
                "UPDATE glacier_sync_progress SET restore_requested_on = ?, create_time = ? WHERE object_name = ?",
                (said, said, rid),
            )
    try:
        metadata, checks = _look(site, expiring_days=3650)
    finally:
        site.instance.delete_run(run_id)
        _forget(site, "W1NLM4714", "W1NLM4715")
    assert metadata["works looked at"].value == 6
    assert "W1NLM4701" in _rows(metadata, "stuck works")
    assert not checks["no_restore_ends_unused"].passed
    assert _rows(metadata, "restored copies that end")["W1NLM4713"]["its restored copy"].endswith(
        ("in 71 h", "in 70 h"),
    ), "S3 is asked where the event says nothing that can be used"


def test_a_copy_that_is_gone_is_told(site: TrialSite) -> None:
    """Its run would fail when its turn comes, days from now."""
    key = "Archive0/12/W1NLM4712/W1NLM4712.bag.zip"
    held = site.aws.s3.get_object(Bucket=site.intake.bucket, Key=key)["Body"].read()
    site.aws.s3.put_object(Bucket=site.intake.bucket, Key=key, Body=held, StorageClass="GLACIER")
    try:
        metadata, checks = _look(site)
    finally:
        site.aws.s3.restore_object(Bucket=site.intake.bucket, Key=key, RestoreRequest={"Days": 3})
    assert not checks["no_restore_ends_unused"].passed
    assert "has expired" in _rows(metadata, "restored copies that end")["W1NLM4712"]["its restored copy"]


def test_an_s3_that_does_not_answer_is_told_beside_what_the_event_says(site: TrialSite) -> None:
    """A night without S3 must not pass for a night without trouble."""
    away = site.site.intake["demo"].model_copy(update={"endpoint_url": "http://127.0.0.1:9"})
    other = site.site.model_copy(update={"intake": {"demo": away}})
    metadata, _ = _look(TrialSite(site.folder, other, site.aws, site.instance))
    said = _rows(metadata, "restored copies that end")["W1NLM4712"]["its restored copy"]
    assert "by its event" in said
    assert "127.0.0.1:9" in said


def test_the_schedule_is_off_until_the_site_names_an_hour(site: TrialSite) -> None:
    """A site that reads no checks need not make them."""

    def schedule(**section: Any) -> dg.ScheduleDefinition:
        definitions = build(site.site.model_copy(update={"watch": WatchSection(**section)}))
        found = definitions.resolve_schedule_def("nightly_watch")
        assert isinstance(found, dg.ScheduleDefinition)
        return found

    assert schedule().default_status is dg.DefaultScheduleStatus.STOPPED
    on = schedule(nightly="23:05")
    assert on.default_status is dg.DefaultScheduleStatus.RUNNING
    assert (on.cron_schedule, on.execution_timezone) == ("5 23 * * *", "UTC")
    assert on.job_name == "watch_works"
