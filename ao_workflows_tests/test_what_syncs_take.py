"""What a sync takes from what the archive has, run here with the reference script and others: nothing of another
work's, nothing by a bag's own word, nothing that is not listed and kept.
"""

from __future__ import annotations

import io
import os
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows.archive.places import web_prefix
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.archive_rule import FIND_BUCKET
from ao_workflows_tests.support.desks import FILES, OTHER, RID, SEND, Desk, two_works
from ao_workflows_tests.support.sites import PAGE, bag_zip
from ao_workflows_tests.test_whose_work import with_settings

QUICK = f"""#!/bin/bash
{FIND_BUCKET}
# A site's own script, which leaves it to rsync whether a file is the same, and writes into the files that are there.
while getopts a:w:s:AW option; do
    case $option in a) parent=$OPTARG ;; s) list=$OPTARG ;; A) delete=--delete-after ;; w | W) ;; esac
done
work=${{!OPTIND}}; rid=$(basename "$work"); find_bucket
echo "$rid" >>"$0.starts"
mkdir -p "$parent$share/$bucket" &&
    rsync -rt --inplace ${{delete:+--delete-after --ignore-times}} "$work/" "$parent$share/$bucket/$rid/" &&
    echo "$rid" >>"$list"
"""
PAGE_1 = "images/W1NLM4712-I1/0001.jpg"
CORRECTED = b"X" + PAGE[1:]


def tree(folder: Path) -> dict[str, bytes]:
    """The files below the folder, but those that make the bag."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if ".bag/" not in name}


def timed(files: dict[str, bytes]) -> bytes:
    """A bag in which every file has one and the same time, whenever it was made."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bag_zip(RID, files))) as made, zipfile.ZipFile(out, "w") as same:
        for member in made.infolist():
            data = made.read(member)
            member.date_time = (2020, 1, 2, 3, 4, 6)
            same.writestr(member, data)
    return out.getvalue()


def deliver(desk: Desk, data: bytes, minute: int, **how: Any) -> dg.ExecuteInProcessResult:
    """One more delivery of the work, later than those before."""
    return desk.site.run(RID, desk.site.restore(RID, data).replace("06:32:44", f"07:{minute:02}:00"), **how)


def replaced(desk: Desk, rid: str = RID) -> list[dict[str, bytes]]:
    """What is kept of what syncs took from the work, the oldest first."""
    folder = desk.site.place(rid).parents[1] / ".ao-archive" / "replaced" / rid
    return [tree(path) for path in sorted(folder.iterdir())] if folder.exists() else []


