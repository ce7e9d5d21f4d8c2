"""Retention: until when a synced work stays on the scratch disk, by ``[staging] keep`` in site.toml.

What belongs here: that decision, of a work's receipts. What does not: freeing the work
(``ao_workflows.staging.unneeded``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from ao_workflows.machine.times import in_order
from ao_workflows.staging.receipts import Receipt
from ao_workflows.staging.validity import receipts_in_force
from ao_workflows.works.stages import Stage


def kept_until(receipts: Mapping[str, Receipt], keep_days: int) -> datetime | None:
    """When the work's time on the scratch disk is over; None where the disk has something of it that is not proven to
    be in the archive, or that was brought again since: that stays, whatever its age.

    :param receipts: the work's receipts, by their stages.
    :param keep_days: for how many days a work stays after it was synced.
    """
    synced = receipts.get(Stage.SYNCED_ARCHIVE)
    if synced is None or not synced.left.get("kept") or not _is_in_force(synced, receipts):
        return None
    done = in_order(synced.at)
    # A receipt that is younger is a restore's that was asked for again: what it brought is wanted.
    if any(in_order(receipt.at) > done for receipt in receipts.values()):
        return None
    return done + timedelta(days=keep_days)


def _is_in_force(synced: Receipt, receipts: Mapping[str, Receipt]) -> bool:
    """Whether what the disk has of the work is what was synced."""
    if "event" in synced.took:
        return Stage.SYNCED_ARCHIVE in receipts_in_force(receipts, synced.took["event"])
    # A version that did not name the whole chain left no event in it.
    downloaded, debagged = receipts.get(Stage.DOWNLOADED_BAG), receipts.get(Stage.DEBAGGED_WORK)
    if downloaded is None or debagged is None or debagged.took != synced.took:
        return False
    return all(downloaded.left.get(name) == value for name, value in synced.took.items())
