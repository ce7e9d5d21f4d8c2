"""What cannot be freed: the work is in the archive all the same, it is told, and it stands in nobody's way."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from ao_workflows.machine.disk import removal_name
from ao_workflows.staging import rejected_messages
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.retention import kept_until
from ao_workflows.staging.room import Room
from ao_workflows.staging.staging import Staging
from ao_workflows.works.stages import RUN_STAGES, Stage
from ao_workflows_tests.machine.test_disk import make_deep
from ao_workflows_tests.support.kept_works import change_receipt, kept, unneeded_of
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.receipts import downloaded
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip, trial_site
from ao_workflows_tests.support.small_disks import fill, mounted

RID = "W1NLM4712"
FILES = {"images/W1NLM4712-I1/0001.jpg": PAGE, "empty.txt": b""}


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield trial


@pytest.fixture
def in_the_way(site: TrialSite) -> Iterator[TrialSite]:
    """The site, whose script leaves something beside the zip that cannot be removed: a disk that is mounted there."""
    with mounted(site.folder / "probe", "size=1m"):
        pass
    beside = site.layout.incoming(RID) / "mounted"
    script = site.folder / "mounting.sh"
    script.write_text(
        f'#!/bin/bash\nset -e\n"{site.site.sync.script}" "$@"\n'
        f'[[ -e "{site.folder}/once" ]] || {{ touch "{site.folder}/once"; mkdir "{beside}"\n'
        f'mount -t tmpfs -o size=1m none "{beside}"; }}\n'
    )
    script.chmod(0o755)
    sync = site.site.sync.model_copy(update={"script": str(script)})
    yield dataclasses.replace(site, site=site.site.model_copy(update={"sync": sync}))
    unmount(site)


def unmount(site: TrialSite) -> None:
    for line in Path("/proc/mounts").read_text().splitlines():
        if str(site.folder) in line:
            subprocess.run(["umount", "--lazy", line.split()[1]], check=True)


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (said,) = [
        event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey("synced_archive")
    ]
    return {name: value.value for name, value in said.items()}


def test_a_work_that_cannot_be_freed_is_told_and_its_next_run_and_others_go_on(in_the_way: TrialSite) -> None:
    """The archive was proven, DRS had the record, and the work failed: then, and each time that it came again."""
    site = in_the_way
    first = site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
    assert first.success
    (left,) = site.layout.incoming(RID).parent.glob(f".{RID}.going-*.tmp/mounted")
    assert str(left) in told(first)["not freed"]
    assert "remove it by hand" in told(first)["not freed"]
    assert not site.layout.incoming(RID).exists()
    assert not site.layout.work(RID).exists()
    assert not site.layout.reservation(RID).exists()
    (row,) = site.drs.rows([RID])
    assert Stage.SYNCED_ARCHIVE in row.times
    again = site.run(RID, site.restore(RID, bag_zip(RID, FILES)).replace("06:32:44", "07:00:00"))
    assert again.success
    assert told(again)["freed on the scratch disk"] == RID
    assert "not freed" not in told(again)
    assert site.run("W1NLM4713", site.restore("W1NLM4713", bag_zip("W1NLM4713", FILES))).success


@pytest.mark.parametrize(("levels", "name"), [(1100, "d"), (60, "n" * 200)], ids=["deep", "long"])
def test_a_work_of_any_depth_is_freed(tmp_path: Path, levels: int, name: str) -> None:
    """Freeing went down by recursion, and ended at a thousand folders."""
    staging = Staging(root=str(tmp_path))
    make_deep(staging.layout.work("W1") / "W1", levels, name)
    make_deep(staging.layout.work_under_way("W1", "killed"), levels, name)
    make_deep(staging.layout.report("W1").parent, levels, name)
    staging.room.promise("W1", 1, print)
    staging.hold("W1", "run")
    staging.remove_report("W1")
    staging.free("W1")
    assert list(staging.layout.work("W1").parent.iterdir()) == []
    assert not staging.layout.report("W1").parent.exists()


def test_a_kept_work_that_cannot_be_freed_does_not_keep_another(tmp_path: Path) -> None:
    """The first in the line would be tried again and again, and the disk be full of those behind it."""
    staging = Staging(root=str(tmp_path), keep_days=3)
    kept(staging, "W1", 9)
    kept(staging, "W2", 8)
    with mounted(staging.layout.work("W1") / "mounted", "size=1m"):
        unneeded = unneeded_of(staging)
        unneeded.free_all()
        assert unneeded.freed == ("W2",)
        (said,) = unneeded.kept.stuck
        assert "/mounted: cannot be removed" in said
    again = unneeded_of(staging)
    again.free_all()
    assert (again.left_overs.count, again.left_overs.stuck) == (1, ())
    assert list(staging.layout.work("W1").parent.iterdir()) == []


@pytest.fixture
def small_site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    """A site that keeps works for three days, on a scratch disk of its own that holds little more than two."""
    with (
        mounted(tmp_path / "site/staging", "size=3m"),
        trial_site(tmp_path / "site", aws, keep="3 days") as trial,
    ):
        staging = trial.site.staging.model_copy(update={"reserve_gib": 0, "room_wait_hours": 0})
        yield dataclasses.replace(trial, site=trial.site.model_copy(update={"staging": staging}))


LARGE = {f"images/I1/{number}.jpg": PAGE + bytes([number]) for number in range(50)}
"""A work whose zip and folder need a good MiB of the disk."""


def done_long_ago(site: TrialSite, rid: str, days: float = 9, files: dict[str, bytes] = LARGE) -> None:
    """Has the work restored, synced and kept, some days ago."""
    assert site.run(rid, site.restore(rid, bag_zip(rid, files))).success
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
    for stage in RUN_STAGES:
        change_receipt(site.layout.receipt(rid, stage), lambda receipt: receipt.update(at=at))


def logged(site: TrialSite, result: dg.ExecuteInProcessResult) -> str:
    """All that the run's log has."""
    return "\n".join(f"{entry.message} {entry.dagster_event}" for entry in site.instance.all_logs(result.run_id))