def logged(desk: Desk, result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(entry.message for entry in desk.site.instance.all_logs(result.run_id))


def quick(desk: Desk) -> Path:
    path = desk.site.folder / "quick.sh"
    path.write_text(QUICK)
    path.chmod(0o755)
    desk.change("sync", script=str(path))
    return path


# --- the same size, the same time, other bytes


def test_a_corrected_page_of_the_same_size_and_time_reaches_the_archive(desk: Desk) -> None:
    """Zips count time in steps of two seconds, and scans have one size: new tag files came to lie over old pages."""
    assert deliver(desk, timed(FILES), 1).success
    files = FILES | {PAGE_1: CORRECTED}
    result = deliver(desk, timed(files), 2)
    assert result.success
    assert tree(desk.site.place(RID)) == files
    assert replaced(desk) == [{PAGE_1: PAGE}]


def test_with_a_script_that_goes_by_size_and_time_the_proof_names_the_file_and_the_way_which_works(desk: Desk) -> None:
    """The advice was to set `replace` for the whole site."""
    quick(desk)
    assert deliver(desk, timed(FILES), 1).success
    stood = (desk.site.place(RID) / PAGE_1).stat()
    result = deliver(desk, timed(FILES | {PAGE_1: CORRECTED}), 2)
    said = desk.failure(result)
    (check,) = [found for found in result.get_asset_check_evaluations() if not found.passed]
    table: Any = check.metadata["problems"]
    assert PAGE_1 in [record.data["file"] for record in table.records]
    assert f"To have the archive's copy replaced, for one run: ao reprocess {RID} --replace" in said
    (desk.site.place(RID) / "added by hand.txt").write_text("old")
    result = desk.again(word={"replace": True})
    assert result.success, desk.failure(result)
    assert tree(desk.site.place(RID)) == FILES | {PAGE_1: CORRECTED}
    # The script wrote into the file that was there: what was kept of it is no link.
    assert (desk.site.place(RID) / PAGE_1).stat().st_ino == stood.st_ino
    assert replaced(desk)[-1] == {PAGE_1: PAGE, "added by hand.txt": b"old"}


def test_what_was_seen_to_differ_is_not_believed_by_its_size(desk: Desk) -> None:
    """The look before had found the corrected page; the script passed over it, and so did the proof by size."""
    desk.change("sync", verify="size")
    quick(desk)
    assert deliver(desk, timed(FILES), 1).success
    said = desk.failure(deliver(desk, timed(FILES | {PAGE_1: CORRECTED}), 2))
    assert "has another sha512 than was bagged" in said
    assert f"ao reprocess {RID} --replace" in said
    assert desk.again(word={"replace": True}).success
    assert tree(desk.site.place(RID)) == FILES | {PAGE_1: CORRECTED}


def test_what_is_there_unchanged_is_read_once_and_what_is_written_is_read_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two looks at the archive would read all of it twice; a byte that went wrong after the first is still found."""
    from ao_workflows.fixity import trees as fixity

    assert desk.run().success
    receipt = desk.site.layout.receipt(RID, f"synced_archive.{RID}")
    receipt.unlink()
    monkeypatch.setattr(fixity, "_SETTLED_NS", 0)
    read: list[str] = []
    digest = fixity._file_digest
    place = str(desk.site.place(RID))

    def counted(path: str, *rest: Any) -> str:
        read.append(path) if path.startswith(place) else None
        return digest(path, *rest)

    monkeypatch.setattr(fixity, "_file_digest", counted)
    assert deliver(desk, bag_zip(RID, FILES), 1).success
    assert sorted(path for path in read if ".bag/" not in path) == sorted(f"{place}/{name}" for name in FILES)
    receipt.unlink()
    # Time and size are as they were; the file was written to all the same.
    desk.wrap(
        f'sync "$@"; cp -p {place}/text.txt {desk.site.folder}/times; printf X | dd of={place}/text.txt conv=notrunc '
        f"status=none; touch -r {desk.site.folder}/times {place}/text.txt"
    )
    result = deliver(desk, bag_zip(RID, FILES), 2)
    assert "text.txt: has another sha512" in desk.failure(result)


def test_a_link_for_a_folder_becomes_the_folder_with_all_its_files_and_is_kept(desk: Desk) -> None:
    """Images that were moved to another disk were proven there, and readers lost them all when one of them changed:
    only that one was in the folder that took the link's place.
    """
    assert desk.run().success
    images, elsewhere = desk.site.place(RID) / "images", desk.site.folder / "elsewhere"
    images.rename(elsewhere)
    images.symlink_to(elsewhere)
    files = FILES | {PAGE_1: CORRECTED}
    result = deliver(desk, bag_zip(RID, files), 1)
    assert result.success, desk.failure(result)
    assert not images.is_symlink()
    assert tree(desk.site.place(RID)) == files
    (kept,) = (desk.site.place(RID).parents[1] / ".ao-archive/replaced" / RID).iterdir()
    assert (kept / "images").readlink() == elsewhere
    assert (elsewhere / "W1NLM4712-I1/0001.jpg").read_bytes() == PAGE
    assert "will be changed: 2: " in logged(desk, result)


# --- a bag decides to destroy


def test_a_bag_cannot_have_itself_replaced_and_a_person_can(desk: Desk) -> None:
    """`replace: true` in a work's own file removed the images that it did not bring."""
    desk.wrap('sync "$@"')
    old = desk.site.place(RID) / "images/old.jpg"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    files = FILES | {"config/sync.yml": b"sync:\n  replace: true\n"}
    said = desk.failure(desk.run(files))
    assert "config/sync.yml: line 2: sync.replace: true: a work may not ask for this" in said
    assert "[sync] works_may in site.toml lets works ask for archive, web, update_web, audit" in said
    assert f"ao reprocess {RID} --replace" in said
    assert desk.starts == []
    assert old.read_bytes() == b"old"
    assert desk.again(word={"replace": True}).success
    assert tree(desk.site.place(RID)) == files
    assert replaced(desk) == [{"images/old.jpg": b"old"}]


def test_a_person_s_word_given_again_is_done_again(desk: Desk) -> None:
    """The receipt of the first replacement spared the second, which was asked for since something was there again."""
    desk.change("staging", keep="3 days")
    assert desk.run(word={"replace": True}).success
    extra = desk.site.place(RID) / "extra.txt"
    extra.write_bytes(b"extra")
    assert desk.again().success
    assert extra.exists()
    assert desk.again(word={"replace": True}).success
    assert not extra.exists()


def test_what_was_freed_cannot_replace_anything_and_says_so(desk: Desk) -> None:
    """A run that was to replace, compared, and was green."""
    assert desk.run().success
    assert "start from downloaded_bag" in desk.failure(desk.again(word={"replace": True}))


def test_what_goes_is_listed_before_with_a_bound_and_whole_in_a_file(desk: Desk) -> None:
    """Who removed 3,000 images is to be found in the log, and which ones, without 3,000 rows in the database."""
    for number in range(300):
        old = desk.site.place(RID) / f"images/old%\n{number:03}.jpg"
        old.parent.mkdir(parents=True, exist_ok=True)
        old.write_bytes(b"old")
    gate = desk.site.folder / "seen"
    desk.wrap(f'find {desk.site.folder}/archive -path "*replaced*" -type f | wc -l >{gate}; sync "$@"')
    result = desk.run(word={"replace": True})
    assert result.success
    # Before the script.
    assert gate.read_text().strip().endswith("300") or int(gate.read_text()) >= 300
    log = logged(desk, result)
    (line,) = [line for line in log.splitlines() if "will be removed: 300: " in line]
    assert "images/old%25%0A000.jpg" in line
    assert " and 280 more; all in " in line
    listed = Path(line.rpartition("all in ")[2])
    assert listed.parent == Path(desk.metadata(result)["log"]).parent
    assert len(listed.read_text().splitlines()) == 300
    assert len(replaced(desk)[0]) == 300


def test_images_that_vanish_from_the_web_are_listed(desk: Desk) -> None:
    """They are kept nowhere: somebody must at least be able to say which they were."""
    bucket = desk.open_web()
    key = web_prefix(f"s3://{bucket}/Works", RID).removeprefix(f"s3://{bucket}/") + "old.jpg"
    desk.site.aws.s3.put_object(Bucket=bucket, Key=key, Body=b"old")
    result = desk.run(word={"replace": True})
    assert f"will be removed from the web: 1: {key}" in logged(desk, result)


def test_where_what_goes_cannot_be_kept_nothing_is_started(desk: Desk) -> None:
    """A full share would have had the old work removed and not kept."""
    desk.wrap('sync "$@"')
    old = desk.site.place(RID) / "old.txt"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    (old.parents[2] / ".ao-archive/replaced").write_text("in the way")
    said = desk.failure(desk.run(word={"replace": True}))
    assert "cannot be kept at" in said
    assert "keep_replaced_days = 0" in said
    assert desk.starts == []
    desk.change("sync", keep_replaced_days=0)
    assert desk.again(word={"replace": True}).success
    assert not old.exists()


# --- works beside the event's own


def test_a_guest_changes_nothing_that_the_archive_has_until_a_person_names_it(desk: Desk) -> None:
    """A zip of W1 with a W2 in it overwrote the pages of W2."""
    desk.wrap('sync "$@"')
    there = {"text.txt": b"TEXT\n", "images/own.jpg": b"own"}
    for name, data in there.items():
        path = desk.site.place(OTHER) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    result = desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES)))
    said = desk.failure(result)
    assert said.startswith(f"1 of 2 works failed: {OTHER}. {RID} is done")
    assert f"{desk.site.place(OTHER)} does not hold what was bagged: text.txt: has another sha512" in said
    assert f"ao reprocess {RID} --others {OTHER}" in said
    assert desk.starts == [RID]
    assert tree(desk.site.place(OTHER)) == there
    assert tree(desk.site.place(RID)) == FILES
    (check,) = [found for found in result.get_asset_check_evaluations() if not found.passed]
    table: Any = check.metadata["problems"]
    assert [record.data["file"] for record in table.records] == [f"{OTHER}/text.txt"]
    assert desk.again(word={"others": [OTHER]}).success
    assert tree(desk.site.place(OTHER)) == FILES | {"images/own.jpg": b"own"}
    assert replaced(desk, OTHER) == [{"text.txt": b"TEXT\n"}]


