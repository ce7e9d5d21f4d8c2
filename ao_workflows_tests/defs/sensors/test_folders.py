"""A folder's sensor, tick by tick, and its works' runs, with a real instance; and all of it killed at each step."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from ao_workflows.defs.sensors import folders as folder_sensors
from ao_workflows.defs.sensors.folders import folder_sensor
from ao_workflows.errors import FolderError, WrongEnvironment
from ao_workflows.events.dropped_files import DroppedFile, given_in
from ao_workflows.intake import file_writers
from ao_workflows.intake.folder_rules import QUIET_SECONDS, FolderCursor
from ao_workflows.staging.receipt_files import read_receipts
from ao_workflows.staging.staging import Staging
from ao_workflows.status.evidence import event_in_force
from ao_workflows.status.expiring import undownloaded
from ao_workflows.status.gathering import EvidenceSources, of_works
from ao_workflows.status.runs import stored_event_config
from ao_workflows.status.standing import StuckLimits, standing_of
from ao_workflows.status.state import WorkState
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.folder_sites import FolderSite, folder_site, killed_before_step
from ao_workflows_tests.support.sites import PAGE, bag_zip

RID = "W1NLM4712"
NAME = f"{RID}.bag.zip"
FILES = {"images/W1NLM4712-I1/0001.jpg": PAGE, "empty.txt": b""}

NEWER = FILES | {"more.txt": b"new"}
"""A file more: rsync does not look into one, such as a manifest, that has the size and the time of the one before."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FolderSite]:
    with folder_site(tmp_path / "site") as trial:
        yield trial


def _partitions(result: dg.SensorResult) -> list[str | None]:
    return [request.partition_key for request in result.run_requests or ()]


def _said(result: dg.SensorResult) -> str:
    assert result.skip_reason
    return str(result.skip_reason.skip_message)


def _archived(site: FolderSite, rid: str) -> dict[str, bytes]:
    place = site.place(rid)
    return {name: (place / name).read_bytes() for name in FILES if (place / name).exists()}


def test_a_dropped_zip_goes_through_the_four_stages_and_its_original_goes(site: FolderSite) -> None:
    """The whole of it: the same assets, checks and rows as for a queue, and receipts that tell what was taken."""
    site.put(NAME, bag_zip(RID, FILES))
    first = site.tick()
    assert _partitions(first) == [RID]
    (saved,) = site.saved()
    (done,) = site.run_requested(first)
    assert done.success
    assert _archived(site, RID) == FILES
    checked = {check.check_name: check for check in done.get_asset_check_evaluations()}
    # Nothing states a checksum of a dropped file.
    warned = checked.pop("is_what_s3_holds")
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert checked.keys() == {"is_a_valid_bag", "is_in_the_archive"}
    assert all(check.passed for check in checked.values()), checked
    (row,) = site.drs.rows([RID])
    assert {Stage.RESTORED_MESSAGE, Stage.DOWNLOADED_BAG, Stage.DEBAGGED_WORK, Stage.SYNCED_ARCHIVE} == set(row.times)
    assert row.entries[0].data["file"] == f"{site.drop}/save/{saved}"
    stored = read_receipts(site.layout, RID).restored
    assert stored
    assert isinstance(stored.event, DroppedFile)
    assert stored.event.file == saved
    assert site.saved() == []
    assert not site.layout.zip(RID).exists()
    last = site.tick(first.cursor)
    assert "0 files found" in _said(last)
    assert FolderCursor.parse(last.cursor) == FolderCursor()


def test_the_run_of_a_claim_is_asked_for_until_it_is_there(site: FolderSite) -> None:
    """A daemon may die between the claim and the request, or before the run is made."""
    site.put(NAME, bag_zip(RID, FILES))
    first = site.tick()
    again = site.tick(first.cursor)
    anew = site.tick(None)
    keys = {request.run_key for result in (first, again, anew) for request in result.run_requests or ()}
    assert len(keys) == 1
    site.run_requested(again)
    assert not site.tick(again.cursor).run_requests
    assert not site.tick(None).run_requests


