"""A work in parts, as the archive's deep archive lays it down, taken through the real stages, script and archive."""

from __future__ import annotations

import json
import logging
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from ao_workflows.archive.shares import parts_folder
from ao_workflows.cli import status
from ao_workflows.clients import archive_shares, resources, sync_script
from ao_workflows.defs.sensors.queues import intake_sensor
from ao_workflows.drs.parts import by_parts
from ao_workflows.errors import WorkBusy
from ao_workflows.events.message_parts import WantedRun
from ao_workflows.intake.queue_rules import Selection, select_events
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.unneeded import Unneeded
from ao_workflows.status import noted_events
from ao_workflows.status.gathering import EvidenceSources, of_unfinished, of_works
from ao_workflows.status.runs import has_run_in_flight
from ao_workflows.status.standing import standing_of
from ao_workflows.status.state import WorkState
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.folder_sites import killed_before_step
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.part_sites import RID, archived, failure_of, part_zip, restored, run_part
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip, trial_site

GROUP, OTHER, CHANGES = f"{RID}-I1NLM4700_001", f"{RID}-I1NLM4700_002", f"{RID}-2025-03-02-inventory"
PARTS = (RID, GROUP, OTHER, CHANGES)


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield trial


def before_it_was_taken_apart(parts: Path) -> tuple[dict[str, bytes], dict[str, float]]:
    """The work as their zips have it, by plain reading: each file's bytes and time."""
    files: dict[str, bytes] = {}
    times: dict[str, float] = {}
    for name in PARTS:
        with zipfile.ZipFile(parts / f"{name}.bag.zip") as archive:
            for info in archive.infolist():
                _, inside, path = info.filename.partition("/data/")
                if not inside or info.is_dir():
                    continue
                first, second, rest = path.split("/", 2)
                path = f"{second}/{rest}" if first == RID else f"{second}/{first}/{rest}"
                files[path], times[path] = archive.read(info), datetime(*info.date_time).timestamp()  # noqa: DTZ001
    return files, times


@pytest.mark.parametrize("order", [PARTS, PARTS[::-1], (GROUP, CHANGES, RID, OTHER)], ids=["made", "reversed", "mixed"])
def test_the_parts_that_their_tool_made_become_the_work_again_in_whatever_order(
    site: TrialSite, shared_data: Path, order: tuple[str, ...]
) -> None:
    """Each became a work of its own in a place of its own; and the last to come wrote over what is newer."""
    bodies = {}
    for name in PARTS:
        bodies[name] = restored(site, name, (shared_data / f"parts/{name}.bag.zip").read_bytes())
    for name in order:
        assert run_part(site, name, bodies[name]).success
    files, times = before_it_was_taken_apart(shared_data / "parts")
    assert archived(site.place(RID)) == files
    found = {path: (site.place(RID) / path).stat().st_mtime for path in files}
    assert found == times
    assert [path.name for path in site.place(RID).parent.iterdir()] == [RID], "a part has a place of its own"
    assert all(Stage.SYNCED_ARCHIVE in row.times for row in site.drs.rows_of(RID))
    assert not list((site.site.staging.root / "works").iterdir())


def asked(site: TrialSite, *names: str) -> None:
    """Notes that the parts were asked of Glacier, as ``ao restore request`` does."""
    for name in names:
        site.drs.record(RID, Stage.RESTORE_REQUESTED, datetime.now(UTC), {"part": name, "key": f"{name}.bag.zip"})