def test_a_guest_does_not_put_a_folder_in_the_place_of_a_link(desk: Desk) -> None:
    """Of a link no file differed, they were only missing; and it was gone, unlisted, with all that lay behind it."""
    images, elsewhere = desk.site.place(OTHER) / "images", desk.site.folder / "elsewhere"
    elsewhere.mkdir()
    images.parent.mkdir(parents=True)
    images.symlink_to(elsewhere)
    said = desk.failure(desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES))))
    assert "lies elsewhere: one of its folders is a link" in said
    assert f"--others {OTHER}" in said
    assert images.is_symlink()


def test_a_guest_that_is_there_as_it_was_bagged_is_done_without_the_script(desk: Desk) -> None:
    """A work that came in two zips is no error, and is not synced for nothing."""
    desk.wrap('sync "$@"')
    assert desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES))).success
    assert desk.starts == [OTHER, RID]
    result = deliver(desk, two_works(FILES | {"new.txt": b"new"}, FILES), 1)
    assert result.success
    assert desk.starts == [OTHER, RID, RID]
    assert f"{OTHER} came beside {RID}, and the archive has it as it was bagged" in logged(desk, result)


def test_a_guest_adds_what_the_archive_lacks_and_replaces_nothing(desk: Desk) -> None:
    """To add changes no file; and the site's `replace` is meant for what was asked for."""
    (desk.site.folder / "sync.yml").write_text("sync: {replace: true}\n")
    desk.change("sync", options=desk.site.folder / "sync.yml")
    own = desk.site.place(OTHER) / "images/own.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"own")
    result = desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES)))
    assert result.success
    assert tree(desk.site.place(OTHER)) == FILES | {"images/own.jpg": b"own"}
    assert replaced(desk, OTHER) == []
    assert f"{OTHER} came beside {RID}: 5 files that the archive lacks are added" in logged(desk, result)


