"""A work on its way into the archive, run here with the reference script, a real archive, S3 and MariaDB."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows.archive.places import web_prefix
from ao_workflows.defs.restore.retries import TRY_AGAIN
from ao_workflows.drs.client import Drs
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.desks import FILES, RID, SEND, Desk
from ao_workflows_tests.support.mariadb import MariaDb
from ao_workflows_tests.support.sites import PAGE, bag_zip


def test_a_byte_that_is_changed_between_sync_and_proof_is_found(desk: Desk) -> None:
    """The file has its size and its time: only its bytes tell. Scratch stays, and DRS and the check say why."""
    desk.wrap(f'sync "$@" && printf X | dd of="{desk.site.place(RID)}/text.txt" conv=notrunc status=none')
    result = desk.run()
    assert f"{desk.site.place(RID)} does not hold what was bagged: text.txt: has another sha512" in desk.failure(result)
    (check,) = [found for found in result.get_asset_check_evaluations() if not found.passed]
    assert check.check_name == "is_in_the_archive"
    table: Any = check.metadata["problems"]
    assert [record.data["file"] for record in table.records] == ["text.txt"]
    assert (desk.site.layout.work(RID) / RID / "text.txt").read_bytes() == b"text\n"
    assert desk.site.layout.zip(RID).exists()
    assert Stage.SYNCED_ARCHIVE not in desk.row.times
    assert "text.txt" in str(desk.row.entries[-1].data["failed"])


def test_compared_by_size_no_byte_is_read(desk: Desk) -> None:
    """Who asks for the weaker proof gets it, and it says so."""
    desk.change("sync", verify="size")
    desk.wrap(f'sync "$@" && printf X | dd of="{desk.site.place(RID)}/text.txt" conv=notrunc status=none')
    result = desk.run()
    assert result.success
    assert desk.metadata(result)["compared by"] == "size"
    (check,) = [found for found in result.get_asset_check_evaluations() if not found.passed]
    assert (check.check_name, check.severity) == ("is_in_the_archive", dg.AssetCheckSeverity.WARN)
    assert "compared by size alone" in str(check.description)


def test_a_script_that_is_killed_in_the_middle_and_run_again_ends_right(desk: Desk) -> None:
    """rsync and script die with half a file written; nothing of that may be left, or be taken for the work."""
    rsync = shutil.which("rsync")
    once = desk.site.folder / "killed"
    desk.put_tool(
        "rsync",
        f'#!/bin/bash\n[ -e {once} ] && exec {rsync} "$@"\n{rsync} --bwlimit=500 "$@" &\n'
        f"until find {desk.site.folder}/archive -type f -size +0 | grep -q .; do sleep 0.02; done\n"
        f"touch {once}; kill -KILL $! $PPID\n",
    )
    files = FILES | {"large.tif": PAGE * 200}
    said = desk.failure(desk.run(files))
    assert f"{RID}: the sync script was ended by signal 9 (Killed). It was called as\n" in said
    assert not (desk.site.place(RID) / "large.tif").exists()
    assert desk.again().success
    assert (desk.site.place(RID) / "large.tif").read_bytes() == files["large.tif"]
    assert [path.name for path in desk.site.place(RID).parent.iterdir()] == [RID]


def test_a_failed_script_is_in_drs_and_the_check_with_its_last_words(desk: Desk) -> None:
    """Which work, which command, how it ended, and what it said."""
    desk.wrap("seq 50; exit 7")
    result = desk.run()
    said = desk.failure(result)
    assert said.startswith(
        f"{RID}: the sync script exited with 7. It was called as\n  {desk.site.folder}/wrapped.sh -a "
    )
    assert "\n  | 49\n  | 50\n" in said
    assert said.endswith(f"ao reprocess {RID}")
    assert "  | 10\n" not in said
    (check,) = [found for found in result.get_asset_check_evaluations() if not found.passed]
    assert "exited with 7" in str(check.description)
    assert "exited with 7" in str(desk.row.entries[-1].data["failed"])


@pytest.mark.parametrize("who", ["work", "site"])
def test_options_that_are_not_known_fail_before_the_script_starts(desk: Desk, who: str) -> None:
    """A typing error in `replace` must not add where it should have replaced."""
    desk.wrap('sync "$@"')
    files, path = dict(FILES), desk.site.layout.work(RID) / RID / "config/sync.yml"
    if who == "work":
        files["config/sync.yml"] = b"sync:\n  repalce: true\n"
    else:
        path = desk.site.folder / "sync.yml"
        path.write_text("sync:\n  repalce: true\n")
        desk.change("sync", options=path)
    said = desk.failure(desk.run(files))
    assert f"{path}: line 2: sync.repalce: is no option" in said
    assert desk.starts == []
    assert not desk.site.place(RID).exists()


def test_what_only_the_archive_has_is_told_and_left_unless_it_is_to_be_replaced(desk: Desk) -> None:
    """An addition made there by hand years ago: nobody may lose it, and somebody should know."""
    old = desk.site.place(RID) / "images/old.jpg"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    result = desk.run()
    assert result.success
    assert desk.metadata(result)["files that only the archive has"] == 1
    assert desk.metadata(result)["such as"] == f"{RID}/images/old.jpg"
    assert old.read_bytes() == b"old"
    body = desk.site.restore(RID, bag_zip(RID, FILES)).replace("06:32:44", "07:00:00")
    result = desk.site.run(RID, body, word={"replace": True})
    assert result.success
    assert "such as" not in desk.metadata(result)
    assert not old.exists()


def test_an_old_file_whose_name_is_no_utf_8_is_told_so_that_the_page_can_show_it(desk: Desk) -> None:
    """One such name made Dagster's page of the run fail."""
    place = desk.site.place(RID)
    place.mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(place) + b"/caf\xe9.jpg")).write_bytes(b"old")
    result = desk.run()
    assert result.success
    assert desk.metadata(result)["such as"] == f"{RID}/caf\N{REPLACEMENT CHARACTER}.jpg"