def test_the_oldest_file_comes_first_and_no_more_than_there_is_room_for(
    site: FolderSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder keeps files for ever; Dagster's queue of thousands helps nobody."""
    for number in range(4):
        site.put(f"W1NLM471{number}.zip", b"x", age=100 * number)
    monkeypatch.setattr(folder_sensors, "BATCH", 2)
    first = site.tick()
    assert _partitions(first) == ["W1NLM4713", "W1NLM4712"]
    for _ in range(site.site.max_queued_runs):
        create_run_for_test(site.instance, status=dg.DagsterRunStatus.NOT_STARTED)
    full = site.tick(first.cursor)
    assert sorted(os.listdir(site.drop)) == ["W1NLM4710.zip", "W1NLM4711.zip", "save"]
    assert _partitions(full) == ["W1NLM4713", "W1NLM4712"], "they are claimed: they are this sensor's to run"


def test_a_full_run_queue_leaves_all_in_the_folder_and_says_so(site: FolderSite) -> None:
    """Whoever wonders why nothing is taken reads it in the tick."""
    for _ in range(site.site.max_queued_runs):
        create_run_for_test(site.instance, status=dg.DagsterRunStatus.NOT_STARTED)
    site.put(NAME, b"x")
    assert "the run queue is full (100), the rest waits in the folder" in _said(site.tick())
    assert site.saved() == []


def test_what_is_not_taken_is_named_with_its_reason(site: FolderSite) -> None:
    """A person who dropped it looks there."""
    for name, data in {"notes.txt": b"x", "W 1.zip": b"x", "W2.zip": b""}.items():
        (site.drop / name).write_bytes(data)
    (site.drop / "W3.zip").symlink_to("/etc/passwd")
    os.mkfifo(site.drop / "W4.zip")
    with (site.drop / "W5.zip").open("wb") as writer:
        writer.write(b"x")
        writer.flush()
        said = _said(site.tick())
    for part in (
        "'notes.txt' is no .zip",
        "'W 1.zip' names no work",
        "'W2.zip' is empty",
        "'W3.zip' is a symbolic link",
        "'W4.zip' is no plain file",
        "'W5.zip' is still being written",
    ):
        assert part in said
    assert len(os.listdir(site.drop)) == 6
    assert site.saved() == []


def test_a_file_that_was_written_in_place_is_taken_by_the_next_tick(site: FolderSite) -> None:
    """Closed, it may still be opened again by what uploads it in pieces."""
    (site.drop / NAME).write_bytes(b"x")
    first = site.tick()
    assert "was closed just now" in _said(first)
    (site.drop / NAME).write_bytes(b"more")
    second = site.tick(first.cursor)
    assert "was closed just now" in _said(second)
    assert _partitions(site.tick(second.cursor)) == [RID]


def test_on_a_mount_a_file_is_taken_when_it_was_unchanged_for_long_enough(
    site: FolderSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other machine tells whether it still writes."""
    monkeypatch.setattr(file_writers, "_LOCAL", set())
    site.put(NAME, b"x")
    first = site.tick()
    assert "may still be open elsewhere" in _said(first)
    (sighting,) = FolderCursor.parse(first.cursor).seen.values()
    monkeypatch.setattr("time.time", lambda: sighting.since + QUIET_SECONDS - 1)
    second = site.tick(first.cursor)
    assert not second.run_requests
    monkeypatch.setattr("time.time", lambda: sighting.since + QUIET_SECONDS)
    assert _partitions(site.tick(second.cursor)) == [RID]


def test_two_sites_that_share_a_folder_take_each_file_once(site: FolderSite, tmp_path: Path) -> None:
    """A file in save/ whose run another instance has is not this one's to run."""
    with folder_site(tmp_path / "other", drop=site.drop) as other:
        site.put(NAME, b"x")
        mine, theirs = site.tick(), other.tick()
    assert _partitions(mine) == [RID]
    assert not theirs.run_requests
    assert "1 files that another site" in _said(theirs)


def test_a_site_that_is_not_production_takes_nothing_of_production_s_folder(tmp_path: Path) -> None:
    """As with a queue."""
    with folder_site(tmp_path, environment="prod") as site:
        site.put(NAME, b"x")
        with pytest.raises(WrongEnvironment, match="intake 'drop' belongs to 'prod'"):
            site.tick()
        assert os.listdir(site.drop) == [NAME]
        assert folder_sensor("drop", site.site.folders["drop"], site.site).default_status.value == "RUNNING"
        dev = site.site.model_copy(update={"environment": "dev"})
        assert folder_sensor("drop", site.site.folders["drop"], dev).default_status.value == "STOPPED"


def test_a_folder_that_is_not_mounted_fails_the_tick_by_name(site: FolderSite) -> None:
    """An empty answer would look like a quiet night."""
    shutil.rmtree(site.drop)
    with pytest.raises(FolderError, match=f"{site.drop}.*'drop'.*Is it mounted"):
        site.tick()


def test_two_files_for_one_work_are_two_runs_and_the_older_one_is_first(site: FolderSite) -> None:
    """The later one holds, and neither is lost."""
    site.put(f"{RID}.zip", bag_zip(RID, NEWER))
    site.put(NAME, bag_zip(RID, FILES), age=100)
    ticked = site.tick()
    assert _partitions(ticked) == [RID, RID]
    assert all(done.success for done in site.run_requested(ticked))
    assert (site.place(RID) / "more.txt").read_bytes() == b"new"
    assert site.saved() == []


def test_the_same_file_dropped_again_makes_another_run(site: FolderSite) -> None:
    """A second restore of a work is another one, though name, size and time are the same."""
    data = bag_zip(RID, FILES)
    keys = set()
    cursor = None
    for _ in range(2):
        path = site.put(NAME, data)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        ticked = site.tick(cursor)
        keys |= {request.run_key for request in ticked.run_requests or ()}
        assert all(done.success for done in site.run_requested(ticked))
        cursor = ticked.cursor
    assert len(keys) == 2


def test_a_refused_bag_s_original_stays_until_a_reprocess_has_synced_it(site: FolderSite) -> None:
    """It is the only copy; and what was dropped half is completed in save/, and copied again."""
    data = bag_zip(RID, FILES)
    site.put(NAME, data[:-30])
    (refused,) = site.run_requested(site.tick())
    assert not refused.success
    (saved,) = site.saved()
    assert json.loads(site.layout.report(RID).read_text())["source"] == f"{site.drop}/save/{saved}"
    with (site.drop / "save" / saved).open("ab") as rest:
        rest.write(data[-30:])
    assert site.run(RID).success
    assert _archived(site, RID) == FILES
    assert site.saved() == []


def test_where_a_dropped_work_stands_is_told_and_a_reprocess_has_its_event(site: FolderSite) -> None:
    """What reads the stored events and the runs' configs for S3's must know a file's."""
    site.put(NAME, bag_zip(RID, FILES)[:-30])
    site.run_requested(site.tick())
    staging = Staging(root=str(site.site.staging.root))
    (evidence,) = of_works(EvidenceSources(staging, site.drs, site.instance), [RID]).evidence
    stands = standing_of(evidence, datetime.now(UTC), StuckLimits(timedelta(hours=1), timedelta(hours=1)))
    assert stands.state is WorkState.FAILED
    assert undownloaded([(evidence, stands)]) == []
    in_force = event_in_force(evidence)
    assert in_force
    assert in_force[1].source == f"{site.drop}/save/{site.saved()[0]}"
    assert evidence.run
    assert evidence.run.event == in_force[1]
    assert stored_event_config(site.instance, RID, evidence.receipts.restored) is None
    config = stored_event_config(site.instance, RID, None)
    assert config
    assert given_in(config["ops"]["restored_message"]["config"]) == in_force[1]


def test_a_sensor_killed_before_any_step_of_a_claim_loses_nothing_and_claims_once(site: FolderSite) -> None:
    """The daemon is killed, and the next tick has the old cursor."""
    number, killed = 1, True
    while killed:
        site.put(NAME, b"x")
        killed = killed_before_step(number, [site.drop], site.tick).killed
        here = [name for name in os.listdir(site.drop) if name != "save"]
        assert len(here) + len(site.saved()) == 1
        assert _partitions(site.tick()) == [RID]
        assert len(site.saved()) == 1
        shutil.rmtree(site.drop / "save")
        number += 1
    assert number > 2


def test_a_run_killed_before_any_of_its_renames_and_removals_is_done_by_the_next_one(site: FolderSite) -> None:
    """Claim, copy, receipts, sync, and the original's end: nothing is lost, and nothing left."""
    data = bag_zip(RID, FILES)
    steps, number, killed = 0, 1, True
    while killed:
        site.put(NAME, data)
        ticked = site.tick()
        (request,) = ticked.run_requests or ()
        config = dict(request.run_config)
        killed = killed_before_step(
            number,
            [site.drop, site.layout.root / "receipts", site.layout.root / "incoming"],
            lambda config=config: site.run(RID, run_config=config),  # type: ignore[misc]
            renames_only=True,
        ).killed
        steps += killed
        gone = not site.saved()
        # As Dagster's run retries do: what was done is not done again, and the last stage is where the file goes.
        assert site.run(
            RID, select="synced_archive" if gone else "group:restore", **({} if gone else {"run_config": config})
        ).success
        assert _archived(site, RID) == FILES
        assert site.saved() == []
        left = [path for path in site.layout.root.rglob("*") if path.name.endswith((".part", ".journal"))]
        assert left == []
        assert list(site.layout.lock(RID).parent.iterdir()) == []
        shutil.rmtree(site.place(RID))
        number += 1
    assert steps > 7
