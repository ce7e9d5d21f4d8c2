"""What the evidence of a work comes to, and where it contradicts itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ao_workflows.drs.rows import DrsEntry, DrsRow
from ao_workflows.errors import ReceiptRefused
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import Held, Origin
from ao_workflows.status.evidence import DownloadSeen, Evidence, RunSeen, RunState
from ao_workflows.status.standing import Standing, StuckLimits, standing_of
from ao_workflows.status.state import WorkState
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.receipts import EVENT, NOON, debagged, receipts_until, synced

HOUR = timedelta(hours=1)
LIMITS = StuckLimits(stage=24 * HOUR, restore=72 * HOUR)
NAMELESS = Origin("", "abc=", 7)
"""What a receipt of a version that named no event came from."""
LATER = replace(EVENT, time="2026-11-21T11:00:00Z")


def row_until(last: Stage, event: str = EVENT.identity, noted: dict[str, object] | None = None) -> DrsRow:
    """DRS's row of a work that has come so far, with a note at the end."""
    done = [stage for stage in Stage if list(Stage).index(stage) <= list(Stage).index(last)]
    entries = [DrsEntry(NOON, stage, event, {}) for stage in done if event]
    if noted:
        entries.append(DrsEntry(NOON, "", event, noted))
    return DrsRow(1, "W1", dict.fromkeys(done, NOON), tuple(entries), NOON, NOON)


def run(state: RunState, *, at: datetime = NOON, **others: Any) -> RunSeen:
    return RunSeen("0123456789ab", state, at, **others)


def told(now: datetime = NOON + HOUR, held: Held | None = None, **evidence: Any) -> Standing:
    receipts = replace(evidence.pop("receipts", Receipts()), held=held)
    return standing_of(Evidence("W1", receipts=receipts, **evidence), now, LIMITS)


WHOLE = {"receipts": receipts_until(Stage.SYNCED_ARCHIVE), "row": row_until(Stage.SYNCED_ARCHIVE)}


def test_a_work_that_all_sources_have_as_synced_is_in_the_archive() -> None:
    """The common case must not be cluttered: nothing to do, nobody disagrees."""
    found = told(run=run("succeeded"), **WHOLE)
    assert (found.state, found.since, found.stuck) == (WorkState.IN_ARCHIVE, NOON, False)
    assert (found.failure, found.advice, found.disagreements) == ("", "", ())
    assert list(found.done) == [stage.value for stage in Stage]


def test_a_second_restore_is_not_taken_for_the_first_that_is_done() -> None:
    """A work that was synced last year and is queued again is not in the archive as its new object is."""
    found = told(run=run("queued", event=LATER), **WHOLE)
    assert found.state is WorkState.QUEUED
    assert found.done == {}


def test_a_work_that_glacier_was_asked_for_anew_is_asked_and_not_done() -> None:
    """Its receipts and its last run tell of the restore before."""
    asked = DrsRow(2, "W1", {Stage.RESTORE_REQUESTED: NOON + HOUR}, (), NOON, NOON)
    for state in ("succeeded", "failed"):
        found = told(run=run(state), receipts=receipts_until(Stage.SYNCED_ARCHIVE), row=asked)  # type: ignore[arg-type]
        assert (found.state, found.since, found.disagreements) == (WorkState.ASKED, NOON + HOUR, ())


def test_receipts_of_the_version_before_contradict_nobody() -> None:
    """After an update each work that is in the archive would be told as something to look into."""
    old = replace(receipts_until(Stage.DOWNLOADED_BAG), debagged=debagged(NAMELESS), synced=synced(NAMELESS))
    found = told(receipts=old, row=row_until(Stage.SYNCED_ARCHIVE), run=run("succeeded"))
    assert (found.state, found.disagreements) == (WorkState.IN_ARCHIVE, ())


def test_a_receipt_that_cannot_be_used_is_a_remark_and_changes_nothing_else() -> None:
    """The stage will be done again; who wonders why finds the file."""
    refused = ReceiptRefused(Path("/s/receipts/W1/debagged_work.json"), "it is empty")
    known = receipts_until(Stage.DOWNLOADED_BAG)
    plain = told(receipts=known, run=run("failed", stage="debagged_work"))
    found = told(receipts=replace(known, refused=(refused,)), run=run("failed", stage="debagged_work"))
    assert found == replace(plain, remarks={"receipts": str(refused)})
    asked = DrsRow(2, "W1", {Stage.RESTORE_REQUESTED: NOON + HOUR}, (), NOON, NOON)
    anew = told(receipts=replace(known, refused=(refused,)), row=asked)
    assert (anew.state, anew.remarks) == (WorkState.ASKED, {"receipts": str(refused)})


