"""Dagster's database put back from a backup: the works whose runs it has lost are found, and done.

What belongs here: what is told and done then. What does not: making and restoring backups (``cli/test_backup``).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster._core.storage.tags import PARTITION_NAME_TAG, RUN_KEY_TAG
from dagster._core.test_utils import create_run_for_test

from ao_workflows.cli import main
from ao_workflows.clients import resources
from ao_workflows.definitions import build
from ao_workflows.defs.nightly.stuck_works import stuck_works
from ao_workflows.defs.sensors.queues import intake_sensor
from ao_workflows.staging.staging import Staging
from ao_workflows.status import gathering as standings
from ao_workflows.status.noted_events import last_noted, works
from ao_workflows_tests.support.folder_sites import folder_site
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip
from ao_workflows_tests.support.works_in_trouble import beat, queueing_site

NOT_BEGUN = "W1NLM4712"
BEGUN = "W1NLM4788"
FILES = {"images/0001.jpg": PAGE}


def _tick(site: TrialSite, cursor: str | None) -> dg.SensorResult:
    clients = {name: client for name, client in resources(site.site).items() if name in ("sqs", "staging")}
    with dg.build_sensor_context(
        instance=site.instance, cursor=cursor, sensor_name="demo_intake", resources=clients
    ) as context:
        result = intake_sensor("demo", site.intake, site.site)(context)
    assert isinstance(result, dg.SensorResult)
    return result


def _in_queue(site: TrialSite) -> int:
    url = site.aws.sqs.get_queue_url(QueueName=site.intake.queue)["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = site.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, aws: Aws) -> Iterator[TrialSite]:
    """Two works came after the backup: their messages are deleted, one's run waited, the other's was interrupted after
    its first stage. Then the backup was restored.
    """
    folder = tmp_path_factory.mktemp("restored")
    with queueing_site(folder, aws) as made:
        made.instance.get_runs_count()
        made.instance.all_instigator_state()
        home, backup = folder / "dagster", folder / "backup"
        shutil.copytree(home, backup)
        _take_two_works(made)
    shutil.rmtree(home)
    shutil.move(backup, home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_runs_count() == 0
        yield dataclasses.replace(made, instance=instance)


def _take_two_works(site: TrialSite) -> None:
    url = site.aws.sqs.get_queue_url(QueueName=site.intake.queue)["QueueUrl"]
    bodies = {rid: site.restore(rid, bag_zip(rid, FILES)) for rid in (NOT_BEGUN, BEGUN)}
    for body in bodies.values():
        site.aws.sqs.send_message(QueueUrl=url, MessageBody=body)
    taken = _tick(site, None)
    for request in taken.run_requests or ():
        tags = {RUN_KEY_TAG: str(request.run_key), PARTITION_NAME_TAG: str(request.partition_key)}
        create_run_for_test(site.instance, tags=tags, run_config=dict(request.run_config), job_name="restore_work")
    _tick(site, taken.cursor)
    assert _in_queue(site) == 0
    assert site.run(BEGUN, bodies[BEGUN], select="restored_message").success


@pytest.fixture(autouse=True)
def _as_an_operator(site: TrialSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AO_SITE", str(site.folder / "site.toml"))
    monkeypatch.setenv("DAGSTER_HOME", str(site.folder / "dagster"))
    monkeypatch.setattr(standings, "BEING_MADE", timedelta())
    beat(site, time.time())
    # A note has whole seconds.
    time.sleep(1)


def ao(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def _told(*words: str) -> dict[str, dict[str, Any]]:
    return {each["rid"]: each for each in json.loads(ao("status", *words, "--json").stdout)}


def _run(site: TrialSite, rid: str, queued: dg.DagsterRun) -> dg.ExecuteInProcessResult:
    """Does what a queued run was to do."""
    return dg.materialize(
        [asset for asset in build(site.site).assets or () if asset.partitions_def],  # type: ignore[union-attr]
        selection=list(queued.asset_selection or ()),
        partition_key=rid,
        instance=site.instance,
        resources=resources(site.site),
        run_config=queued.run_config,
        raise_on_error=False,
    )


def test_works_whose_runs_the_database_has_lost_are_listed_with_what_to_do(site: TrialSite) -> None:
    """Nobody had them: their messages were deleted, and their runs are gone with the day that the backup lacks."""
    assert works(Staging(root=str(site.layout.root)), 9) == [NOT_BEGUN]
    found = _told()
    assert sorted(found) == [NOT_BEGUN, BEGUN]
    assert {each["state"] for each in found.values()} == {"stopped"}
    assert (found[NOT_BEGUN]["stage"], found[BEGUN]["stage"]) == ("restored_message", "downloaded_bag")
    assert [found[rid]["advice"] for rid in (NOT_BEGUN, BEGUN)] == [
        f"To go on with it: ao reprocess {NOT_BEGUN} --from restored_message",
        f"To go on with it: ao reprocess {BEGUN}",
    ]
    assert "perhaps put back from a backup, has no run" in found[NOT_BEGUN]["disagreements"][0]
    assert ao("status", NOT_BEGUN).stdout.startswith(f"{NOT_BEGUN}  stopped before restored_message")


def test_the_night_s_look_finds_them_too(site: TrialSite) -> None:
    """Where nobody asks, the check does; and their restored copies may be about to end."""
    section = site.site.watch.model_copy(update={"stuck_hours": 0.00001, "expiring_days": 30})
    clients = {name: client for name, client in resources(site.site).items() if name in ("staging", "drs", "s3")}
    result = dg.materialize([stuck_works(section)], instance=dg.DagsterInstance.ephemeral(), resources=clients)
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    for table in ("stuck works", "restored copies that end"):
        assert {record.data["work"] for record in metadata[table].records} == {NOT_BEGUN, BEGUN}


def test_a_run_that_is_about_to_be_made_is_not_told_of_as_lost(
    site: TrialSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a tick's request and the run there are seconds: a false alarm each time hides the true one."""
    monkeypatch.setattr(standings, "BEING_MADE", timedelta(minutes=10))
    assert ao("status", NOT_BEGUN).stdout.startswith(f"{NOT_BEGUN}  not known")