def test_the_work_is_synced_for_the_archives_systems_when_all_parts_that_were_asked_for_are_in(site: TrialSite) -> None:
    """They read one column: after one image group of a thousand it said that the work is there."""
    asked(site, RID, GROUP, OTHER)
    page = {GROUP: {f"images/{GROUP}/1.jpg": PAGE}, OTHER: {f"images/{OTHER}/1.jpg": PAGE}, RID: {"sources/n": b"n"}}
    bodies = {name: restored(site, name, part_zip(name, files)) for name, files in page.items()}
    rotten = restored(
        site, OTHER, bag_zip(OTHER, {f"{OTHER}/images/1.jpg": b"x"}, manifest={f"{OTHER}/images/1.jpg": b"y"})
    )
    assert run_part(site, GROUP, bodies[GROUP]).success
    said = failure_of(run_part(site, OTHER, rotten))
    assert f"{OTHER}.bag.zip is not a valid bag" in said
    assert f"ao reprocess {RID} --part {OTHER}" in said
    assert run_part(site, RID, bodies[RID]).success
    (row,) = site.drs.rows_of(RID)
    assert Stage.SYNCED_ARCHIVE not in row.times, "one part is missing"
    assert archived(site.place(RID)) == page[GROUP] | page[RID], "the others stay"
    assert {part: Stage.SYNCED_ARCHIVE in of.times for part, of in by_parts(row).items()} == {
        GROUP: True,
        OTHER: False,
        RID: True,
    }
    mended = restored(site, OTHER, part_zip(OTHER, page[OTHER]), at="2026-11-22T06:32:44.000Z")
    result = run_part(site, OTHER, mended)
    assert result.success
    (synced,) = result.asset_materializations_for_node("synced_archive")
    assert synced.metadata["parts"].value == "3 parts: 3 in the archive"
    assert synced.metadata["part"].value == OTHER
    (row,) = site.drs.rows_of(RID)
    assert Stage.SYNCED_ARCHIVE in row.times
    assert archived(site.place(RID)) == page[GROUP] | page[RID] | page[OTHER]


def test_a_part_that_comes_twice_is_done_once_and_an_older_one_waits(site: TrialSite) -> None:
    """SQS delivers at least once, and an old version of a group is not to go over the new one."""
    files = {f"images/{GROUP}/1.jpg": PAGE}
    first = restored(site, GROUP, part_zip(GROUP, files))
    later = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": b"new"}), at="2026-11-23T06:32:44.000Z")
    assert run_part(site, GROUP, later).success
    assert run_part(site, GROUP, later).success
    said = failure_of(run_part(site, GROUP, first))
    assert "this delivery is older than what the archive has" in said
    assert f"ao reprocess {RID} --part {GROUP} --force" in said
    other = restored(site, OTHER, part_zip(OTHER, {f"images/{OTHER}/1.jpg": PAGE}))
    assert run_part(site, OTHER, other).success, "another part is no rival"
    assert archived(site.place(RID)) == {f"images/{GROUP}/1.jpg": b"new", f"images/{OTHER}/1.jpg": PAGE}


@pytest.mark.parametrize("stage", ["downloaded_bag", "debagged_work", "synced_archive"])
def test_a_part_whose_run_was_killed_goes_on_with_its_own_receipts(site: TrialSite, stage: str) -> None:
    """A run may die between any two steps, and another part of the work may come before it is run again."""
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": PAGE}))
    rest = restored(site, RID, part_zip(RID, {"sources/n": b"n"}))
    stages = ["restored_message", "downloaded_bag", "debagged_work", "synced_archive"]
    assert run_part(site, GROUP, group, select=stages[: stages.index(stage)]).success
    assert run_part(site, RID, rest).success
    assert run_part(site, GROUP, select=stages[stages.index(stage) :]).success
    assert archived(site.place(RID)) == {f"images/{GROUP}/1.jpg": PAGE, "sources/n": b"n"}


def test_killed_before_the_script_a_newer_part_still_keeps_its_files(site: TrialSite) -> None:
    """Noted only afterwards, an older part that comes meanwhile would be what the archive has in the end. It does bring
    what the archive lacks: if the newer part never comes, nobody would have the file, and its run would be green.
    """
    rest = restored(site, RID, part_zip(RID, {"sources/n": b"old", "sources/m": b"m"}))
    change = restored(site, CHANGES, part_zip(CHANGES, {"sources/n": b"new"}))
    dead = replace(sync_script(site.site), script="/bin/false")
    assert not run_part(site, CHANGES, change, sync_script=dead).success
    assert run_part(site, RID, rest).success
    assert archived(site.place(RID)) == {"sources/n": b"old", "sources/m": b"m"}, "until the newer part brings its own"
    assert run_part(site, CHANGES, select="synced_archive").success
    assert archived(site.place(RID)) == {"sources/n": b"new", "sources/m": b"m"}


