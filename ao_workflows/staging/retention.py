"""Retention: until when a synced work stays on the scratch disk, by ``[staging] keep`` in site.toml.

What belongs here: that decision, made from a work's receipts. What does not: freeing the work
(``ao_workflows.staging.unneeded``).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import Synced


def kept_until(receipts: Receipts, keep_days: int) -> datetime | None:
    """Returns when the work's time on the scratch disk is over, or None if it must stay whatever its age.

    It must stay if the disk has something of it that is not proven to be in the archive, or that was brought again
    since.

    :param keep_days: for how many days a work stays after it was synced.
    """
    synced = receipts.synced
    if synced is None or not synced.kept or not _is_in_force(synced, receipts):
        return None
    # A receipt that is younger than the sync is of a restore that was requested since: what it brought is wanted.
    if any(receipt.at > synced.at for receipt in receipts.by_stage().values()):
        return None
    return synced.at + timedelta(days=keep_days)


def _is_in_force(synced: Synced, receipts: Receipts) -> bool:
    """Whether what the disk has of the work is what was synced."""
    if synced.origin.event:
        return receipts.in_force(synced.origin.event).synced is not None
    # A version of this program that did not name the whole origin wrote no event into it.
    downloaded, debagged = receipts.downloaded, receipts.debagged
    if downloaded is None or debagged is None or debagged.origin != synced.origin:
        return False
    return replace(downloaded.origin, event="") == synced.origin
