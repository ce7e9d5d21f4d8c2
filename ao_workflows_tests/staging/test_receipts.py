"""Receipts as values: what is reckoned from what they have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ao_workflows.machine.boot import boot_id
from ao_workflows.staging.receipts import Origin, UnpackedWork
from ao_workflows_tests.support.receipts import EVENT, a_zip, debagged, downloaded, restored


def test_a_zip_s_works_are_counted_together() -> None:
    """The web page shows what came of the zip, not of its first work."""
    one = UnpackedWork("W1", 2, 5, ("md5",), proven=True, tags="W1.bag")
    receipt = debagged(
        Origin("e", "abc=", 7), works=[one, UnpackedWork("W2", 1, 6, ("sha256",), proven=False, tags="")]
    )
    assert (receipt.rids, receipt.unproven, receipt.files, receipt.bytes) == (["W1", "W2"], ["W2"], 3, 11)


def test_a_receipt_that_is_made_now_is_of_this_boot_and_this_second() -> None:
    """Of another boot, each stage would read all its bytes again; of another time, DRS would say so for good."""
    receipt = restored()
    assert receipt.boot == boot_id()
    assert receipt.at.microsecond == 0
    assert timedelta() <= datetime.now(UTC) - receipt.at < timedelta(minutes=1)


def test_the_stages_after_the_download_name_its_event_and_its_zip() -> None:
    """By the zip alone, one delivery's receipts would fit the next one's of the same bytes."""
    assert downloaded(zip=a_zip(9, "new=")).origin == Origin(EVENT.identity, "new=", 9)