def test_a_guest_whose_images_did_not_reach_the_web_is_not_taken_for_done(desk: Desk) -> None:
    """The script put it into the archive and failed at the web; the archive having all of it proves nothing of that."""
    bucket = desk.open_web()
    gate = desk.site.folder / "open"
    desk.put_tool("s5cmd", SEND.replace("source, (", f"os.path.exists('{gate}') or sys.exit(1)\nsource, (", 1))
    desk.failure(desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES))))
    assert tree(desk.site.place(OTHER)) == FILES
    gate.touch()
    assert desk.again().success
    prefix = web_prefix(f"s3://{bucket}/Works", OTHER).removeprefix(f"s3://{bucket}/")
    there = desk.site.aws.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    assert there["KeyCount"] == 2


def test_a_guest_does_not_change_images_on_the_web(desk: Desk) -> None:
    """What readers see of W2 is not the business of a zip of W1, also where the archive has not W2 yet."""
    bucket = desk.open_web()
    key = web_prefix(f"s3://{bucket}/Works", OTHER).removeprefix(f"s3://{bucket}/") + "W1NLM4712-I1/0001.jpg"
    desk.site.aws.s3.put_object(Bucket=bucket, Key=key, Body=b"another")
    said = desk.failure(desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES))))
    assert f"--others {OTHER}" in said
    assert desk.site.aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"another"
    assert not desk.site.place(OTHER).exists()


