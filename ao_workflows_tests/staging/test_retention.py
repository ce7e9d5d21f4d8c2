"""How long a synced work stays on the scratch disk, by its receipts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ao_workflows.machine.times import in_order
from ao_workflows.staging.receipts import Receipt
from ao_workflows.staging.retention import kept_until
from ao_workflows.staging.validity import takes
from ao_workflows.works.stages import RUN_STAGES, Stage

SYNCED_AT = datetime(2026, 11, 21, 6, 32, tzinfo=UTC)


def receipts(event: str = "e", at: datetime = SYNCED_AT, *, kept: bool = True) -> dict[str, Receipt]:
    """Those of a work whose stages were all done for one event."""
    left = {Stage.DOWNLOADED_BAG: {"crc64nvme": "c", "bytes": 3}, Stage.SYNCED_ARCHIVE: {"kept": kept}}
    found: dict[str, Receipt] = {}
    for stage in RUN_STAGES:
        took = takes(stage, event, found.get(Stage.DOWNLOADED_BAG))
        found[stage] = Receipt(stage, "W1", took, left.get(stage, {}), "run", "boot", at.isoformat())
    return found


def test_a_work_stays_for_the_days_that_the_site_says_from_its_sync_on() -> None:
    """Not from its download on: a sync may take days, and the work is to be at hand after it."""
    found = receipts(at=SYNCED_AT - timedelta(days=2)) | {
        Stage.SYNCED_ARCHIVE: receipts()[Stage.SYNCED_ARCHIVE],
    }
    assert kept_until(found, 3) == SYNCED_AT + timedelta(days=3)
    assert kept_until(found, 0) == SYNCED_AT


def test_what_is_not_proven_to_be_in_the_archive_has_no_end() -> None:
    """It would be the only copy that is at hand."""
    whole = receipts()
    for missing in RUN_STAGES:
        assert kept_until({stage: each for stage, each in whole.items() if stage != missing}, 3) is None
    assert kept_until(receipts(kept=False), 3) is None
    assert kept_until(receipts("newer") | {Stage.SYNCED_ARCHIVE: whole[Stage.SYNCED_ARCHIVE]}, 3) is None


def test_what_was_brought_again_for_the_same_event_has_no_end() -> None:
    """A person had the work reprocessed, the run failed, and the night freed what the next try needs."""
    later = receipts(at=SYNCED_AT + timedelta(seconds=1))
    for stage in RUN_STAGES[:-1]:
        assert kept_until(receipts() | {stage: later[stage]}, 3) is None
    assert kept_until(later, 3) == in_order(later[Stage.SYNCED_ARCHIVE].at) + timedelta(days=3)