def test_killed_at_any_step_a_part_s_run_ends_right_when_it_is_run_again(site: TrialSite) -> None:
    """With processes and SIGKILL: before a receipt, the note of what it writes, the tree, and the archive's own. What
    a newer part wrote stays as that wrote it, also between a note and the script.
    """
    groups = [f"{RID}-I{number}" for number in range(1, 40)]
    bodies = []
    for group in groups:
        pages = {f"images/{group}/1.jpg": PAGE, f"images/{group}/2.jpg": b"old"}
        bodies.append(restored(site, group, part_zip(group, pages)))
    newer = {f"images/{group}/2.jpg": b"new" for group in groups}
    assert run_part(site, CHANGES, restored(site, CHANGES, part_zip(CHANGES, newer))).success
    wanted = dict(newer)
    roots = [site.layout.root / "receipts", site.layout.root / "works", site.folder / "archive"]
    for number, (group, body) in enumerate(zip(groups, bodies, strict=True), 1):
        step = killed_before_step(number, roots, lambda g=group, b=body: run_part(site, g, b), renames_only=True)
        if not step.killed:
            break
        assert run_part(site, group, body).success, f"killed before its step {number}"
        wanted[f"images/{group}/1.jpg"] = PAGE
        assert archived(site.place(RID)) == wanted, f"killed before its step {number}"
    assert number > len(Stage), "nothing was killed"
    assert not list((site.layout.root / "works").iterdir())


def test_an_older_group_does_not_go_over_a_newer_whole_zip(site: TrialSite) -> None:
    """The whole work left no note, and the group's older page was what the archive had in the end: green, and wrong."""
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": b"old"}))
    time.sleep(1.1)
    whole = restored(site, RID, part_zip(RID, {f"images/{GROUP}/1.jpg": b"new", "sources/n": b"n"}))
    assert run_part(site, RID, whole).success
    result = run_part(site, GROUP, group)
    assert result.success
    assert archived(site.place(RID)) == {f"images/{GROUP}/1.jpg": b"new", "sources/n": b"n"}


def test_an_older_group_does_not_go_over_a_whole_zip_that_only_drs_knows(site: TrialSite) -> None:
    """A site's works from before such notes were written have none."""
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": b"old", f"images/{GROUP}/2.jpg": b"2"}))
    time.sleep(1.1)
    whole = restored(site, RID, part_zip(RID, {f"images/{GROUP}/1.jpg": b"new"}))
    assert run_part(site, RID, whole).success
    shutil.rmtree(parts_folder(Path(sync_script(site.site).archive_parent), RID), ignore_errors=True)
    assert run_part(site, GROUP, group).success
    assert archived(site.place(RID)) == {f"images/{GROUP}/1.jpg": b"new", f"images/{GROUP}/2.jpg": b"2"}


def test_the_rest_of_a_work_is_taken_though_its_whole_zip_lies_where_it_lay_before_2024(site: TrialSite) -> None:
    """For half of all works the two keys differ, and each of these waited for a person's word."""
    rid = "W1NLM4760"
    whole = bag_zip(rid, {f"images/{rid}-I1/1.jpg": PAGE, "sources/n": b"old"})
    before = restored(site, rid, whole, folder=rid, share="Archive1/60")
    time.sleep(1.1)
    rest = bag_zip(rid, {f"{rid}/sources/n": b"new"})
    now = restored(site, rid, rest, folder=rid, share="Archive2/60", at="2026-11-20T06:32:44.000Z")
    assert site.run(rid, before).success
    assert site.run(rid, now).success, "its event came first, but it was written later"
    found = archived(site.place(rid))
    assert (found["sources/n"], found[f"images/{rid}-I1/1.jpg"]) == (b"new", PAGE)
    assert "this delivery is older than what the archive has" in failure_of(site.run(rid, before))
    assert archived(site.place(rid)) == found


def test_a_failed_sync_names_the_part(site: TrialSite) -> None:
    """Of a thousand groups a person must see which one it was."""
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": PAGE}))
    dead = replace(sync_script(site.site), script="/bin/false")
    said = failure_of(run_part(site, GROUP, group, sync_script=dead))
    assert said.startswith(f"{GROUP} of {RID}: the sync script exited with 1")


def test_a_page_that_the_newer_group_lacks_stays_and_is_told(site: TrialSite) -> None:
    """Older then newer it stays, since nothing is removed without a person's word; newer then older it is not brought.
    The run says so either way.
    """
    whole = restored(site, RID, part_zip(RID, {f"images/{GROUP}/1.jpg": b"1", f"images/{GROUP}/2.jpg": b"2"}))
    time.sleep(1.1)
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": b"new"}))
    assert run_part(site, RID, whole).success
    result = run_part(site, GROUP, group)
    (synced,) = result.asset_materializations_for_node("synced_archive")
    assert synced.metadata["files that only the archive has"].value == 1
    assert synced.metadata["such as"].value == f"{RID}/images/{GROUP}/2.jpg"
    assert archived(site.place(RID)) == {f"images/{GROUP}/1.jpg": b"new", f"images/{GROUP}/2.jpg": b"2"}


