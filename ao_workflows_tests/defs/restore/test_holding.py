"""Deliveries, and what others have left of the work: newer ones that failed, words for older ones, other zips."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows import clients
from ao_workflows.archive.mounted_shares import make_archive
from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.drs.client import Drs
from ao_workflows.events.message_parts import WantedRun
from ao_workflows.events.s3_events import ObjectEvent, parse_message
from ao_workflows.staging.staging import Staging
from ao_workflows.status import noted_events
from ao_workflows.works.object_keys import LAYOUT, object_key
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.deliveries import (
    AS_LARGE,
    DOWNLOAD,
    NEW,
    OLD,
    RID,
    delivered,
    failed_with,
    forced,
    in_archive,
    of_key,
    told,
)
from ao_workflows_tests.support.mariadb import MariaDb
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import TrialSite, bag_zip, trial_site
from ao_workflows_tests.test_whose_work import joined

GUEST = "W1NLM4788"
UNPACK = [*DOWNLOAD, "debagged_work"]


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        aws.s3.put_bucket_versioning(Bucket=trial.intake.bucket, VersioningConfiguration={"Status": "Enabled"})
        yield trial


def event_of(body: str) -> ObjectEvent:
    event = parse_message(body)[0]
    assert isinstance(event, ObjectEvent)
    return event


def other_host(site: TrialSite) -> TrialSite:
    """Another host of the site: with a scratch disk of its own, and the same archive and DRS."""
    staging = site.site.staging.model_copy(update={"root": site.folder / "other-host"})
    other = dataclasses.replace(site, site=site.site.model_copy(update={"staging": staging}))
    make_archive(clients.archive_shares(other.site))
    return other


def sent(site: TrialSite, data: bytes, hour: int, rid: str = RID) -> str:
    """The message of a work's zip at that hour, whatever is in it."""
    key = object_key(LAYOUT, rid)
    put = site.aws.s3.put_object(Bucket=site.intake.bucket, Key=key, Body=data, StorageClass="GLACIER")
    return told(site, key, hour, versionId=put["VersionId"], eTag=put["ETag"].strip('"'))


def test_an_older_delivery_does_not_pass_by_a_newer_one_whose_run_was_killed(site: TrialSite) -> None:
    """It overwrote the stored event: the archive had the older pages, and nothing knew of the newer ones any more."""
    first, second = delivered(site, OLD, 6), delivered(site, NEW, 7)
    assert site.run(RID, second, select=DOWNLOAD).success
    kind, said = failed_with(site.run(RID, first), "restored_message")
    assert kind == "NewerStored"
    assert "2026-11-21T07:00:00.000Z" in said
    assert not site.place(RID).exists()
    assert site.run(RID, select="downloaded_bag+").success
    assert in_archive(site) == NEW
    assert not site.layout.receipt(RID, "held").exists()


def test_an_older_delivery_does_not_hide_that_the_newer_one_s_bag_was_refused(site: TrialSite) -> None:
    """Its report was removed, and the work was in the archive by every word, with the pages of the year before."""
    first, second = delivered(site, OLD, 6), sent(site, bag_zip(RID, NEW, manifest=OLD), 7)
    assert not site.run(RID, second).success
    assert failed_with(site.run(RID, first), "restored_message")[0] == "NewerStored"
    assert site.layout.report(RID).exists()
    assert not site.place(RID).exists()
    # A person may want it all the same; and the bag that is made again is newer than both.
    assert site.run(RID, config=forced(first)).success
    assert in_archive(site) == OLD
    assert site.run(RID, delivered(site, NEW, 8)).success
    assert in_archive(site) == NEW


def test_what_was_held_after_it_had_been_stored_holds_nothing_itself(site: TrialSite) -> None:
    """An old version that was asked for last would have stood in the way of the work's own events."""
    of = of_key(delivered(site, OLD, 6))
    time.sleep(1.1)  # S3 says whole seconds.
    assert site.run(RID, delivered(site, NEW, 7)).success
    late = told(site, of.pop("key"), 9, **of)
    assert failed_with(site.run(RID, late), "downloaded_bag")[0] == "OlderDelivery"
    assert site.run(RID, delivered(site, AS_LARGE, 8)).success
    assert in_archive(site) == AS_LARGE