ELSEWHERE = replace(LATER, key="trash/2019/W1.bag.zip")


def kept(event: ObjectEvent, error: str) -> Held:
    why = "this delivery is not the archive's"
    return Held(rid="W1", run_id="run", boot="boot", at=NOON + HOUR, intake="fpl", event=event, error=error, why=why)


def held_run(event: ObjectEvent, error: str, **others: Any) -> RunSeen:
    said = "W1: this delivery is not the archive's\nTo do it all the same: ao reprocess W1 --force"
    return run("failed", at=NOON + HOUR, stage="restored_message", reason=said, error=error, event=event, **others)


EARLIER = replace(EVENT, time="2026-11-21T08:00:00Z")
FORCE = "To do it all the same: ao reprocess W1 --force"


@pytest.mark.parametrize(
    "evidence",
    [
        {"run": held_run(EARLIER, "OlderDelivery"), "held": kept(EARLIER, "OlderDelivery")},
        {"run": held_run(EARLIER, "OlderDelivery")},
        {"run": run("succeeded"), "held": kept(EARLIER, "OlderDelivery")},
    ],
)
def test_a_work_whose_last_run_was_an_older_delivery_is_in_the_archive_with_a_note(evidence: dict[str, Any]) -> None:
    """It is not failed: the newest delivery is where it belongs. But somebody may have wanted the other."""
    found = told(**WHOLE, **evidence)
    assert (found.state, found.since, found.failure, found.disagreements) == (WorkState.IN_ARCHIVE, NOON, "", ())
    assert (found.held, found.advice) == ("this delivery is not the archive's", FORCE)


@pytest.mark.parametrize(
    "evidence",
    [
        {"run": held_run(ELSEWHERE, "OtherObject"), "held": kept(ELSEWHERE, "OtherObject")},
        {"run": held_run(ELSEWHERE, "OtherObject")},
        {"run": run("succeeded"), "held": kept(ELSEWHERE, "OtherObject")},
    ],
)
def test_a_work_that_came_from_another_object_too_waits_for_a_decision(evidence: dict[str, Any]) -> None:
    """Which of the two is right nobody but a person knows; after a day it is one of the stuck."""
    found = told(**WHOLE, **evidence)
    assert (found.state, found.since, found.stuck) == (WorkState.HELD, NOON + HOUR, False)
    assert (found.failure, found.disagreements) == ("", ())
    assert found.held == "this delivery is not the archive's"
    assert found.advice == f"{FORCE}; to leave the archive as it is: ao reprocess W1 --from synced_archive"
    assert told(now=NOON + 26 * HOUR, **WHOLE, **evidence).stuck


def test_a_delivery_that_was_held_late_is_not_taken_for_what_the_archive_has() -> None:
    """Another host synced a newer one while this one was being unpacked: its receipts tell of nothing archived."""
    newer = row_until(Stage.SYNCED_ARCHIVE, LATER.identity)
    late = {"receipts": receipts_until(Stage.DEBAGGED_WORK), "held": kept(EVENT, "OlderDelivery"), "row": newer}
    found = told(run=held_run(EVENT, "OlderDelivery"), **late)
    assert (found.state, found.disagreements) == (WorkState.IN_ARCHIVE, ())
    assert found.held


@pytest.mark.parametrize("run_known", [True, False])
def test_what_is_to_be_done_is_the_newer_delivery_that_is_stored_and_not_the_one_that_was_held_behind_it(
    run_known: bool,
) -> None:
    """The advice was to have the older one done by force, and a refusal of the newer was no longer told."""
    refused = DrsEntry(NOON, "", EVENT.identity, {"refused": "a page is missing"})
    held = DrsEntry(NOON + HOUR, "", EVENT.identity, {"held": "this delivery is not the archive's"})
    row = replace(row_until(Stage.DOWNLOADED_BAG, EVENT.identity), entries=(refused, held))
    known = {"run": held_run(EARLIER, "NewerStored")} if run_known else {}
    kept_here = kept(EARLIER, "NewerStored")
    found = told(receipts=receipts_until(Stage.DOWNLOADED_BAG), row=row, held=kept_here, zip_there=True, **known)
    assert (found.state, found.failure) == (WorkState.FAILED, "a page is missing")
    assert found.held
    assert found.advice.startswith("Have the bag made and uploaded again")