def test_a_run_without_a_part_says_which_parts_there_are(site: TrialSite) -> None:
    """Who materializes the work in the web page has given no part, and must learn how to."""
    body = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": PAGE}))
    assert run_part(site, GROUP, body).success
    said = failure_of(site.run(RID, select="downloaded_bag+"))
    assert f"it came in parts, {GROUP}; to redo one: ao reprocess {RID} --part {GROUP}" in said


def test_a_part_replaces_nothing(site: TrialSite) -> None:
    """What the other parts brought would go, and with it all but one of a thousand groups."""
    rest = restored(site, RID, part_zip(RID, {"sources/n": b"n"}))
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": PAGE}))
    assert run_part(site, GROUP, group).success
    assert "--replace would remove all that the other parts brought" in failure_of(
        run_part(site, RID, rest, word={"replace": True})
    )
    (site.folder / "sync.yml").write_text("sync: {replace: true}")
    script = replace(sync_script(site.site), options=str(site.folder / "sync.yml"))
    assert run_part(site, RID, rest, sync_script=script).success
    assert archived(site.place(RID)) == {f"images/{GROUP}/1.jpg": PAGE, "sources/n": b"n"}


def test_a_work_that_the_archive_has_inverted_stays_so(site: TrialSite) -> None:
    """Half of its groups would be where the other half is not."""
    old = site.place(RID) / OTHER / "images"
    old.mkdir(parents=True)
    (old / "1.jpg").write_bytes(PAGE)
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": PAGE}))
    assert run_part(site, GROUP, group).success
    assert archived(site.place(RID)) == {f"{OTHER}/images/1.jpg": PAGE, f"{GROUP}/images/1.jpg": PAGE}


def test_what_was_unpacked_for_one_structure_is_not_synced_into_the_other(site: TrialSite) -> None:
    """Another host may have brought the work's first group in between."""
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": PAGE}))
    assert run_part(site, GROUP, group, select="*debagged_work").success
    old = site.place(RID) / OTHER / "images"
    old.mkdir(parents=True)
    said = failure_of(run_part(site, GROUP, select="synced_archive"))
    assert f"ao reprocess {RID} --part {GROUP} --from debagged_work --fresh" in said


def test_a_zip_under_a_wrong_key_is_refused_with_a_way_out(site: TrialSite) -> None:
    """The pages of one work would be in another."""
    alien = restored(site, GROUP, bag_zip(GROUP, {"W9-I1/images/1.jpg": PAGE}))
    said = failure_of(run_part(site, GROUP, alien))
    assert f"it was sent as {GROUP} of {RID} and holds W9-I1" in said
    assert site.layout.report(f"{RID}+{GROUP}").exists()
    assert not site.place(RID).exists()