def test_a_note_that_cannot_be_read_is_told_and_hides_no_other_work(site: TrialSite) -> None:
    """It may be of the one event that nobody else has."""
    odd = site.layout.events("W1NLM4799")
    odd.mkdir()
    (odd / "x.json").write_text("{")
    try:
        told = ao("status")
    finally:
        shutil.rmtree(odd)
    assert told.exit_code == 1
    assert "W1NLM4799/x.json: is no event as it was noted" in told.stderr
    assert f"{NOT_BEGUN}  stopped before restored_message" in told.stdout


def test_reprocess_does_them_with_their_events_and_the_note_goes(site: TrialSite) -> None:
    """The event of the run that was lost, and no question to Glacier, which is paid for each answer."""
    staging = Staging(root=str(site.layout.root))
    noted = last_noted(staging, NOT_BEGUN, None)
    assert noted
    for rid, found in _told().items():
        told = ao(*found["advice"].partition(": ao ")[2].split())
        assert told.exit_code == 0, told.stderr
        (run,) = site.instance.get_runs(dg.RunsFilter(tags={PARTITION_NAME_TAG: rid}))
        assert _told(rid)[rid]["state"] == "waits its turn"
        if rid == NOT_BEGUN:
            config = run.run_config["ops"]["restored_message"]["config"]
            assert (config["time"], config["key"], config["intake"]) == (noted.event.time, noted.event.key, "demo")
        assert run.asset_selection
        assert _run(site, rid, run).success
        site.instance.report_run_canceled(run)
    assert last_noted(staging, NOT_BEGUN, None) is None
    assert works(staging, 9) == []
    assert _told(NOT_BEGUN)[NOT_BEGUN]["state"] == "in the archive"


def test_a_folder_s_sensor_asks_again_for_the_runs_that_were_lost(tmp_path: Path) -> None:
    """A claimed file is in save/ whatever the database says, and is asked for until its run is there."""
    with folder_site(tmp_path / "site") as site:
        site.put(f"{NOT_BEGUN}.bag.zip", bag_zip(NOT_BEGUN, FILES))
        (before,) = site.tick().run_requests or ()
        with dg.DagsterInstance.ephemeral() as restored:
            restored.run_storage.get_run_storage_id = site.instance.run_storage.get_run_storage_id  # type: ignore[method-assign]
            (after,) = dataclasses.replace(site, instance=restored).tick().run_requests or ()
    assert after.run_key == before.run_key