def kept_on(site: TrialSite) -> list[str]:
    """The works whose zips are on the scratch disk."""
    folder = site.layout.incoming(RID).parent
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_run_that_needs_room_frees_the_first_synced_and_no_more_than_it_needs(small_site: TrialSite) -> None:
    """A disk full of works whose time was over was freed by nobody, and each run failed for want of room."""
    for rid, days in (("W1NLM4700", 5), ("W1NLM4725", 9)):
        done_long_ago(small_site, rid, days)
    result = small_site.run(RID, small_site.restore(RID, bag_zip(RID, LARGE)))
    assert result.success
    assert kept_on(small_site) == ["W1NLM4700", RID]
    assert "of W1NLM4725: in the archive since" in logged(small_site, result)
    assert (small_site.place("W1NLM4725") / "images/I1/49.jpg").exists()


def test_a_run_that_has_room_frees_no_other_work(small_site: TrialSite) -> None:
    """Whose folder could not be removed failed the run of another, which was in the archive."""
    done_long_ago(small_site, "W1NLM4700", files=FILES)
    with mounted(small_site.layout.work("W1NLM4700") / "mounted", "size=1m"):
        result = small_site.run(RID, small_site.restore(RID, bag_zip(RID, FILES)))
        assert result.success
        assert told(result)["freed on the scratch disk"] == "nothing"
        assert "not freed" not in told(result)
        assert kept_on(small_site) == ["W1NLM4700", RID]


