"""How long a synced work stays on the scratch disk, by its receipts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import Origin
from ao_workflows.staging.retention import kept_until
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.receipts import EVENT, a_zip, downloaded, receipts_until

SYNCED_AT = datetime(2026, 11, 21, 6, 32, tzinfo=UTC)


FIELDS = ("restored", "downloaded", "debagged", "synced")


def receipts(event: ObjectEvent = EVENT, at: datetime = SYNCED_AT, *, kept: bool = True) -> Receipts:
    """Those of a work whose stages were all done for one event."""
    found = receipts_until(Stage.SYNCED_ARCHIVE, event, at)
    assert found.synced
    return replace(found, synced=replace(found.synced, kept=kept))


def test_a_work_stays_for_the_days_that_the_site_says_from_its_sync_on() -> None:
    """Not from its download on: a sync may take days, and the work is to be at hand after it."""
    found = replace(receipts(at=SYNCED_AT - timedelta(days=2)), synced=receipts().synced)
    assert kept_until(found, 3) == SYNCED_AT + timedelta(days=3)
    assert kept_until(found, 0) == SYNCED_AT


def test_what_is_not_proven_to_be_in_the_archive_has_no_end() -> None:
    """It would be the only copy that is at hand."""
    whole = receipts()
    for missing in FIELDS:
        assert kept_until(replace(whole, **{missing: None}), 3) is None
    assert kept_until(receipts(kept=False), 3) is None
    newer = replace(EVENT, time="2026-11-21T11:00:00Z")
    assert kept_until(replace(receipts(newer), synced=whole.synced), 3) is None


def test_what_was_brought_again_for_the_same_event_has_no_end() -> None:
    """A person had the work reprocessed, the run failed, and the night freed what the next try needs."""
    later = receipts(at=SYNCED_AT + timedelta(seconds=1))
    for name in FIELDS[:-1]:
        assert kept_until(replace(receipts(), **{name: getattr(later, name)}), 3) is None
    assert later.synced
    assert kept_until(later, 3) == later.synced.at + timedelta(days=3)


def test_a_kept_work_whose_receipts_name_no_event_is_known_by_its_zip() -> None:
    """After an update such works would have stayed on the disk for ever."""
    whole, nameless = receipts(), Origin("", "abc=", 7)
    assert whole.debagged
    assert whole.synced
    old = replace(
        whole, debagged=replace(whole.debagged, origin=nameless), synced=replace(whole.synced, origin=nameless)
    )
    assert kept_until(old, 3) == SYNCED_AT + timedelta(days=3)
    assert kept_until(replace(old, downloaded=None), 3) is None
    assert kept_until(replace(old, debagged=whole.debagged), 3) is None
    other = downloaded(zip=a_zip(8), boot="boot", at=SYNCED_AT)
    assert kept_until(replace(old, downloaded=other), 3) is None
