"""Deliveries that are held, as a person meets them: ``ao status`` tells, and ``ao reprocess --force`` does them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ao_workflows.cli import main
from ao_workflows.defs.restore.holding import meant_by_word
from ao_workflows.staging.receipt_files import read_receipts
from ao_workflows.staging.staging import Staging
from ao_workflows.status.runs import newest_run
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip
from ao_workflows_tests.support.works_in_trouble import beat, queue, queueing_site

RID = "W1NLM4712"
OLD, NEW = {"images/1.jpg": PAGE + b"old"}, {"images/1.jpg": PAGE + b"newer", "more": b""}


@pytest.fixture
def site(tmp_path: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialSite]:
    with queueing_site(tmp_path, aws) as trial:
        monkeypatch.setenv("AO_SITE", str(trial.folder / "site.toml"))
        monkeypatch.setenv("DAGSTER_HOME", str(trial.folder / "dagster"))
        beat(trial, time.time())
        yield trial


def ao(*words: str) -> Result:
    return CliRunner().invoke(main, words, terminal_width=400)


def said_of_work(*words: str) -> str:
    """What ``ao status`` says, its lines joined."""
    told = ao("status", RID, *words)
    assert told.exit_code == 0, told.stderr
    return " ".join(told.stdout.split())


def elsewhere(site: TrialSite, files: dict[str, bytes], time_of_day: str) -> str:
    """The message of a delivery from another prefix."""
    body = json.loads(site.restore(RID, bag_zip(RID, NEW)).replace("06:32:44", time_of_day))
    item = body["Records"][0]["s3"]["object"]
    item["key"] = f"trash/2019/{RID}.bag.zip"
    site.aws.s3.put_object(Bucket=site.intake.bucket, Key=item["key"], Body=bag_zip(RID, files))
    return json.dumps(body)


def unqueued(site: TrialSite) -> dg.DagsterRun:
    """The work's newest run, which is taken out of the queue."""
    (run,) = site.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": RID}), limit=1)
    assert run.status is dg.DagsterRunStatus.QUEUED
    site.instance.run_coordinator.cancel_run(run.run_id)
    return run


def page(site: TrialSite) -> bytes:
    return (site.place(RID) / "images/1.jpg").read_bytes()


def test_an_older_delivery_leaves_the_work_in_the_archive_with_a_note(site: TrialSite) -> None:
    """Nothing is wrong with the work; and the delivery is not lost either."""
    first = site.restore(RID, bag_zip(RID, OLD))
    second = site.restore(RID, bag_zip(RID, NEW)).replace("06:32:44", "07:00:00")
    assert site.run(RID, second).success
    assert not site.run(RID, first).success
    said = said_of_work()
    assert f"{RID} in the archive since" in said
    assert (
        "Held: this delivery is older than what the archive has: ObjectRestore:Completed of 2026-11-21T06:32:44" in said
    )
    assert "; against ObjectRestore:Completed of 2026-11-21T07:00:00.000Z" in said
    assert said.endswith(f"To do it all the same: ao reprocess {RID} --force")
    assert "disagree" not in said
    (found,) = json.loads(ao("status", RID, "--json").stdout)
    assert (found["state"], found["failure"]) == ("in the archive", "")
    assert found["held"].startswith("this delivery")
    assert RID not in ao("status").stdout, "there is nothing to do"


def test_a_delivery_of_another_object_waits_for_a_decision_and_is_done_by_it(site: TrialSite) -> None:
    """Without the word a redo is of what is stored; with it, of what is held, by way of the queue."""
    assert site.run(RID, site.restore(RID, bag_zip(RID, NEW))).success
    other = elsewhere(site, OLD, "07:00:00")
    assert not site.run(RID, other).success
    said = said_of_work()
    assert f"{RID} held: waits for a person's decision since" in said
    assert f"s3://{site.intake.bucket}/trash/2019/{RID}.bag.zip" in said
    assert f"ao reprocess {RID} --force" in said
    assert f"{RID}  held: waits" in ao("status").stdout
    assert ao("reprocess", RID).exit_code == 0
    assert unqueued(site).run_config == {}
    forced = ao("reprocess", RID, "--force")
    assert forced.exit_code == 0, forced.stderr
    word = f"by your word: ObjectRestore:Completed of 2026-11-21T07:00:00.000Z: s3://{site.intake.bucket}/trash/2019"
    assert word in forced.stdout
    config: Any = unqueued(site).run_config
    given = config["ops"]["restored_message"]["config"]
    assert (given["key"], given["intake"], given["force"]) == (f"trash/2019/{RID}.bag.zip", "demo", True)
    assert site.run(RID, config=config).success
    assert page(site) == OLD["images/1.jpg"]
    said = said_of_work()
    assert f"{RID} in the archive since" in said
    assert "Held" not in said


def test_the_word_in_the_web_page_is_for_the_delivery_that_is_held(site: TrialSite) -> None:
    """A person sets `force` there and has no event to give: what the archive had was done again, and ended well."""
    assert site.run(RID, site.restore(RID, bag_zip(RID, NEW))).success
    assert not site.run(RID, elsewhere(site, OLD, "07:00:00")).success
    word = {"ops": {"restored_message": {"config": {"force": True}}}}
    forced = site.run(RID, config=word)
    assert forced.success
    assert page(site) == OLD["images/1.jpg"]
    assert not site.layout.receipt(RID, "held").exists()