@pytest.mark.parametrize("by", ["a retry", "a redo"])
def test_a_word_for_an_older_delivery_is_none_over_what_was_synced_since(
    site: TrialSite, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """It was given over Monday's pages, the run was killed, and on Thursday its second try replaced Wednesday's."""
    host, first = other_host(site), delivered(site, OLD, 6)
    assert site.run(RID, delivered(site, NEW, 7)).success
    begun = host.run(RID, config=forced(first), select=UNPACK)
    assert begun.success
    assert site.run(RID, delivered(site, AS_LARGE, 8)).success
    if by == "a retry":
        monkeypatch.setattr(dg.DagsterRun, "root_run_id", begun.run_id)
        again, step = host.run(RID, config=forced(first)), "restored_message"
        monkeypatch.undo()
    else:
        again, step = host.run(RID, select="synced_archive"), "synced_archive"
    assert failed_with(again, step)[0] == "OlderDelivery"
    assert in_archive(site) == AS_LARGE
    # The word given anew is over that one too.
    assert host.run(RID, config=forced(first)).success
    assert in_archive(site) == OLD


def test_a_guest_s_own_older_delivery_does_not_overwrite_what_a_newer_zip_brought(site: TrialSite) -> None:
    """Its place was written under another work's name, whose rows alone said so: its own event, come late, saw none."""
    late = sent(site, bag_zip(GUEST, OLD), 5, GUEST)
    assert site.run(RID, sent(site, joined(bag_zip(RID, NEW), bag_zip(GUEST, NEW)), 6)).success
    page = site.place(GUEST) / "images/1.jpg"
    (row,) = site.drs.rows_of(GUEST)
    assert Stage.SYNCED_ARCHIVE in row.times
    assert failed_with(site.run(GUEST, late), "restored_message")[0] == "OlderDelivery"
    assert page.read_bytes() == NEW["images/1.jpg"]
    # And its own next one is no other object's.
    assert site.run(GUEST, sent(site, bag_zip(GUEST, AS_LARGE), 7, GUEST)).success
    assert page.read_bytes() == AS_LARGE["images/1.jpg"]


def test_a_guest_that_has_come_by_itself_keeps_the_row_of_its_own_restore(site: TrialSite) -> None:
    """A row of another restore would be its last, and `ao status` would say that the sources disagree."""
    own = sent(site, bag_zip(GUEST, OLD), 5, GUEST)
    assert site.run(GUEST, own).success
    zipped = sent(site, joined(bag_zip(RID, NEW), bag_zip(GUEST, AS_LARGE)), 6)
    assert site.run(RID, zipped, word={"others": [GUEST]}).success
    (row,) = site.drs.rows_of(GUEST)
    assert row.event == event_of(own).identity
    kind, said = failed_with(site.run(GUEST, own.replace("T05:", "T04:")), "restored_message")
    assert kind == "OlderDelivery"
    assert f"{RID}.bag.zip" in said


def test_a_version_that_s3_has_no_more_does_not_cost_the_zip_that_is_here(site: TrialSite) -> None:
    """An event told of it once more, and the last copy of it went from the scratch disk."""
    first = delivered(site, NEW, 6)
    assert site.run(RID, first, select=DOWNLOAD).success
    of = of_key(first)
    again = told(site, of.pop("key"), 7, **of)
    site.aws.s3.delete_object(Bucket=site.intake.bucket, Key=of_key(first)["key"], VersionId=of["versionId"])
    assert failed_with(site.run(RID, again), "downloaded_bag")[0] == "ObjectMissing"
    assert site.run(RID, config=forced(first)).success
    assert in_archive(site) == NEW


def test_what_is_held_takes_no_other_event_s_note_away(site: TrialSite) -> None:
    """The run of the work's own next delivery was still to begin; after a restored database nobody knew of it."""
    staging = Staging(root=str(site.site.staging.root))
    assert site.run(RID, delivered(site, OLD, 6)).success
    own, elsewhere = delivered(site, NEW, 7), delivered(site, OLD, 8, "trash/2019")
    noted_events.note(staging, "demo", [WantedRun(RID, event_of(body)) for body in (own, elsewhere)])
    assert failed_with(site.run(RID, elsewhere), "restored_message")[0] == "OtherObject"
    found = noted_events.last_noted(staging, RID, None)
    assert found
    assert json.loads(own)["Records"][0]["eventTime"] == found.event.time
    assert site.run(RID, own).success
    assert noted_events.works(staging, 9) == []


def test_a_batch_that_was_named_after_a_work_stands_against_none_of_that_work_s_own_deliveries(site: TrialSite) -> None:
    """The archive was said to have the work from another object, and does not have it at all."""
    batches = site.intake.model_copy(update={"batches": True})
    taking = dataclasses.replace(site, site=site.site.model_copy(update={"intake": {"demo": batches}}))
    batch = joined(bag_zip(GUEST, NEW), bag_zip("W1NLM4799", NEW))
    key = f"batches/{RID}.bag.zip"
    put = site.aws.s3.put_object(Bucket=site.intake.bucket, Key=key, Body=batch, StorageClass="GLACIER")
    assert taking.run(RID, told(site, key, 8, versionId=put["VersionId"], eTag=put["ETag"].strip('"'))).success
    assert taking.run(RID, delivered(site, NEW, 9)).success
    assert in_archive(site) == NEW


@pytest.mark.parametrize("first", ["the older", "the newer"])
def test_of_two_hosts_that_sync_two_deliveries_at_once_the_newer_one_stays(
    site: TrialSite, mariadb_server: MariaDb, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """The one that waited for the place had looked before: what it looked for was written while it waited."""
    drs = Drs(url=mariadb_server.url(mariadb_server.make_database()))
    drs.init()
    hosts = {"the older": other_host(site), "the newer": site}
    bodies = {"the older": delivered(site, OLD, 6), "the newer": delivered(site, NEW, 7)}
    for name, host in hosts.items():
        assert host.run(RID, bodies[name], select=UNPACK, drs=drs).success
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda _policy, _attempt: 1.0)
    begun, run = threading.Event(), SyncScript.run

    def slowly(*given: Any, **more: Any) -> Any:
        begun.set()
        time.sleep(2)
        return run(*given, **more)

    monkeypatch.setattr(SyncScript, "run", slowly)

    def sync(name: str) -> dg.ExecuteInProcessResult:
        with dg.DagsterInstance.ephemeral() as instance:
            return dataclasses.replace(hosts[name], instance=instance).run(RID, select="synced_archive", drs=drs)

    second = next(name for name in hosts if name != first)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(sync, first)
        assert begun.wait(60)
        other = pool.submit(sync, second)
        results = {first: one.result(), second: other.result()}
    assert in_archive(site) == NEW
    assert results["the newer"].success
    assert results["the older"].success == (first == "the older")
    rows = {row.event: Stage.SYNCED_ARCHIVE in row.times for row in drs.rows_of(RID)}
    assert rows == {
        event_of(bodies["the newer"]).identity: True,
        event_of(bodies["the older"]).identity: first == "the older",
    }