def test_what_a_run_cannot_free_is_in_its_log_and_does_not_fail_it(small_site: TrialSite) -> None:
    """A person must learn of it, and the work that asks for room has nothing to do with it."""
    done_long_ago(small_site, "W1NLM4700", 9)
    done_long_ago(small_site, "W1NLM4725", 5)
    with mounted(small_site.layout.work("W1NLM4700") / "mounted", "size=64k"):
        result = small_site.run(RID, small_site.restore(RID, bag_zip(RID, LARGE)))
        assert result.success
        said = logged(small_site, result)
        assert "W1NLM4700, in the archive and no longer to be kept, was not freed: staging: " in said
        assert "/mounted: cannot be removed: another file system is mounted there" in said


def test_works_whose_share_is_not_there_are_kept_though_a_run_needs_room(small_site: TrialSite) -> None:
    """Their copy on scratch may be the only one that can be read: the run waits, and says which share it is."""
    for rid in ("W1NLM4700", "W1NLM4701"):
        done_long_ago(small_site, rid)
    tree = small_site.place("W1NLM4700").parents[1]
    tree.rename(tree.with_name("away"))
    result = small_site.run("W1NLM4725", small_site.restore("W1NLM4725", bag_zip("W1NLM4725", LARGE)))
    assert not result.success
    said = logged(small_site, result)
    assert "no room for W1NLM4725" in said
    assert f"W1NLM4700, in the archive and no longer to be kept, was not freed: {tree}: " in said
    assert kept_on(small_site) == ["W1NLM4700", "W1NLM4701"]


def test_a_work_that_waits_in_the_queue_is_kept_though_another_needs_room(small_site: TrialSite) -> None:
    """It was to be synced again from what is on scratch, and would have had to be restored by Glacier."""
    for rid in ("W1NLM4700", "W1NLM4725"):
        done_long_ago(small_site, rid)
    asked = {"dagster/partition": "W1NLM4700"}
    create_run_for_test(small_site.instance, "restore_work", status=dg.DagsterRunStatus.NOT_STARTED, tags=asked)
    assert small_site.run(RID, small_site.restore(RID, bag_zip(RID, LARGE))).success
    assert kept_on(small_site) == ["W1NLM4700", RID]


def test_a_kept_work_whose_sync_was_done_again_and_failed_is_not_freed(small_site: TrialSite) -> None:
    """The script had emptied the archive's copy and died of it, and the next run freed the only whole one."""
    done_long_ago(small_site, "W1NLM4700", 9)
    done_long_ago(small_site, "W1NLM4725", 5)
    script = small_site.folder / "emptying.sh"
    script.write_text(f'#!/bin/bash\nrm -r "{small_site.place("W1NLM4700")}/images"\nexit 1\n')
    script.chmod(0o755)
    sync = small_site.site.sync.model_copy(update={"script": str(script)})
    failing = dataclasses.replace(small_site, site=small_site.site.model_copy(update={"sync": sync}))
    assert not failing.run("W1NLM4700", select="synced_archive", word={"replace": True}).success
    assert not (small_site.place("W1NLM4700") / "images").exists()
    assert small_site.run(RID, small_site.restore(RID, bag_zip(RID, LARGE))).success
    assert kept_on(small_site) == ["W1NLM4700", RID]
    assert small_site.run("W1NLM4700", select="synced_archive").success
    assert (small_site.place("W1NLM4700") / "images/I1/49.jpg").exists()
    assert kept_until(Staging(root=str(small_site.site.staging.root)).receipts("W1NLM4700"), 3)