def test_a_run_for_a_held_delivery_or_a_failure_after_it_is_what_is_told() -> None:
    """A person who has decided must not be asked again, and one who has not must see what failed."""
    held = kept(ELSEWHERE, "OtherObject")
    queued = told(run=run("queued", event=ELSEWHERE), held=held, **WHOLE)
    assert (queued.state, queued.held) == (WorkState.QUEUED, "")
    failed = told(run=run("failed", at=NOON + 2 * HOUR, event=LATER, reason="no"), held=held, **WHOLE)
    assert (failed.state, failed.failure) == (WorkState.FAILED, "no")
    assert "--force" not in failed.advice


@pytest.mark.parametrize(
    ("evidence", "hours", "stuck"),
    [
        ({"run": run("under way", stage="downloaded_bag")}, 25, True),
        ({"run": run("under way", stage="downloaded_bag")}, 23, False),
        ({"run": run("failed")}, 25, True),
        ({"run": run("canceled")}, 25, True),
        ({"run": run("queued")}, 999, False),
        ({"row": row_until(Stage.RESTORE_REQUESTED, "")}, 71, False),
        ({"row": row_until(Stage.RESTORE_REQUESTED, "")}, 73, True),
        ({"row": row_until(Stage.SYNCED_ARCHIVE)}, 999, False),
    ],
)
def test_a_work_is_stuck_when_its_stage_takes_longer_than_the_site_says(
    evidence: dict[str, Any], hours: int, stuck: bool
) -> None:
    """What waits its turn in a long queue is not stuck; what failed and nobody looked at is."""
    assert told(now=NOON + hours * HOUR, **evidence).stuck is stuck


def test_the_rate_is_that_of_the_run_that_is_under_way() -> None:
    """A killed download leaves its last figures, which are nobody's now."""
    here = DownloadSeen(43.0, 81.2, 190, "0123456789ab", NOON)
    under_way = run("under way", stage="downloaded_bag")
    assert told(run=under_way, transfer=here).transfer == here
    assert told(run=under_way, transfer=replace(here, run_id="another")).transfer is None
    assert told(run=run("failed"), transfer=here).transfer is None


@pytest.mark.parametrize(
    ("evidence", "says"),
    [
        ({"receipts": WHOLE["receipts"]}, "DRS has no row"),
        ({"receipts": WHOLE["receipts"], "row": row_until(Stage.DEBAGGED_WORK)}, "synced_archive: done by the receipt"),
        (
            {"receipts": receipts_until(Stage.DOWNLOADED_BAG), "row": row_until(Stage.SYNCED_ARCHIVE)},
            "debagged_work, synced_archive: done by DRS, and no receipt",
        ),
        ({"receipts": WHOLE["receipts"], "row": row_until(Stage.SYNCED_ARCHIVE, "other")}, "of another restore"),
        ({"run": run("succeeded"), "row": row_until(Stage.DEBAGGED_WORK, "")}, "ended well, and DRS does not"),
        ({"run": run("failed", at=NOON + HOUR), **WHOLE}, "DRS has the work as synced, and its last run"),
        ({"run": run("under way"), "lock": "abandoned"}, "the process that had the work was killed"),
        ({"lock": "held", "run": run("succeeded"), **WHOLE}, "Dagster knows of no run of it that is under way"),
    ],
)
def test_sources_that_contradict_each_other_are_told(evidence: dict[str, Any], says: str) -> None:
    """Each is what a kill, a lost disk or a restored database leaves; believing one source alone would hide it."""
    (disagreement,) = told(**evidence).disagreements
    assert says in disagreement


@pytest.mark.parametrize(
    "evidence",
    [
        {"row": row_until(Stage.SYNCED_ARCHIVE, "")},
        {"row": row_until(Stage.SYNCED_ARCHIVE), "run": run("succeeded")},
        {"receipts": WHOLE["receipts"], "asked_drs": False},
        {"run": run("under way", stage="downloaded_bag"), "lock": "held", **WHOLE},
        {"run": run("failed", at=NOON + HOUR, stage="deep_copied"), **WHOLE},
        {"run": run("succeeded", selected=("downloaded_bag",)), "row": row_until(Stage.DOWNLOADED_BAG)},
        {"lock": "held", "asked_dagster": False, "receipts": receipts_until(Stage.RESTORED_MESSAGE)}
        | {"asked_drs": False},
    ],
)
def test_a_source_that_has_nothing_to_say_contradicts_nobody(evidence: dict[str, Any]) -> None:
    """The archive's own rows, a new scratch disk, a redo that is under way: none of them is wrong."""
    assert told(**evidence).disagreements == ()