def test_a_guest_does_not_change_an_image_of_the_same_size_where_a_site_compares_by_size(desk: Desk) -> None:
    """By its size it was there already, and the script, which was run for the others, sends every image."""
    bucket = desk.open_web()
    desk.change("sync", verify="size")
    key = web_prefix(f"s3://{bucket}/Works", OTHER).removeprefix(f"s3://{bucket}/") + "W1NLM4712-I1/0001.jpg"
    desk.site.aws.s3.put_object(Bucket=bucket, Key=key, Body=CORRECTED)
    said = desk.failure(desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES))))
    assert f"--others {OTHER}" in said
    assert desk.site.aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == CORRECTED


@pytest.mark.parametrize("same", [True, False], ids=["the same", "another"])
def test_a_guest_that_a_killed_run_left_without_its_place_is_not_taken_for_new(desk: Desk, same: bool) -> None:
    """The script puts the old work back before it adds, and would then have changed it."""
    assert desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES))).success
    place = desk.site.place(OTHER)
    beside = place.with_name(f".{OTHER}.sync")
    beside.mkdir()
    place.rename(beside / "old")
    if not same:
        (beside / "old/text.txt").write_bytes(b"TEXT\n")
    result = deliver(desk, two_works(FILES | {"new.txt": b"new"}, FILES), 1)
    assert result.success is same
    if same:
        assert tree(place) == FILES
        assert not beside.exists()
    else:
        assert f"{beside / 'old'} does not hold what was bagged: text.txt" in desk.failure(result)
        assert tree(beside / "old") == FILES | {"text.txt": b"TEXT\n"}


def test_a_guest_that_wants_to_be_replaced_is_let_by_the_command_that_it_fails_with(desk: Desk) -> None:
    """The command that was printed left it a guest, and failed with itself."""
    own = desk.site.place(OTHER) / "images/own.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"own")
    files = FILES | {"config/sync.yml": b"sync: {replace: true}\n"}
    said = desk.failure(desk.site.run(RID, desk.site.restore(RID, two_works(FILES, files))))
    assert f"A person may, for one run: ao reprocess {RID} --others {OTHER} --replace" in said
    assert desk.again(word={"others": [OTHER], "replace": True}).success
    assert tree(desk.site.place(OTHER)) == files
    assert replaced(desk, OTHER) == [{"images/own.jpg": b"own"}]


def newer_guest(desk: Desk) -> dict[str, bytes]:
    """Puts the guest into the archive with other bytes than a zip of both has, and runs that; returns what is there."""
    there = {"text.txt": b"TEXT\n", "images/own.jpg": b"own"}
    for name, data in there.items():
        path = desk.site.place(OTHER) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    said = desk.failure(desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES))))
    assert f"if what is there is to stay: ao reprocess {RID} --leave {OTHER}" in said
    assert desk.site.layout.work(RID).exists()
    return there


def test_a_guest_that_a_person_leaves_alone_keeps_nobody_waiting(desk: Desk) -> None:
    """The archive had the guest's own newer delivery: the zip's run failed for ever, and kept the scratch disk."""
    desk.wrap('sync "$@"')
    there = newer_guest(desk)
    result = desk.again(word={"leave": [OTHER]})
    assert result.success, desk.failure(result)
    assert desk.starts == [RID]
    assert tree(desk.site.place(OTHER)) == there
    assert tree(desk.site.place(RID)) == FILES
    assert not desk.site.layout.work(RID).exists()
    assert Stage.SYNCED_ARCHIVE in desk.row.times
    said = f"{OTHER} is left as it is in the archive, by a person's word"
    assert desk.metadata(result)["left alone"] == said
    assert desk.metadata(result)["works"] == RID
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
    assert str(check.description).endswith(f"; {said}")
    assert f"{OTHER} came beside {RID}, and is left as it is in the archive" in logged(desk, result)
    (noted,) = [entry.data for entry in desk.row.entries if entry.stage == Stage.SYNCED_ARCHIVE]
    assert noted["left alone"] == said
    assert noted["places"] == {RID: str(desk.site.place(RID))}


