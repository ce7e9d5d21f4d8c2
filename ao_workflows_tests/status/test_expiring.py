"""Whose restored copy is still needed, and when it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ao_workflows.status.evidence import Evidence
from ao_workflows.status.expiring import end_in_words, undownloaded
from ao_workflows.status.standing import standing_of
from ao_workflows.works.stages import Stage
from ao_workflows_tests.status.test_standing import EVENT, HOUR, LIMITS, NOON, receipts_until, run

ENDS = replace(EVENT, restore_expires="2026-11-22T12:00:00.000Z")


def _undownloaded(evidence: Evidence) -> list[datetime | None]:
    return [work.until for work in undownloaded([(evidence, standing_of(evidence, NOON, LIMITS))])]


def test_a_copy_is_needed_until_the_work_was_downloaded() -> None:
    """A work that waits in a long queue is the one whose copy ends."""
    assert _undownloaded(Evidence("W1", run=run("queued", event=ENDS))) == [NOON + 24 * HOUR]
    assert _undownloaded(Evidence("W1", receipts=receipts_until(Stage.RESTORED_MESSAGE, ENDS))) == [NOON + 24 * HOUR]
    assert _undownloaded(Evidence("W1", receipts=receipts_until(Stage.DOWNLOADED_BAG, ENDS))) == []
    assert _undownloaded(Evidence("W1", receipts=receipts_until(Stage.SYNCED_ARCHIVE, ENDS))) == []
    assert _undownloaded(Evidence("W1")) == []


@pytest.mark.parametrize("said", [None, "soon"])
def test_an_end_that_the_event_does_not_say_may_be_now(said: str | None) -> None:
    """S3 is asked then."""
    evidence = Evidence("W1", run=run("failed", event=replace(EVENT, restore_expires=said)))
    (work,) = undownloaded([(evidence, standing_of(evidence, NOON, LIMITS))])
    assert work.until is None
    assert work.ends_before(NOON)


def test_an_end_is_told_as_people_read_it() -> None:
    """A person asks how much time there is."""
    assert end_in_words(NOON, NOON - timedelta(minutes=90)) == "ends on 2026-11-21 12:00 UTC, in 1 h"
    assert end_in_words(NOON, NOON + HOUR) == "ended on 2026-11-21 12:00 UTC"