def test_a_work_that_is_not_to_be_archived_keeps_scratch_and_claims_nothing(desk: Desk) -> None:
    """`archive: false` asks for no archive; the staged copy is then the last one here."""
    desk.open_web()
    result = desk.run(FILES | {"config/sync.yml": b"sync: {archive: false}\n"})
    assert result.success
    assert not desk.site.place(RID).exists()
    (check,) = [found for found in result.get_asset_check_evaluations() if not found.passed]
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert "sync.yml says archive: false" in str(check.description)
    assert (desk.site.layout.work(RID) / RID / "text.txt").exists()
    assert Stage.SYNCED_ARCHIVE not in desk.row.times


def test_each_image_is_proven_on_the_web(desk: Desk) -> None:
    """The web is part of what was asked; the check says that it was looked at."""
    bucket = desk.open_web()
    result = desk.run()
    assert result.success, desk.failure(result)
    prefix = web_prefix(f"s3://{bucket}/Works", RID)
    assert desk.metadata(result)["on the web"] == f"2 images at {prefix}"
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "is_in_the_archive"]
    assert "2 images on the web too" in str(check.description)


@pytest.mark.parametrize("spoil", ["lost", "changed"])
def test_an_image_that_is_wrong_on_the_web_fails_the_sync_and_keeps_scratch(desk: Desk, spoil: str) -> None:
    """A tool that says that it has sent what it has not."""
    bucket = desk.open_web()
    wrong = "0002.jpg" if spoil == "lost" else "0001.jpg"
    change = (
        f'if path.name == "{wrong}": continue'
        if spoil == "lost"
        else f'body = b"x" * path.stat().st_size if path.name == "{wrong}" else path.read_bytes()'
    )
    text = SEND.replace("    how = ", f"    body = path.read_bytes()\n    {change}\n    how = ")
    desk.put_tool("s5cmd", text.replace("Body=path.read_bytes()", "Body=body"))
    said = desk.failure(desk.run())
    prefix = web_prefix(f"s3://{bucket}/Works", RID)
    what = "is not on the web" if spoil == "lost" else "has another CRC32 on the web"
    assert said.startswith(f"{RID}: {prefix} does not hold what was bagged: images/W1NLM4712-I1/{wrong}: {what}")
    assert desk.site.layout.work(RID).exists()
    assert Stage.SYNCED_ARCHIVE not in desk.row.times
    desk.put_tool("s5cmd", SEND)
    assert desk.again().success


@pytest.mark.parametrize("spoil", ["lost", "changed"])
def test_compared_again_the_archive_is_proven_before_the_web_is_compared_with_it(desk: Desk, spoil: str) -> None:
    """Once scratch is freed, an image that rots in the archive must not be told as the web's."""
    desk.open_web()
    assert desk.run().success
    image = desk.site.place(RID) / "images/W1NLM4712-I1/0001.jpg"
    image.unlink() if spoil == "lost" else image.write_bytes(b"x" * image.stat().st_size)
    said = desk.failure(desk.again())
    assert said.startswith(f"{RID}: {desk.site.place(RID)} does not hold what was bagged: images/W1NLM4712-I1/0001.jpg")
    assert "The work was synced before; bring it back from S3" in said