def test_a_guest_that_was_left_alone_is_so_in_each_later_run_until_a_person_says_otherwise(desk: Desk) -> None:
    """Its place would have been compared with a zip that nobody wanted of it, each time that the zip's own work was."""
    desk.change("staging", keep="3 days")
    there = newer_guest(desk)
    assert desk.again(word={"leave": [OTHER]}).success
    assert desk.site.layout.work(RID).exists()
    result = desk.again()
    assert result.success, desk.failure(result)
    assert "left alone" in desk.metadata(result)
    assert tree(desk.site.place(OTHER)) == there
    desk.change("staging", keep="until-synced")
    assert desk.again().success
    assert not desk.site.layout.work(RID).exists()
    # Compared again, now that scratch is freed: as often as one likes.
    for _ in range(2):
        result = desk.again()
        assert result.success, desk.failure(result)
        assert desk.metadata(result)["works"] == RID
    chosen = ["downloaded_bag", "debagged_work", "synced_archive"]
    assert desk.site.run(RID, select=chosen).success
    assert tree(desk.site.place(OTHER)) == there
    result = desk.site.run(RID, select=chosen, word={"others": [OTHER]})
    assert result.success
    assert tree(desk.site.place(OTHER)) == FILES | {"images/own.jpg": b"own"}
    assert "left alone" not in desk.metadata(result)


def test_a_word_to_leave_a_guest_alone_is_for_one_delivery(desk: Desk) -> None:
    """What comes later may be what the archive is to have; and a person has not seen it."""
    newer_guest(desk)
    assert desk.again(word={"leave": [OTHER]}).success
    said = desk.failure(deliver(desk, two_works(FILES, FILES), 1))
    assert f"--leave {OTHER}" in said


def test_a_guest_that_is_changed_by_its_own_delivery_later_can_be_left_alone_by_a_freed_work(desk: Desk) -> None:
    """Compared again, the older zip would be told to have been lost from the archive, with no way out."""
    assert desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES))).success
    (desk.site.place(OTHER) / "text.txt").write_bytes(b"TEXT\n")
    assert not desk.again().success
    assert desk.again(word={"leave": [OTHER]}).success
    assert desk.again().success
    assert (desk.site.place(OTHER) / "text.txt").read_bytes() == b"TEXT\n"


def test_a_batch_of_which_the_archive_has_every_work_otherwise_can_be_left_alone(desk: Desk) -> None:
    """All of its works are guests: there was no way to have it done but to overwrite them."""
    desk.site = with_settings(desk.site, batches=True)
    pages = [desk.site.place(work) / "text.txt" for work in (RID, OTHER)]
    for page in pages:
        page.parent.mkdir(parents=True)
        page.write_bytes(b"the archive's own\n")
    body = desk.site.restore("W1NLM4700", two_works(FILES, FILES))
    result = desk.site.run("W1NLM4700", body, word={"leave": [RID, OTHER]})
    assert result.success, desk.failure(result)
    assert desk.metadata(result)["left alone"].startswith(f"{RID}, {OTHER} are left as they are in the archive")
    assert [page.read_bytes() for page in pages] == [b"the archive's own\n"] * 2
    assert not desk.site.layout.work("W1NLM4700").exists()


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ({"leave": ["W1NLM9999"]}, "--leave W1NLM9999 is none of these beside its own"),
        ({"leave": [OTHER, RID]}, f"--leave {RID} is none of these beside its own"),
        ({"leave": [OTHER], "others": [OTHER]}, f"--others and --leave both name {OTHER}"),
    ],
    ids=["a wrong name", "the zip's own", "both words"],
)
def test_a_wrong_name_to_leave_alone_is_told_before_anything_is_synced(
    desk: Desk, word: dict[str, object], why: str
) -> None:
    """The work that was meant would have stayed held; and a zip's own work must not be passed over as done."""
    desk.wrap('sync "$@"')
    result = desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES)), word=word)
    assert f"its zip brought {RID}, {OTHER}, and {why}. Nothing was synced" in desk.failure(result)
    assert desk.starts == []


def test_a_work_that_the_archive_has_not_cannot_be_left_as_it_is_there(desk: Desk) -> None:
    """By one name taken for another a work would have been freed that was nowhere, and the run had ended well."""
    desk.wrap('sync "$@"')
    result = desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES)), word={"leave": [OTHER]})
    assert f"the archive has nothing of {OTHER} that --leave could leave" in desk.failure(result)
    assert desk.starts == []
    assert (desk.site.layout.work(RID) / OTHER).exists()