def test_a_run_that_finds_the_disk_full_to_the_last_byte_frees_it(
    small_site: TrialSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first receipt found no byte, long before it asked for room, and it was tried again until it failed."""
    done_long_ago(small_site, "W1NLM4700")
    body = small_site.restore(RID, bag_zip(RID, FILES))
    fill(Path(small_site.site.staging.root))
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda *_: 0.0)
    result = small_site.run(RID, body)
    retries = [event.step_key for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert result.success, result.all_events[-2]
    assert retries == ["restored_message"]
    assert kept_on(small_site) == [RID]


def test_a_work_called_messages_takes_no_kept_message_with_it(tmp_path: Path) -> None:
    """Every message that could not be used was deleted when that work's bag was good."""
    staging = Staging(root=str(tmp_path))
    rejected_messages.keep(staging, "demo", "queue", "m1", "{}", "it is no event")
    for rid in ("messages", "works"):
        staging.write_report(rid, f"{rid}.bag.zip", [], "run", "s3://b/k")
        staging.remove_report(rid)
    assert [kept.message_id for kept in rejected_messages.kept_messages(staging)] == ["m1"]


def test_a_receipt_of_a_name_in_other_case_is_none(tmp_path: Path) -> None:
    """On a disk that takes both for one, ``w1`` would be spared the download of its own bag."""
    staging = Staging(root=str(tmp_path))
    staging.write_receipt(downloaded(rid="W1"))
    staging.layout.receipt("W1", "any").parent.rename(staging.layout.receipt("w1", "any").parent)
    assert staging.receipts("w1") == Receipts()


def test_a_run_on_a_full_disk_goes_on_when_there_is_room(
    tmp_path: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has left its queue: a run that ends for good at its first receipt waits for a person."""
    pages = {f"images/I1/{number}.jpg": PAGE for number in range(40)}
    with mounted(tmp_path / "site/staging", "size=8m") as disk, trial_site(tmp_path / "site", aws) as trial:
        staging = trial.site.staging.model_copy(update={"reserve_gib": 0})
        site = dataclasses.replace(trial, site=trial.site.model_copy(update={"staging": staging}))
        body = site.restore(RID, bag_zip(RID, pages))
        ballast = fill(disk)

        def give(pages: int) -> None:
            with ballast.open("r+b") as some:
                some.truncate(max(0, ballast.stat().st_size - pages * 4096))

        def wait_for_a_retry(_policy: dg.RetryPolicy, _attempt: int) -> float:
            # One page of memory, as a person would free one file: the next write may find the disk full again.
            give(1)
            return 0.0

        monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", wait_for_a_retry)
        # What waits for its room gets that, and no byte for the receipts and logs that follow.
        monkeypatch.setattr("ao_workflows.staging.room.ASK_AGAIN_SECONDS", 0.0)
        look = Room._look

        def look_and_give(room: Room, rid: str, needed: int, asked: int) -> Any:
            figures, ahead = look(room, rid, needed, asked)
            give(-(-max(0, figures.needs - figures.free) // 4096))
            return figures, ahead

        monkeypatch.setattr(Room, "_look", look_and_give)
        result = site.run(RID, body)
        retries = [
            str(event.step_retry_data.error)
            for event in result.all_events
            if event.event_type_value == "STEP_UP_FOR_RETRY"
        ]
        assert result.success, result.all_events[-2]
        assert all("the disk is full" in retry for retry in retries)
        met = {place for place in ("locks/", "receipts/", "reservations/") for retry in retries if place in retry}
        assert met >= {"locks/", "receipts/"}, retries
        assert sorted(path.name for path in (site.place(RID) / "images/I1").iterdir()) == sorted(
            f"{number}.jpg" for number in range(40)
        )


def test_what_is_half_made_in_place_of_another_is_set_aside(tmp_path: Path) -> None:
    """What will not go must not keep a run from unpacking, nor one that unpacked from putting its work in place."""
    from ao_workflows.machine.new_trees import NewTree

    into, under_way = tmp_path / "works/W1", tmp_path / "works/.W1.run.tmp"
    with mounted(into / "mounted", "size=1m"), mounted(under_way / "mounted", "size=1m"):
        with NewTree(under_way) as tree:
            (tree.path / "new").touch()
            tree.publish(into)
        assert [path.name for path in into.iterdir()] == ["new"]
        names = {path.name.rpartition("-")[0] for path in into.parent.iterdir() if path != into}
        assert names == {removal_name(into).name.rpartition("-")[0]}