@pytest.mark.parametrize("word", ["No", "Yes"])
def test_the_web_is_proven_where_the_script_was_to_touch_it(desk: Desk, word: str) -> None:
    """`NO_REFRESH_WEB = "No"` of the site: the script sends the images, and one that did not arrive is missed."""
    desk.open_web()
    desk.put_tool("s5cmd", SEND.replace("    how = ", '    if path.name == "0002.jpg": continue\n    how = '))
    desk.change("sync", env={**desk.site.site.sync.env, "NO_REFRESH_WEB": word})
    result = desk.run()
    if word == "Yes":
        assert result.success
    else:
        assert "images/W1NLM4712-I1/0002.jpg: is not on the web" in desk.failure(result)


@pytest.mark.parametrize("options", [b"sync: {web: false}", b"sync: {update_web: false}"])
def test_a_web_that_is_to_be_left_alone_is_not_looked_at(desk: Desk, options: bytes) -> None:
    """What is there may be another one's work on purpose."""
    desk.open_web()
    result = desk.run(FILES | {"config/sync.yml": options})
    assert result.success
    assert "on the web" not in desk.metadata(result)


def test_what_is_tried_again_outlasts_an_hour() -> None:
    """A database that is upgraded, a network that is mended: the works of that hour wait, and none is lost."""
    policy = TRY_AGAIN
    delays = [policy.calculate_delay(number) for number in range(1, policy.max_retries + 1)]
    assert 1.5 * 3600 < sum(delays) < 3 * 3600


@pytest.fixture
def on_mariadb(desk: Desk, mariadb_server: MariaDb) -> Iterator[Drs]:
    drs = Drs(url=mariadb_server.url(mariadb_server.make_database()), patience=0.2)
    drs.init()
    yield drs
    if not mariadb_server.running:
        mariadb_server.start()


def test_a_database_that_is_down_delays_the_work_and_loses_none(
    desk: Desk, mariadb_server: MariaDb, on_mariadb: Drs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed while the work syncs, and stays away for as long as five tries: the script runs once."""
    desk.wrap(f'sync "$@" && kill -KILL "$(cat {mariadb_server.folder}/pid)"')
    waits: list[int] = []

    def wait(_policy: dg.RetryPolicy, attempt: int) -> float:
        waits.append(attempt)
        if attempt == 5:
            mariadb_server.kill()
            mariadb_server.start()
        return 0

    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", wait)
    result = desk.run(drs=on_mariadb)
    assert result.success
    assert waits == [1, 2, 3, 4, 5]
    assert desk.starts == [RID]
    (row,) = on_mariadb.rows([RID])
    assert set(row.times) == set(Stage) - {Stage.RESTORE_REQUESTED}
    assert len(row.entries) == 4
    assert not desk.site.layout.work(RID).exists()


def test_a_lock_that_is_held_and_a_connection_that_is_cut_delay_the_record_alone(
    desk: Desk, mariadb_server: MariaDb, on_mariadb: Drs
) -> None:
    """A person's open transaction, and a firewall's whim, in the moment in which the work is recorded."""
    held = desk.site.folder / "held"
    desk.wrap(f'sync "$@"; touch {held}.wanted; until [ -e {held} ]; do sleep 0.02; done')
    database = str(on_mariadb.url).rpartition("/")[2]
    cut: list[int] = []

    def hold() -> None:
        until = time.monotonic() + 120
        while not Path(f"{held}.wanted").exists():
            assert time.monotonic() < until
            time.sleep(0.01)
        with closing(mariadb_server.admin(database)) as shell:
            shell.begin()
            shell.query("SELECT * FROM glacier_sync_progress FOR UPDATE")
            held.touch()
            cut.append(mariadb_server.await_row_lock())
            mariadb_server.run(f"KILL CONNECTION {cut[0]}")
            shell.commit()

    other = threading.Thread(target=hold)
    other.start()
    result = desk.run(drs=Drs(url=on_mariadb.url, patience=60))
    other.join()
    assert result.success
    assert cut
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
    (row,) = on_mariadb.rows([RID])
    assert (row.stage, len(row.entries)) == (Stage.SYNCED_ARCHIVE, 4)