@pytest.mark.parametrize("word", [{"others": ["W1NLM9999"]}, {"others": [OTHER, "W1NLM9999"], "replace": True}])
def test_a_word_for_a_work_that_did_not_come_is_told_before_anything_is_synced(
    desk: Desk, word: dict[str, object]
) -> None:
    """A name with a typing error changed nothing, and the run of a work that was there already ended well."""
    desk.wrap('sync "$@"')
    result = desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES)), word=word)
    assert "its zip brought W1NLM4712, W1NLM4788, and --others W1NLM9999 is none of these" in desk.failure(result)
    assert desk.starts == []


def test_a_batch_is_not_replaced_by_the_name_that_it_was_sent_under(desk: Desk) -> None:
    """All of its works are guests: `--replace` replaced none of them, and the run ended well."""
    desk.site = with_settings(desk.site, batches=True)
    desk.wrap('sync "$@"')
    body = desk.site.restore("W1NLM4700", two_works(FILES, FILES))
    result = desk.site.run("W1NLM4700", body, word={"replace": True})
    assert "--replace is for W1NLM4700 itself, which did not come" in desk.failure(result)
    assert desk.starts == []
    result = desk.site.run("W1NLM4700", body, word={"replace": True, "others": [OTHER]})
    assert result.success
    assert desk.starts == [RID, OTHER]


# --- what is kept is freed


def test_what_is_kept_is_freed_in_the_night_when_its_time_is_over(desk: Desk) -> None:
    """Kept for ever, it would fill the archive; by its files' times, which are the archive's, it would go at once."""
    from ao_workflows.definitions import build

    folder = desk.site.place(RID).parents[1] / ".ao-archive" / "replaced"
    now = datetime.now(UTC)
    for days, rid in ((31, "W1"), (31, "W2"), (29, "W2")):
        path = folder / rid / (now - timedelta(days=days)).strftime("%Y-%m-%dT%H.%M.%S.%fZ") / "images/1.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"page")
        os.utime(path, (0, 0))
    cut_short = folder / "W3" / "2026-01-01T00.00.00.000000Z.part"
    cut_short.mkdir(parents=True)
    job = build(desk.site.site).resolve_job_def("housekeeping")
    with dg.instance_for_test() as instance:
        assert job.execute_in_process(instance=instance).success
        (event,) = instance.fetch_observations(dg.AssetKey("housekeeping"), limit=1).records
    assert event.asset_observation is not None
    told = {name: each.value for name, each in event.asset_observation.metadata.items()}
    assert told["kept of what was replaced: removed"] == 2
    assert told["kept of what was replaced: bytes freed"] == 8
    assert told["kept days of what was replaced"] == 30
    assert sorted(path.name for path in folder.iterdir()) == ["W2", "W3"]
    assert len(list((folder / "W2").iterdir())) == 1


def test_a_sync_that_is_tried_again_keeps_one_copy_and_what_is_there_otherwise_by_then_another(desk: Desk) -> None:
    """While the scratch disk was full, each try kept the same pages once more: hours of tries fill a share."""
    assert desk.run().success
    gate = desk.site.folder / "open"
    desk.wrap(f'[[ -e "{gate}" ]] || exit 1\nsync "$@"')
    old = desk.site.place(RID) / "old.txt"
    old.write_bytes(b"of a time before bags")
    files = FILES | {PAGE_1: CORRECTED}
    assert not deliver(desk, bag_zip(RID, files), 1, word={"replace": True}).success
    kept = {PAGE_1: PAGE, "old.txt": b"of a time before bags"}
    for _ in range(3):
        assert "exited with 1" in desk.failure(desk.again(word={"replace": True}))
        assert replaced(desk) == [kept]
    changed = old.with_name("changed.txt")
    old.unlink()
    old.write_bytes(b"of a time before bagS")
    changed.write_bytes(b"")
    assert not desk.again(word={"replace": True}).success
    gate.touch()
    assert desk.again(word={"replace": True}).success
    assert tree(desk.site.place(RID)) == files
    assert replaced(desk) == [kept, {PAGE_1: PAGE, "old.txt": b"of a time before bagS", "changed.txt": b""}]