def from_the_queue(site: TrialSite, *bodies: str) -> list[dg.RunRequest]:
    """The runs that a tick of the intake's sensor asks for."""
    url = site.aws.sqs.get_queue_url(QueueName=site.intake.queue)["QueueUrl"]
    for body in bodies:
        site.aws.sqs.send_message(QueueUrl=url, MessageBody=body)
    sensor = intake_sensor("demo", site.intake, site.site)
    with dg.build_sensor_context(
        instance=site.instance, sensor_name="demo_intake", resources=resources(site.site)
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return [*(result.run_requests or ())]


def test_from_the_queue_each_part_is_a_run_of_its_works_partition(site: TrialSite) -> None:
    """One run for both would bring one of them; and two partitions would let them write at once."""
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": PAGE}))
    rest = restored(site, RID, part_zip(RID, {"sources/n": b"n"}))
    requests = from_the_queue(site, group, rest)
    assert {request.partition_key for request in requests} == {RID}
    assert sorted(request.tags.get("ao/part", RID) for request in requests) == [RID, GROUP]
    assert len({request.run_key for request in requests}) == 2
    staging = Staging(root=str(site.site.staging.root))
    assert sorted(noted_events.works(staging, 9)) == [RID, f"{RID}+{GROUP}"]
    for request in requests:
        assert site.run(RID, config=request.run_config, tags=request.tags).success
    assert archived(site.place(RID)) == {f"images/{GROUP}/1.jpg": PAGE, "sources/n": b"n"}
    assert noted_events.works(staging, 9) == []


def test_an_intake_of_whole_works_takes_no_part(site: TrialSite) -> None:
    """A site whose works are called so is not to be broken by what another's parts are called."""
    intake = site.intake.model_copy(update={"layout": "whole"})
    body = restored(site, GROUP, bag_zip(GROUP, {"images/1.jpg": PAGE}))
    selected = select_events(body, intake.bucket, intake.events, intake.keys, intake.layout)
    assert [wanted.staged for wanted in selection_of(selected)] == [GROUP]
    assert site.run(GROUP, body).success
    assert "images/1.jpg" in archived(site.place(GROUP))


def selection_of(selected: Selection) -> tuple[WantedRun, ...]:
    assert selected.rejected is None
    return selected.wanted


def test_two_parts_of_a_work_at_the_same_moment_are_done_one_after_the_other(site: TrialSite) -> None:
    """Both would take the work's place over from what the other has not finished."""
    one, other = (Staging(root=str(site.site.staging.root)) for _ in range(2))
    one.hold(f"{RID}+{GROUP}", "run 1")
    with pytest.raises(WorkBusy, match="is being worked on by run 1"):
        other.hold(f"{RID}+{OTHER}", "run 2")
    one.release()
    other.hold(f"{RID}+{OTHER}", "run 2")
    other.release()


def test_each_part_stands_where_it_stands(site: TrialSite, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a thousand groups a person must see which one failed, and how to redo it."""
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": PAGE}))
    rotten = restored(site, OTHER, bag_zip(OTHER, {"images/1.jpg": b"x"}, manifest={"images/1.jpg": b"y"}))
    asked(site, GROUP, OTHER, CHANGES)
    assert run_part(site, GROUP, group).success
    assert not run_part(site, OTHER, rotten).success
    sources = EvidenceSources(Staging(root=str(site.site.staging.root)), site.drs, site.instance)
    found = [standing_of(each, datetime.now(UTC), site.site.watch.limits) for each in of_works(sources, [RID]).evidence]
    assert {(each.rid, each.part): each.state for each in found} == {
        (RID, CHANGES): WorkState.ASKED,
        (RID, GROUP): WorkState.IN_ARCHIVE,
        (RID, OTHER): WorkState.FAILED,
    }
    assert not any(each.disagreements for each in found)
    status._print(found, 3, "", limited=False)
    told = capsys.readouterr().out
    assert f"{RID} is in parts: 1 of the 3 known here in the archive" in told
    assert f"{OTHER}" in told


def test_a_part_whose_event_no_run_has_stored_is_told(site: TrialSite) -> None:
    """Its message is deleted, and its run was never made: nobody would ever know of it."""
    assert from_the_queue(site, restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": PAGE})))
    (note,) = site.layout.events(f"{RID}+{GROUP}").iterdir()
    note.write_text(json.dumps(json.loads(note.read_text()) | {"at": "2026-11-21T07:00:00+00:00"}))
    sources = EvidenceSources(Staging(root=str(site.site.staging.root)), site.drs, site.instance)
    found = [each for each in of_unfinished(sources, datetime.now(UTC)).evidence if each.noted]
    assert [each.rid for each in found] == [f"{RID}+{GROUP}"]
    standing = standing_of(found[0], datetime.now(UTC), site.site.watch.limits)
    assert (standing.part, standing.advice) == (
        GROUP,
        f"To go on with it: ao reprocess {RID} --part {GROUP} --from restored_message",
    )


def test_by_night_each_kept_part_is_freed_by_itself(site: TrialSite) -> None:
    """A thousand groups of one work would fill the disk; and the one that a run wants stays."""
    kept = Staging(root=str(site.site.staging.root), keep_days=1)
    for name, files in ((GROUP, {f"images/{GROUP}/1.jpg": PAGE}), (RID, {"sources/n": b"n"})):
        assert run_part(site, name, restored(site, name, part_zip(name, files)), staging=kept).success
    kept.release()
    works = site.layout.root / "works"
    assert sorted(path.name for path in works.iterdir()) == [RID, f"{RID}+{GROUP}"]
    due = Staging(root=kept.root, keep_days=0)
    shares = archive_shares(site.site)

    def free(wanted: Callable[[str], bool]) -> tuple[str, ...]:
        unneeded = Unneeded(due, shares.look_for_all, wanted, logging.getLogger())
        unneeded.free_all()
        return unneeded.freed

    assert free(lambda name: name == f"{RID}+{GROUP}") == (RID,)
    assert free(lambda name: has_run_in_flight(site.instance, name)) == (f"{RID}+{GROUP}",)
    assert not list(works.iterdir())
