"""What a run that starts from one stage will do, said before it does it."""

from __future__ import annotations

import pytest

from ao_workflows.errors import NothingStored
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.status.redoing import OnDisk, Redo, plan_redo
from ao_workflows.works.stages import Stage
from ao_workflows_tests.status.test_standing import receipts_until

ALL_THERE = OnDisk(zip_whole=True, tree_whole=True)
FREED = OnDisk(zip_whole=False, tree_whole=False)
SYNCED = receipts_until(Stage.SYNCED_ARCHIVE)


def plan(start: str, disk: OnDisk = ALL_THERE, *, boot: str = "boot", fresh: bool = False) -> Redo:
    return plan_redo("W1", start, SYNCED, disk, boot, fresh=fresh, event_given=False)


def test_what_is_still_there_is_skipped_and_the_sync_is_done() -> None:
    """A person must know whether 300 GB are going to be downloaded again."""
    redo = plan("downloaded_bag")
    assert redo.stages == ("downloaded_bag", "debagged_work", "synced_archive")
    assert redo.words[0] == "downloaded_bag: skipped, done on 2026-11-21 12:00 UTC"
    assert redo.words[1].startswith("debagged_work: skipped, done on")
    assert redo.words[2] == "synced_archive: the sync script runs, and the archive's copy is compared"
    assert redo.thrown_away == ()


def test_what_was_freed_is_downloaded_and_unpacked_anew() -> None:
    """A receipt outlives what it names."""
    redo = plan("downloaded_bag", FREED)
    assert redo.words[0] == "downloaded_bag: downloaded from S3 anew"
    assert redo.words[1] == "debagged_work: unpacked and proven anew"
    assert "sync script" in redo.words[2]


def test_a_tree_beside_a_zip_that_is_gone_is_skipped_only_if_the_same_zip_comes() -> None:
    """The object may have become another one."""
    redo = plan("downloaded_bag", OnDisk(zip_whole=False, tree_whole=True))
    assert redo.words[1].startswith("debagged_work: skipped if its input is what it was")


def test_a_receipt_from_before_a_restart_is_said_to_be_read_again() -> None:
    """It takes as long as reading 300 GB does."""
    assert "the machine was restarted since" in plan("downloaded_bag", boot="another").words[0]


def test_fresh_skips_nothing_and_throws_away_the_receipts_from_the_start_on() -> None:
    """The event's receipt stays, always: without it the work could not be redone at all."""
    redo = plan("restored_message", fresh=True)
    assert redo.thrown_away == ("downloaded_bag", "debagged_work", "synced_archive")
    assert not any("skipped" in line for line in redo.words)
    assert plan("debagged_work", fresh=True).thrown_away == ("debagged_work", "synced_archive")


def test_a_person_s_word_for_the_sync_is_said_before() -> None:
    """What goes is gone, or kept for a while: it should be meant."""
    word = {"replace": True, "others": ["W2"], "leave": ["W3"]}
    redo = plan_redo("W1", "debagged_work", SYNCED, ALL_THERE, "boot", fresh=False, event_given=False, word=word)
    assert redo.words[-1] == (
        "synced_archive: the sync script runs and replaces what the archive has; W2 may change what the archive has of "
        "it; the archive's copy is compared; of W3 the archive keeps what it has"
    )


def test_what_was_freed_cannot_replace_anything() -> None:
    """The run would have compared the archive with the bag, and been green."""
    word = {"replace": True, "others": [], "leave": []}
    with pytest.raises(NothingStored, match="start from downloaded_bag"):
        plan_redo("W1", "synced_archive", SYNCED, FREED, "boot", fresh=False, event_given=False, word=word)


def test_what_was_freed_can_leave_a_work_alone() -> None:
    """Nothing need be unpacked for a work that is not looked at."""
    word = {"replace": False, "others": [], "leave": ["W2"]}
    redo = plan_redo("W1", "synced_archive", SYNCED, FREED, "boot", fresh=False, event_given=False, word=word)
    (words,) = redo.words
    assert words == (
        "synced_archive: the archive's copy is compared again; the scratch disk has nothing to sync; of W2 the archive "
        "keeps what it has"
    )


def test_a_freed_work_is_only_compared_when_its_sync_alone_is_redone() -> None:
    """There is nothing to sync it from, and a great deal to compare."""
    (words,) = plan("synced_archive", FREED).words
    assert "compared again" in words


@pytest.mark.parametrize(
    ("start", "disk", "fresh", "first"),
    [
        ("debagged_work", FREED, False, "downloaded_bag"),
        ("synced_archive", FREED, True, "downloaded_bag"),
    ],
)
def test_a_stage_whose_input_was_cleaned_away_says_which_to_start_from(
    start: str, disk: OnDisk, fresh: bool, first: str
) -> None:
    """A run that is bound to fail is not queued, and nothing is thrown away for it."""
    with pytest.raises(NothingStored, match=f"ao reprocess W1 --from {first}") as caught:
        plan(start, disk, fresh=fresh)
    assert caught.value.start_from == first


def test_an_unpacked_work_that_is_gone_is_unpacked_from_the_zip_that_is_there() -> None:
    """Downloading it again would be in vain."""
    receipts = receipts_until(Stage.DEBAGGED_WORK)
    disk = OnDisk(zip_whole=True, tree_whole=False)
    with pytest.raises(NothingStored) as caught:
        plan_redo("W1", "synced_archive", receipts, disk, "boot", fresh=False, event_given=False)
    assert caught.value.start_from == "debagged_work"


def test_an_event_that_only_a_run_has_is_stored_first() -> None:
    """A run that was killed before its first stage left its event in its config alone."""
    redo = plan_redo("W1", "downloaded_bag", Receipts(), FREED, "boot", fresh=False, event_given=True)
    assert redo.stages[0] == "restored_message"
    with pytest.raises(NothingStored, match="ao restore request W1"):
        plan_redo("W1", "downloaded_bag", Receipts(), FREED, "boot", fresh=False, event_given=False)
