"""Deliveries of one work that come out of order, twice, from two places or to two hosts: with all real parts."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows import clients
from ao_workflows.archive.mounted_shares import make_archive
from ao_workflows.defs.sensors.intakes import run_config
from ao_workflows.events.s3_events import ObjectEvent, parse_message
from ao_workflows.site.sections import CHECKOUT
from ao_workflows.staging.receipt_files import read_placed, read_receipts
from ao_workflows.staging.receipts import Debagged, Receipt
from ao_workflows.staging.staging import Staging
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.deliveries import (
    AS_LARGE,
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
from ao_workflows_tests.support.kept_works import freed_of
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.receipts import unversioned
from ao_workflows_tests.support.sites import TrialSite, bag_zip, trial_site

DEADLINE_SECONDS = 120


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        aws.s3.put_bucket_versioning(Bucket=trial.intake.bucket, VersioningConfiguration={"Status": "Enabled"})
        yield trial


def _held_notes(site: TrialSite) -> list[str]:
    return [str(entry.data["held"]) for row in site.drs.rows_of(RID) for entry in row.entries if "held" in entry.data]


def test_an_older_delivery_does_not_overwrite_a_newer_one(site: TrialSite) -> None:
    """The older bytes were proven, archived, and green."""
    first, second = delivered(site, OLD, 6), delivered(site, NEW, 7)
    assert site.run(RID, second).success
    stored = site.layout.receipt(RID, "restored_message").read_bytes()
    late = site.run(RID, first)
    kind, said = failed_with(late, "restored_message")
    assert kind == "OlderDelivery"
    assert "2026-11-21T06:00:00.000Z" in said
    assert "2026-11-21T07:00:00.000Z" in said
    assert of_key(first)["versionId"] in said
    assert said.endswith(f"ao reprocess {RID} --force")
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in late.all_events)
    assert in_archive(site) == NEW
    assert site.layout.receipt(RID, "restored_message").read_bytes() == stored
    # What follows in the web page is of the stored event, and of nothing that was held.
    assert site.run(RID, select="downloaded_bag+").success
    assert in_archive(site) == NEW


def test_drs_has_the_delivery_that_was_synced_and_the_one_that_was_held(site: TrialSite) -> None:
    """Another host asks DRS alone; and no row of its own may tell the archive that the work is not synced."""
    first, second = delivered(site, OLD, 6), delivered(site, NEW, 7, sequencer="0055AED6DCD90281E5")
    site.run(RID, second)
    site.run(RID, first)
    (row,) = site.drs.rows_of(RID)
    assert Stage.SYNCED_ARCHIVE in row.times
    (synced,) = [entry for entry in row.entries if entry.stage == Stage.SYNCED_ARCHIVE]
    noted: Any = synced.data["delivery"]
    assert noted.pop("modified").startswith("20")
    assert noted == {
        "name": "ObjectRestore:Completed",
        "time": "2026-11-21T07:00:00.000Z",
        "bucket": site.intake.bucket,
        "key": of_key(second)["key"],
        "version_id": of_key(second)["versionId"],
        "etag": of_key(second)["eTag"],
        "sequencer": "0055AED6DCD90281E5",
    }
    (held,) = [entry for entry in row.entries if "held" in entry.data]
    assert "is older than what the archive has" in str(held.data["held"])
    assert held.data["delivery"]["time"] == "2026-11-21T06:00:00.000Z"  # type: ignore[index]


def test_a_retry_of_a_run_that_was_killed_comes_after_a_newer_delivery_in_vain(site: TrialSite) -> None:
    """From its first stage on it is held; from a later one it does what is stored by then, and is noted as that."""
    first = delivered(site, OLD, 6)
    assert site.run(RID, first, select=["restored_message", "downloaded_bag"]).success
    second = delivered(site, NEW, 7)
    assert site.run(RID, second).success
    assert failed_with(site.run(RID, first), "restored_message")[0] == "OlderDelivery"
    assert site.run(RID, select="downloaded_bag+").success
    assert in_archive(site) == NEW
    rows = {row.event: row for row in site.drs.rows_of(RID)}
    assert {identity[-13:-11] for identity in rows} == {"06", "07"}
    synced = [row.event for row in rows.values() if Stage.SYNCED_ARCHIVE in row.times]
    assert synced == [parse_message(second)[0].identity]  # type: ignore[union-attr]


def test_a_run_that_is_killed_and_run_again_after_a_newer_one_leaves_the_newer(site: TrialSite) -> None:
    """With processes, and SIGKILL in the middle of the download."""
    home = site.folder / "dagster"
    home.mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("works", [RID])
    big = {"images/1.jpg": os.urandom(3 << 20)}
    first = delivered(site, big, 6)
    stages = ",".join(["restored_message", "downloaded_bag", "debagged_work", "synced_archive"])
    command = ["dagster", "asset", "materialize", "-m", "ao_workflows.definitions", "--select", stages]
    environment = os.environ | {
        "AO_SITE": str(site.folder / "site.toml"),
        "DAGSTER_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    def start(body: str, **more: str) -> subprocess.Popen[bytes]:
        config = json.dumps(run_config("demo", parse_message(body)[0]))
        log = (site.folder / "materialize.log").open("ab")
        return subprocess.Popen(
            [*command, "--partition", RID, "--config-json", config],
            env=environment | more,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    killed = start(first, AO_DOWNLOAD__MEGABYTES_PER_SECOND="0.05")
    until = time.monotonic() + DEADLINE_SECONDS
    while not site.layout.part(RID).exists() and killed.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    log = site.folder / "materialize.log"
    assert site.layout.part(RID).exists(), log.read_text()[-3000:]
    assert start(delivered(site, NEW, 7)).wait(DEADLINE_SECONDS) == 0, log.read_text()[-3000:]
    again = start(first)
    again.wait(DEADLINE_SECONDS)
    assert "is older than what the archive has" in log.read_text()
    assert in_archive(site) == NEW


def test_of_two_hosts_the_one_with_the_older_delivery_stops_before_the_script(site: TrialSite) -> None:
    """Each has a scratch disk and a lock of its own; DRS and the archive are all that they share."""
    staging = site.site.staging.model_copy(update={"root": site.folder / "other-host"})
    other = dataclasses.replace(site, site=site.site.model_copy(update={"staging": staging}))
    make_archive(clients.archive_shares(other.site))
    first = delivered(site, OLD, 6)
    assert other.run(RID, first, select=["restored_message", "downloaded_bag", "debagged_work"]).success
    assert site.run(RID, delivered(site, NEW, 7)).success
    kind, _ = failed_with(other.run(RID, select="synced_archive"), "synced_archive")
    assert kind == "OlderDelivery"
    assert in_archive(site) == NEW
    assert other.layout.zip(RID).exists(), "nothing is freed that is not archived"
    assert len(_held_notes(site)) == 1


@pytest.mark.parametrize("prefix", ["trash/2019", "Archive1/12"])
def test_another_object_of_the_same_name_is_not_the_work_without_a_word(site: TrialSite, prefix: str) -> None:
    """Somebody tidied up, and an old upload was restored from the wrong place: newer by its event, and by its date."""
    assert site.run(RID, delivered(site, NEW, 6)).success
    elsewhere = delivered(site, OLD, 7, prefix)
    kind, said = failed_with(site.run(RID, elsewhere), "restored_message")
    assert kind == "OtherObject"
    assert prefix in said
    assert in_archive(site) == NEW
    held = read_receipts(site.layout, RID).held
    assert held
    assert isinstance(held.event, ObjectEvent)
    assert held.event.key.startswith(prefix)
    assert site.run(RID, config=forced(elsewhere)).success
    assert in_archive(site) == OLD
    assert not site.layout.receipt(RID, "held").exists()


def test_a_delivery_that_a_person_wants_all_the_same_is_done_and_redone(site: TrialSite) -> None:
    """The word is kept with the event: a retry, and a redo next month, must not ask again."""
    first, second = delivered(site, OLD, 6), delivered(site, NEW, 7)
    site.run(RID, second)
    site.run(RID, first)
    assert site.run(RID, config=forced(first)).success
    assert in_archive(site) == OLD
    assert site.run(RID, select="downloaded_bag+").success
    assert site.run(RID).success
    assert in_archive(site) == OLD
    assert failed_with(site.run(RID, first), "restored_message")[0] == "OlderDelivery", "the word was for that run"


def test_an_old_version_that_is_restored_after_the_new_one_is_held_before_it_is_downloaded(site: TrialSite) -> None:
    """Its event is the newer one; only S3 says that its bytes are not."""
    first = delivered(site, OLD, 6)
    time.sleep(1.1)  # S3 says whole seconds.
    assert site.run(RID, delivered(site, NEW, 7)).success
    of = of_key(first)
    late = site.run(RID, told(site, of.pop("key"), 8, **of))
    assert failed_with(late, "downloaded_bag")[0] == "OlderDelivery"
    assert not site.layout.zip(RID).exists()
    assert in_archive(site) == NEW


def test_a_later_restore_of_the_same_version_is_done(site: TrialSite) -> None:
    """Somebody wanted it again: that is no older delivery, whatever sequencer it lacks."""
    first = delivered(site, NEW, 6, sequencer="ff")
    assert site.run(RID, first).success
    of = {name: value for name, value in of_key(first).items() if name != "sequencer"}
    assert site.run(RID, told(site, of.pop("key"), 7, **of)).success


@pytest.mark.parametrize("keep", ["until-synced", "3 days"])
def test_a_sync_by_itself_does_not_take_an_old_debag_for_a_delivery_that_was_refused(
    tmp_path: Path, aws: Aws, keep: str
) -> None:
    """DRS had the refused one as synced, and its zip, which was to be looked at, was removed."""
    with trial_site(tmp_path, aws, keep=keep) as site:
        assert site.run(RID, site.restore(RID, bag_zip(RID, OLD))).success
        refused = site.restore(RID, bag_zip(RID, NEW, manifest=OLD)).replace("06:32:44", "07:00:00")
        assert not site.run(RID, refused).success
        kind, said = failed_with(site.run(RID, select="synced_archive"), "synced_archive")
        assert kind == "NothingStored"
        assert "start from downloaded_bag" in said
        assert site.layout.zip(RID).exists()
        rows = {row.event: row for row in site.drs.rows_of(RID)}
        identity: str = parse_message(refused)[0].identity  # type: ignore[union-attr]
        assert Stage.SYNCED_ARCHIVE not in rows[identity].times
        # Nor does a night's freeing take what nobody has archived.
        assert freed_of(Staging(root=str(site.site.staging.root), keep_days=0)) == ()


@pytest.mark.parametrize(
    ("stage", "first"), [("debagged_work", "downloaded_bag"), ("synced_archive", "downloaded_bag")]
)
def test_a_stage_by_itself_does_not_take_what_another_delivery_left(site: TrialSite, stage: str, first: str) -> None:
    """A new event is stored, and the zip and the folder are of the one before, with all their receipts."""
    before = delivered(site, OLD, 6)
    assert site.run(RID, before, select=["restored_message", "downloaded_bag", "debagged_work"]).success
    assert site.run(RID, delivered(site, NEW, 7), select="restored_message").success
    kind, said = failed_with(site.run(RID, select=stage), stage)
    assert kind == "NothingStored"
    assert f"start from {first}" in said
    assert not site.place(RID).exists()
    assert site.run(RID, select="downloaded_bag+").success
    assert in_archive(site) == NEW


def test_a_receipt_that_names_no_event_has_its_stage_done_again(tmp_path: Path, aws: Aws) -> None:
    """They are on each site's disk after an update: of which delivery they are, nobody can say any more."""
    with trial_site(tmp_path, aws, keep="3 days") as site:
        assert site.run(RID, site.restore(RID, bag_zip(RID, NEW))).success
        receipts = read_receipts(site.layout, RID)
        for receipt in (receipts.debagged, receipts.synced, read_placed(site.layout, RID, RID)):
            assert receipt
            old = unversioned(receipt)
            del old["took"]["event"]
            site.layout.receipt(RID, receipt.name).write_text(json.dumps(old))
        kind, said = failed_with(site.run(RID, select="synced_archive"), "synced_archive")
        assert kind == "NothingStored"
        assert "is not there for s3://" in said
        before = site.layout.work(RID).stat().st_ino
        assert site.run(RID, select="downloaded_bag+").success
        assert site.layout.work(RID).stat().st_ino != before


def test_a_receipt_never_speaks_of_what_a_killed_run_of_another_delivery_left(
    site: TrialSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder was the next delivery's, with as many files, and the receipt still the one before's."""
    first, second = delivered(site, OLD, 6), delivered(site, AS_LARGE, 7)
    unpack = ["restored_message", "downloaded_bag", "debagged_work"]
    assert site.run(RID, first, select=unpack).success
    write = Staging.write_receipt

    def killed(staging: Staging, receipt: Receipt, **more: Any) -> None:
        if isinstance(receipt, Debagged):
            raise OSError(errno.EIO, "the machine goes down")
        write(staging, receipt, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "write_receipt", killed)
        patch.setattr(dg.RetryPolicy, "calculate_delay", lambda _policy, _attempt: 0.0)
        assert not site.run(RID, second, select=unpack).success
    assert site.run(RID, config=forced(first)).success
    assert in_archive(site) == OLD