def test_a_forced_run_that_is_run_again_does_what_it_was_forced_to_and_not_what_was_held_since(site: TrialSite) -> None:
    """The daemon runs a killed one again by itself, with the same word: nobody has given one for the next delivery."""
    assert site.run(RID, site.restore(RID, bag_zip(RID, NEW))).success
    assert not site.run(RID, elsewhere(site, OLD, "07:00:00")).success
    word = {"ops": {"restored_message": {"config": {"force": True}}}}
    killed = site.run(RID, config=word, select="restored_message")
    assert b"trash/2019" in site.layout.receipt(RID, "restored_message").read_bytes()
    third = elsewhere(site, NEW, "08:00:00").replace("trash/2019", "trash/2020")
    assert not site.run(RID, third).success
    staging = Staging(root=str(site.site.staging.root))
    run = site.instance.get_run_by_id(killed.run_id)
    assert run
    for again in (run, run._replace(run_id="again", parent_run_id=run.run_id, root_run_id=run.run_id)):
        context: Any = SimpleNamespace(partition_key=RID, run=again)
        assert meant_by_word(context, staging) is None
    other: Any = SimpleNamespace(partition_key=RID, run=run._replace(run_id="other"))
    meant = meant_by_word(other, staging)
    assert meant
    assert meant[1].source.endswith(f"trash/2020/{RID}.bag.zip")


def test_a_person_may_also_say_that_the_archive_stays_as_it_is(site: TrialSite) -> None:
    """The work waited for a decision, and was one of the stuck, until another event came: nobody could say no."""
    assert site.run(RID, site.restore(RID, bag_zip(RID, NEW))).success
    assert not site.run(RID, elsewhere(site, OLD, "07:00:00")).success
    command = f"ao reprocess {RID} --from synced_archive"
    assert said_of_work().endswith(f"; to leave the archive as it is: {command}")
    assert site.run(RID, select="synced_archive").success
    assert "held: waits" in said_of_work(), "a run that Dagster has run again is nobody's word"
    assert ao(*command.split()[1:]).exit_code == 0
    run, path = unqueued(site), site.layout.receipt(RID, "held")
    held = path.read_text()
    path.write_text(json.dumps(json.loads(held) | {"at": "2099-01-01T00:00:00+00:00"}))
    assert site.run(RID, select="synced_archive", tags=run.tags).success
    assert "held: waits" in said_of_work(), "what came after the word was given is not decided by it"
    path.write_text(held)
    assert site.run(RID, select="synced_archive", tags=run.tags).success
    assert f"{RID} in the archive since" in said_of_work()
    assert "Held" not in said_of_work()
    assert page(site) == NEW["images/1.jpg"]


def test_the_word_is_for_what_is_stored_where_nothing_is_held(site: TrialSite) -> None:
    """A person who says it twice, or beforehand, is understood."""
    assert site.run(RID, site.restore(RID, bag_zip(RID, NEW))).success
    told = ao("reprocess", RID, "--force")
    assert told.exit_code == 0, told.stderr
    run = unqueued(site)
    assert run.run_config == {"ops": {"restored_message": {"config": {"force": True}}}}
    assert run.asset_selection
    assert dg.AssetKey("restored_message") in run.asset_selection
    assert site.run(RID, config=run.run_config).success
    stored = read_receipts(site.layout, RID).restored
    assert stored
    assert stored.over is not None


def test_the_newest_event_that_only_a_run_has_is_found_behind_a_late_one_and_a_held_one(site: TrialSite) -> None:
    """The first run's event is the newest, and it was canceled before it stored it; those after it came late."""
    assert site.run(RID, site.restore(RID, bag_zip(RID, NEW))).success
    body = site.restore(RID, bag_zip(RID, OLD)).replace("06:32:44", "09:00:00")
    queue(site, RID, body)
    unqueued(site)
    assert not site.run(RID, elsewhere(site, OLD, "10:00:00")).success
    assert site.run(RID, body.replace("09:00:00", "08:00:00"), select="restored_message").success
    assert ao("reprocess", RID).exit_code == 0
    config: Any = unqueued(site).run_config
    assert config["ops"]["restored_message"]["config"]["time"] == "2026-11-21T09:00:00.000Z"


def test_a_run_that_is_run_again_from_a_later_stage_has_the_event_that_is_stored(site: TrialSite) -> None:
    """Its config still has the event of its first try, which another run has overtaken since."""
    site.instance.add_dynamic_partitions("works", [RID])
    queue(site, RID, site.restore(RID, bag_zip(RID, OLD)))
    begun = unqueued(site)
    seen = newest_run(site.instance, RID)
    assert seen
    assert seen.event
    later = ["downloaded_bag", "debagged_work", "synced_archive"]
    site.instance.add_run(begun._replace(run_id=str(uuid.uuid4()), step_keys_to_execute=later))
    seen = newest_run(site.instance, RID)
    assert seen
    assert (seen.event, seen.intake, seen.selected) == (None, "", tuple(later))
