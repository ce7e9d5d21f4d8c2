"""Housekeeping as a run: what it tells, what it spares, and that it fails where it could not do its work.

The nightly backup's run is tried in ``cli/test_backup.py``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.test_utils import create_run_for_test

from ao_workflows.archive.mounted_shares import make_archive
from ao_workflows.clients import archive_shares
from ao_workflows.clients import staging as staging_of
from ao_workflows.definitions import build
from ao_workflows.machine.disk import removal_name
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.staging.staging import Staging
from ao_workflows.upkeep import housekeeping
from ao_workflows_tests.support.kept_works import kept
from ao_workflows_tests.support.small_disks import mounted
from ao_workflows_tests.upkeep.test_old_logs import written


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "home"
    home.mkdir()
    logs = f"compute_logs:\n  module: dagster._core.storage.local_compute_log_manager\n  class: LocalComputeLogManager\n  config: {{base_dir: {tmp_path}/compute}}\n"  # noqa: E501
    (home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{logs}")
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


def keep_house(tmp_path: Path, instance: dg.DagsterInstance, *, fails: bool = False) -> dict[str, Any]:
    """What a night's run told."""
    defs = build(parse(demo_site(tmp_path, None), "the test's site"))
    job = defs.resolve_job_def("housekeeping")
    assert job.execute_in_process(instance=instance, raise_on_error=False).success is not fails
    (event,) = instance.fetch_observations(dg.AssetKey("housekeeping"), limit=1).records
    assert event.asset_observation is not None
    return {name: each.value for name, each in event.asset_observation.metadata.items()}


