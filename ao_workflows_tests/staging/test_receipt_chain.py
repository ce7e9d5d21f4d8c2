"""Which of a work's receipts speak of the restore at hand, and when what they name has been kept for long enough."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import Origin
from ao_workflows.works.stages import RUN_STAGES, Stage
from ao_workflows_tests.support.receipts import (
    EVENT,
    a_zip,
    debagged,
    downloaded,
    receipts_until,
)

LATER = replace(EVENT, time="2026-11-21T11:00:00Z")
NAMELESS = Origin("", "abc=", 7)
HOUR = timedelta(hours=1)


def test_receipts_are_in_force_only_in_a_chain_from_the_event() -> None:
    """A zip of last year's restore, and a tree of another zip, are no part of this one."""
    receipts = receipts_until(Stage.SYNCED_ARCHIVE)
    assert set(receipts.in_force(EVENT.identity).by_stage()) == set(RUN_STAGES)
    assert receipts.in_force(LATER.identity) == Receipts()
    mixed = replace(receipts, downloaded=downloaded(zip=a_zip(crc64nvme="other=")))
    assert list(mixed.in_force(EVENT.identity).by_stage()) == [Stage.RESTORED_MESSAGE, Stage.DOWNLOADED_BAG]


@pytest.mark.parametrize("gone", ["restored", "downloaded", "debagged", "synced"])
def test_no_receipt_is_in_force_behind_one_that_is_not_there(gone: str) -> None:
    """A sync whose zip is being downloaded again is of nobody knows which bytes."""
    receipts = replace(receipts_until(Stage.SYNCED_ARCHIVE), **{gone: None})
    before = ["restored", "downloaded", "debagged", "synced"].index(gone)
    assert list(receipts.in_force(EVENT.identity).by_stage()) == list(RUN_STAGES[:before])


def test_a_receipt_of_another_delivery_is_not_in_force_though_its_zip_has_the_same_bytes() -> None:
    """And one of a version that named no event in it is in force for nothing: its stage is done again."""
    receipts, later = receipts_until(Stage.SYNCED_ARCHIVE), receipts_until(Stage.DOWNLOADED_BAG, LATER)
    renewed = replace(receipts, restored=later.restored, downloaded=later.downloaded)
    assert list(renewed.in_force(LATER.identity).by_stage()) == [Stage.RESTORED_MESSAGE, Stage.DOWNLOADED_BAG]
    old = replace(receipts, debagged=debagged(NAMELESS))
    assert list(old.in_force(EVENT.identity).by_stage()) == [Stage.RESTORED_MESSAGE, Stage.DOWNLOADED_BAG]
