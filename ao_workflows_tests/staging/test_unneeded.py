"""What no run needs is freed, the first synced first, by whoever needs room; nothing else is, and none fails of it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from ao_workflows.errors import ArchiveShareLost, WorkBusy
from ao_workflows.staging.staging import Staging
from ao_workflows_tests.support.kept_works import (
    bring,
    download,
    event_of,
    freed_of,
    kept,
    store,
    sync,
    unneeded_of,
    unpack,
)
from ao_workflows_tests.support.receipts import unversioned
from ao_workflows_tests.support.small_disks import fill, mounted

PAUSED = """
import signal, sys
from ao_workflows.staging import freeing
from ao_workflows.staging.staging import Staging
from ao_workflows_tests.support.kept_works import unneeded_of

real = freeing.{step}
def pausing(path):
    if {when}:
        print("paused", flush=True)
        signal.pause()
    return real(path)
freeing.{step} = pausing
unneeded_of(Staging(root=sys.argv[1], keep_days=3)).free_all()
"""
STEPS = {
    "before its first rename": ("removal_name", "True", ["W1", "W1"]),
    "between its two renames": ("removal_name", "path.parent.name == 'works'", ["W1"]),
    "before its removal": ("remove_tree", "True", []),
    "when half is removed": ("remove_tree", "path.parent.name == 'works'", []),
}
"""The function that it comes to, for which path, and what then stands under the names of a whole work."""


@contextmanager
def freeing_elsewhere(root: Path, step: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has come to that step of freeing W1, and stays there."""
    name, when, _ = STEPS[step]
    program = PAUSED.format(step=name, when=when)
    process = subprocess.Popen([sys.executable, "-c", program, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "paused\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(root=str(tmp_path), keep_days=3)


def scratch(staging: Staging) -> list[str]:
    """What the folders of zips and of works have, hidden names and all."""
    folders = (staging.layout.incoming("W1").parent, staging.layout.work("W1").parent)
    return sorted(name for folder in folders if folder.exists() for name in os.listdir(folder))


def test_works_go_when_they_have_been_kept_long_enough(staging: Staging) -> None:
    """Not sooner, which the site promised; and never one that is not in the archive."""
    for rid in ("old", "young", "unsynced", "not-kept"):
        bring(staging, rid)
    sync(staging, "old", 3.1)
    sync(staging, "young", 2.9)
    sync(staging, "not-kept", 9, kept=False)
    assert freed_of(staging) == ("old",)
    assert sorted(os.listdir(staging.root + "/incoming")) == ["not-kept", "unsynced", "young"]
    assert staging.synced("old")
    assert freed_of(staging) == ()


def test_a_site_that_keeps_works_no_longer_frees_those_that_it_kept(tmp_path: Path) -> None:
    """They were freed by nobody once ``keep`` was ``until-synced`` again."""
    kept(Staging(root=str(tmp_path), keep_days=30), "W1", 0.1)
    assert freed_of(Staging(root=str(tmp_path))) == ("W1",)


def test_the_first_synced_goes_first_and_no_more_than_is_asked_for(staging: Staging) -> None:
    """What is kept longer spares a download to who wants it again."""
    for rid, days_ago in (("W1", 5), ("W2", 9), ("W3", 7)):
        kept(staging, rid, days_ago)
    unneeded = unneeded_of(staging)
    assert unneeded.free_next()
    assert unneeded.freed == ("W2",)
    assert unneeded.free_next()
    assert unneeded.freed == ("W2", "W3")
    assert unneeded.kept.bytes == 2 * len(b"zip" + b"page")
    assert unneeded.free_next()
    assert not unneeded.free_next()
    assert scratch(staging) == []


def test_what_killed_runs_left_goes_before_any_kept_work(staging: Staging) -> None:
    """Nobody wants it; a kept work spares somebody a download, perhaps."""
    kept(staging, "W1", 9)
    half = staging.layout.work_under_way("W2", "killed") / "W2/1.jpg"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"page")
    unneeded = unneeded_of(staging)
    assert unneeded.free_next()
    assert (unneeded.left_overs.count, unneeded.left_overs.bytes, unneeded.freed) == (1, 4, ())
    assert scratch(staging) == ["W1", "W1"]


def test_a_kept_work_stays_while_the_archive_that_has_it_is_not_there(
    staging: Staging, caplog: pytest.LogCaptureFixture
) -> None:
    """The staged copy may then be the only one that anybody can read."""
    kept(staging, "W1", 9)
    kept(staging, "W2", 8)
    asked: list[list[str]] = []

    def one_is_lost(works: Iterable[str]) -> None:
        asked.append(list(works))
        if asked[-1] == ["W1"]:
            raise ArchiveShareLost(Path("/mnt/Archive0"), "is not mounted")

    unneeded = unneeded_of(staging, one_is_lost)
    unneeded.free_all()
    assert unneeded.freed == ("W2",)
    assert asked == [["W1"], ["W2"]]
    assert staging.layout.zip("W1").exists()
    (said,) = unneeded.kept.stuck
    assert "W1" in said
    assert "/mnt/Archive0: is not mounted" in said
    unneeded.free_all()
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [said]


def test_a_kept_work_that_a_run_has_is_not_freed(staging: Staging, tmp_path: Path) -> None:
    """The sync script would copy a tree that is being removed, and with ``-A`` put it in the old one's place."""
    kept(staging, "W1", 9)
    other = Staging(root=str(tmp_path), keep_days=3)
    other.hold("W1", "run of another process")
    unneeded = unneeded_of(staging)
    assert not unneeded.free_next()
    assert (unneeded.wanted, unneeded.kept.stuck) == (("W1",), ())
    assert not unneeded_of(other).free_next(), "a run frees its own work under its own hands"
    assert staging.layout.zip("W1").exists()
    other.release()
    assert freed_of(staging) == ("W1",)
    assert not staging.layout.lock("W1").exists()


def test_a_kept_work_whose_run_waits_in_the_queue_is_not_freed(staging: Staging) -> None:
    """A person had it synced again from what is here: the run would find nothing, and send it to Glacier."""
    kept(staging, "W1", 9)
    queued = ["W1"]
    unneeded = unneeded_of(staging, has_run=queued.__contains__)
    assert not unneeded.free_next()
    assert unneeded.wanted == ("W1",)
    assert scratch(staging) == ["W1", "W1"]
    queued.clear()
    assert unneeded.free_next()


def test_a_kept_work_stays_while_nobody_can_say_whether_a_run_has_it(staging: Staging) -> None:
    """Who waited for room for hours failed when Dagster's database did not answer once, and lost its turn."""
    kept(staging, "W1", 9)
    kept(staging, "W2", 8)

    def has_run(rid: str) -> bool:
        if rid == "W1":
            raise OperationalError("select", {}, Exception("server closed the connection"))
        return False

    unneeded = unneeded_of(staging, has_run=has_run)
    unneeded.free_all()
    assert unneeded.freed == ("W2",)
    assert staging.layout.zip("W1").exists()
    (said,) = unneeded.kept.stuck
    assert "W1, in the archive and no longer to be kept, was not freed" in said
    assert "Dagster does not say whether a run has it" in said
    assert "server closed the connection" in said
    assert freed_of(staging) == ("W1",)


@pytest.mark.parametrize(
    "brought", ["same bytes", "other bytes", "being downloaded", "unpacked", "asked for", "downloaded again"]
)
def test_a_kept_work_that_was_brought_anew_is_not_freed(staging: Staging, brought: str) -> None:
    """What was synced is the bag before: the new one is on scratch only, waiting for a person perhaps."""
    kept(staging, "W1", 9)
    same, newer = event_of("W1"), event_of("W1", hour=7)
    match brought:
        case "being downloaded":
            store(staging, "W1", newer)
            staging.withdraw("W1", "downloaded_bag")
        case "unpacked":
            unpack(staging, "W1", newer)
        case "asked for":
            store(staging, "W1", same)
        case "downloaded again":
            download(staging, "W1", same)
        case _:
            download(staging, "W1", newer, "crc" if brought == "same bytes" else "new")
    assert freed_of(staging) == ()
    assert staging.layout.zip("W1").exists()


def test_a_kept_work_of_the_version_before_is_freed_in_its_time(staging: Staging) -> None:
    """Its receipts name no event: after an update such works would have stayed on the disk for ever."""
    kept(staging, "W1", 9)
    receipts = staging.receipts("W1")
    for receipt in (receipts.debagged, receipts.synced):
        assert receipt
        old = unversioned(receipt)
        del old["took"]["event"]
        staging.layout.receipt("W1", receipt.name).write_text(json.dumps(old))
    assert freed_of(staging) == ("W1",)


def test_a_receipt_that_cannot_be_read_keeps_its_work_and_no_other(staging: Staging) -> None:
    """The freeing failed the run that asked for room, and freed nothing."""
    kept(staging, "W1", 9)
    kept(staging, "W2", 8)
    receipt = staging.layout.receipt("W1", "synced_archive")
    receipt.unlink()
    receipt.mkdir()
    unneeded = unneeded_of(staging)
    unneeded.free_all()
    assert unneeded.freed == ("W2",)
    assert [str(receipt) in said for said in unneeded.kept.stuck] == [True]


def test_what_cannot_be_removed_is_logged_once_and_does_not_keep_another(
    staging: Staging, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits for room tries every ten seconds, and its log has other things to say."""
    kept(staging, "W1", 9)
    kept(staging, "W2", 8)
    unneeded = unneeded_of(staging)
    with mounted(staging.layout.work("W1"), "size=1m"):
        assert unneeded.free_next()
        for _ in range(3):
            assert not unneeded.free_next()
        assert unneeded.freed == ("W2",)
        (said,) = unneeded.kept.stuck
        assert str(staging.layout.work("W1")) in said
        assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [said]
    assert unneeded.free_next()
    assert (unneeded.freed, unneeded.kept.stuck) == (("W2", "W1"), ())


@pytest.mark.parametrize("step", STEPS)
def test_a_freeing_that_is_killed_is_done_by_the_next_one(staging: Staging, tmp_path: Path, step: str) -> None:
    """Half a work must not stand where a whole one did, and what is left of it is in nobody's way."""
    kept(staging, "W1", 9)
    with freeing_elsewhere(tmp_path, step) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert [name for name in scratch(staging) if name == "W1"] == STEPS[step][2]
    for _ in range(2):
        unneeded_of(staging).free_all()
        assert scratch(staging) == []
        assert staging.synced("W1"), "it says where the work is"


@pytest.mark.parametrize("step", ["between its two renames", "when half is removed"])
def test_a_run_of_the_very_work_waits_until_it_is_freed(staging: Staging, tmp_path: Path, step: str) -> None:
    """It would take a zip that is about to go for the one that it needs."""
    kept(staging, "W1", 9)
    with freeing_elsewhere(tmp_path, step):
        with pytest.raises(WorkBusy, match="the freeing of what no run needs, process") as raised:
            staging.hold("W1", "run")
        assert raised.value.transient
        assert not unneeded_of(staging).free_next(), "two free one work"
    staging.hold("W1", "run")
    assert scratch(staging) == STEPS[step][2], "the run removes first what the killed one left under a hidden name"


def test_two_that_free_at_once_free_each_work_once(staging: Staging, tmp_path: Path) -> None:
    """Each would count what the other has freed, or fail of what is gone already."""
    rids = [f"W{number}" for number in range(40)]
    for rid in rids:
        kept(staging, rid, 9)
    program = (
        "import sys\n"
        "from ao_workflows.staging.staging import Staging\n"
        "from ao_workflows_tests.support.kept_works import unneeded_of\n"
        "unneeded = unneeded_of(Staging(root=sys.argv[1], keep_days=3))\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "unneeded.free_all()\n"
        "print(*unneeded.freed, *unneeded.kept.stuck, sep='\\n')\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    both = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    freed = [process.communicate(timeout=60)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(freed[0] + freed[1]) == sorted(rids)
    assert scratch(staging) == []


def test_a_disk_without_a_byte_is_freed_too(tmp_path: Path) -> None:
    """To say who frees a work needs a byte, and the freeing that would have made room failed for want of it."""
    with mounted(tmp_path / "disk", "size=1m") as disk:
        staging = Staging(root=str(disk), keep_days=3)
        kept(staging, "W1", 9)
        fill(disk)
        assert freed_of(staging) == ("W1",)