def test_a_night_removes_what_is_old_and_tells_of_it(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Who asks why a log is gone, or the disk is full, finds both in the web page."""
    staging = tmp_path / "staging"
    written(tmp_path / "compute/run-1/compute_logs/a.err", 31)
    written(staging / "logs/sync-logs/2026-10-01/x/sync-x.log", 31)
    written(staging / "logs/audit-test-logs/2026-10-01/x/audit.log", 31)
    own = written(staging / "logs/notes of an operator.txt", 400)
    receipt = written(staging / "receipts/W1/synced_archive.json", 31)
    part = written(staging / "incoming/W2/W2.bag.zip.part", 31)
    told = keep_house(tmp_path, instance)
    assert (told["run logs: removed"], told["run logs: bytes freed"]) == (1, 7)
    assert (told["sync logs: removed"], told["sync logs: bytes freed"]) == (2, 14)
    assert told["run logs: oldest kept"] > (datetime.now(UTC) - timedelta(hours=1)).timestamp()
    assert (told["event log: removed"], told["ticks: removed"]) == (0, 0)
    assert (told["old receipts"], told["old unfinished downloads"]) == (1, 1)
    assert "incoming/W2/W2.bag.zip.part" in told["old unfinished downloads: files"]
    assert own.exists()
    assert receipt.exists()
    assert part.exists()


def test_a_night_notes_which_works_are_done(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """The archivists' page may not, and with many works would work it out anew each time."""
    instance.add_dynamic_partitions("works", ["W1"])
    instance.report_runless_asset_event(dg.AssetMaterialization("synced_archive", partition="W1"))
    keep_house(tmp_path, instance)
    (record,) = instance.get_asset_records([dg.AssetKey("synced_archive")])
    assert record.asset_entry.cached_status is not None


def test_logs_of_a_run_under_way_stay_however_old(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """A sync of weeks that says nothing for weeks is the one whose log will be asked for."""
    log = written(tmp_path / "staging/logs/sync-logs/2026-10-01/x/sync-x.log", 31)
    create_run_for_test(instance, "restore_work", status=dg.DagsterRunStatus.STARTED)
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.execute(RunsTable.update().values(create_timestamp=datetime.now(UTC) - timedelta(days=40)))
    told = keep_house(tmp_path, instance)
    assert told["logs kept for runs under way since"] < (datetime.now(UTC) - timedelta(days=39)).timestamp()
    assert log.exists()


def test_what_could_not_be_removed_fails_the_run(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is not cleaned any more is found out before it is full."""
    written(tmp_path / "compute/run-1/compute_logs/a.err", 31)
    blocked = tmp_path / "staging/logs/sync-logs"
    written(blocked / "2026-10-01/x/sync-x.log", 31)
    scandir = os.scandir

    def refusing(folder: Path) -> Any:
        if folder == blocked / "2026-10-01":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    told = keep_house(tmp_path, instance, fails=True)
    assert told["run logs: removed"] == 1
    (run,) = instance.get_runs(dg.RunsFilter(job_name="housekeeping"))
    said = "".join(str(log.dagster_event) for log in instance.all_logs(run.run_id) if log.dagster_event)
    assert f"1 things could not be removed, the first: {blocked}/2026-10-01: Permission denied" in said


def test_each_night_tries_again_what_could_not_be_freed_and_tells_of_it(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """No run of the work may come for years, and 300 GB lie there, under a hidden name."""
    left = removal_name(StagingLayout(tmp_path / "staging").work("W1"))
    page = written(left / "W1/page.jpg", 0)
    with mounted(left / "mounted", "size=1m"):
        keep_house(tmp_path, instance, fails=True)
        (run,) = instance.get_runs(dg.RunsFilter(job_name="housekeeping"))
        said = "".join(str(log.dagster_event) for log in instance.all_logs(run.run_id) if log.dagster_event)
        (left,) = left.parent.iterdir()
        assert f"1 things could not be removed, the first: staging: {left}/mounted: cannot be removed" in said
        assert not page.exists()
    told = keep_house(tmp_path, instance)
    assert told["left-overs of works: removed"] == 1
    assert list(left.parent.iterdir()) == []


def test_a_night_leaves_what_a_run_is_making(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Half a work of a run under way looks as one that was left."""
    staging = Staging(root=str(tmp_path / "staging"))
    left, under_way = (staging.layout.work_under_way(rid, "run") for rid in ("W1", "W2"))
    staging.hold("W2", "run")
    for folder in (left, under_way):
        written(folder / "page.jpg", 0)
    told = keep_house(tmp_path, instance)
    assert (told["left-overs of works: removed"], told["left-overs of works: bytes freed"]) == (1, 7)
    assert (left.exists(), under_way.exists()) == (False, True)
    staging.release()


@pytest.fixture
def scratch(tmp_path: Path) -> Staging:
    """The scratch disk of a site that keeps works for a day, and whose archive is set up."""
    site = parse(demo_site(tmp_path, None), "the test's site")
    make_archive(archive_shares(site))
    return staging_of(site)


def failure(instance: dg.DagsterInstance) -> str:
    """What the last night's run failed with."""
    run = instance.get_runs(dg.RunsFilter(job_name="housekeeping"))[0]
    return "".join(str(log.dagster_event) for log in instance.all_logs(run.run_id) if log.dagster_event)


def test_a_night_frees_the_works_whose_time_is_over(
    tmp_path: Path, instance: dg.DagsterInstance, scratch: Staging
) -> None:
    """They were freed at the end of another work's sync, which may not come for months."""
    for rid, days_ago in (("W1", 9), ("W2", 3), ("W3", 0.5)):
        kept(scratch, rid, days_ago)
    told = keep_house(tmp_path, instance)
    assert (told["synced works: removed"], told["synced works: bytes freed"]) == (2, 2 * len(b"zip" + b"page"))
    assert (told["synced works: freed"], told["kept days of synced works"]) == ("W1, W2", 1)
    half_a_day = datetime.now(UTC).timestamp() - told["synced works: oldest kept"]
    assert timedelta(hours=12).total_seconds() <= half_a_day < timedelta(hours=13).total_seconds()
    assert os.listdir(scratch.layout.work("W1").parent) == ["W3"]


def test_a_night_fails_of_a_work_that_it_cannot_free_and_frees_the_others(
    tmp_path: Path, instance: dg.DagsterInstance, scratch: Staging
) -> None:
    """Nobody else would ever say that 300 GB lie there which a person must remove."""
    for rid, days_ago in (("W1", 9), ("W2", 3)):
        kept(scratch, rid, days_ago)
    with mounted(scratch.layout.work("W1"), "size=1m"):
        told = keep_house(tmp_path, instance, fails=True)
        assert told["synced works: freed"] == "W2"
        said = failure(instance)
        assert "1 things could not be removed, the first: W1, in the archive and no longer to be kept" in said
        assert f"{scratch.layout.work('W1')}: cannot be removed: Device or resource busy" in said
    assert keep_house(tmp_path, instance)["synced works: freed"] == "W1"


def test_a_night_keeps_the_works_of_a_share_that_is_not_there_and_fails(
    tmp_path: Path, instance: dg.DagsterInstance, scratch: Staging
) -> None:
    """Their copy on scratch may be the only one that can be read; and somebody must mount the share."""
    kept(scratch, "W4700", 9)
    kept(scratch, "W4725", 9)
    share = tmp_path / "archive/Archive0"
    share.rename(tmp_path / "away")
    told = keep_house(tmp_path, instance, fails=True)
    assert told["synced works: freed"] == "W4725"
    assert f"W4700, in the archive and no longer to be kept, was not freed: {share}: " in failure(instance)
    assert scratch.layout.zip("W4700").exists()


def test_a_night_leaves_a_work_to_the_run_that_waits_or_has_it(
    tmp_path: Path, instance: dg.DagsterInstance, scratch: Staging
) -> None:
    """A person's reprocessing begins from what is on the scratch disk; nothing is wrong with that night."""
    for rid in ("W1", "W2", "W3"):
        kept(scratch, rid, 9)
    waits = {"dagster/partition": "W1"}
    create_run_for_test(instance, "restore_work", status=dg.DagsterRunStatus.NOT_STARTED, tags=waits)
    create_run_for_test(instance, "restore_work", status=dg.DagsterRunStatus.FAILURE, tags={"dagster/partition": "W3"})
    scratch.hold("W2", "run of another process")
    told = keep_house(tmp_path, instance)
    assert (told["synced works: left for their runs"], told["synced works: freed"]) == ("W1, W2", "W3")
    scratch.release()


def test_the_schedule_is_on_by_itself(tmp_path: Path) -> None:
    """A disk fills at a site that never read of it, too."""
    defs = build(parse(demo_site(tmp_path, None), "the test's site"))
    schedule = defs.resolve_schedule_def("nightly_housekeeping")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == housekeeping.JOB
