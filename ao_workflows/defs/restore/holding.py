"""Holding: deliveries that wait for a person's word, and what such a word covers.

What belongs here: asking DRS whether a delivery may be done, keeping one that may not, and letting it go. What does
not: the rule (``ao_workflows.status.deliveries``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from ao_workflows.drs.client import Drs
from ao_workflows.events.dropped_files import WorkEvent
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.machine.times import in_order
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import Held
from ao_workflows.staging.staging import Staging
from ao_workflows.status import noted_events
from ao_workflows.status.deliveries import Delivery, delivery_of, is_older, reason_to_hold, synced_deliveries

REDONE_TAG = "ao/reprocess"
"""On the runs by which a person has a work redone."""


def deliveries_overridden(
    context: dg.AssetExecutionContext, staging: Staging, drs: Drs, event: WorkEvent
) -> tuple[str, ...]:
    """The deliveries over which a person's word has an event done: those that DRS has as synced by now.

    A run that was killed and is run again brings no new word: what was synced since was not known to whoever gave it.

    :raises DatabaseUnavailable: if DRS cannot be asked.
    """
    rid, before = context.partition_key, staging.receipts(context.partition_key).restored
    family = {context.run.parent_run_id, context.run.root_run_id}
    if before and before.run_id in family and before.event.identity == event.identity:
        return before.over or ()
    return tuple(each.delivery.identity for each in synced_deliveries(rid, drs.rows_of(rid)))


def refuse_held(
    context: dg.AssetExecutionContext,
    staging: Staging,
    drs: Drs,
    intake: str,
    event: WorkEvent,
    *,
    over: Sequence[str] | None,
    modified: str = "",
) -> None:
    """Lets a delivery pass that may be done by what DRS has as synced, or by a person's word ``over`` some deliveries.

    One that may not is kept in staging, without the stored event being touched, and noted in DRS with the delivery that
    stands against it: a row of its own would tell the archive's other systems that the work is not synced.

    :raises DeliveryHeld: if it may not.
    :raises DatabaseUnavailable: if DRS cannot be asked.
    """
    rid, this = context.partition_key, delivery_of(event, modified=modified)
    receipts = staging.receipts(rid)
    synced, stored = synced_deliveries(rid, drs.rows_of(rid)), _not_held(receipts)
    found = reason_to_hold(rid, this, synced, stored)
    if found and over is not None:
        word = reason_to_hold(rid, this, [each for each in synced if each.delivery.identity not in over])
        if word is None:
            context.log.warning(f"{rid}: {found[0].why}. It is done all the same: a person has said so")
        found = word
    if found is None:
        return
    error, against = found
    before = receipts.held
    if before is None or not is_older(this, delivery_of(before.event)):
        name = type(error).__name__
        held = Held(rid=rid, run_id=context.run_id, intake=intake, event=event, error=name, why=error.why)
        staging.write_receipt(held, flush=True)
    if isinstance(event, ObjectEvent):
        # Not those before it: one of the work's own object has nothing to do with what came from another.
        noted_events.forget_one(staging, rid, event)
    noted = {"run_id": context.run_id, "held": error.why, "delivery": this.noted()}
    drs.record(rid, None, datetime.now(UTC), noted, event=against.identity)
    raise error


def meant_by_word(context: dg.AssetExecutionContext, staging: Staging) -> tuple[str, WorkEvent] | None:
    """The delivery that a person's word is for who gives it without an event, as in the web page: the one that is held,
    and the intake that it came by; None where none is, so that the word is for the stored event.

    A run that was killed and is run again brings no new word: what has been held since waits.
    """
    rid, run = context.partition_key, context.run
    receipts = staging.receipts(rid)
    stored, held = receipts.restored, receipts.held
    given = stored is not None and stored.over is not None
    if held is None or (stored and given and stored.run_id in {run.run_id, run.parent_run_id, run.root_run_id}):
        return None
    return held.intake, held.event


def _not_held(receipts: Receipts) -> Delivery | None:
    """The delivery that is stored for the work, save where it was held after it had been stored."""
    stored, held = receipts.restored, receipts.held
    if stored is None or (held and held.event.identity == stored.event.identity and stored.over is None):
        return None
    return delivery_of(stored.event)


def forget_held(context: dg.AssetExecutionContext, staging: Staging, synced: Delivery) -> None:
    """Removes the delivery that waited for a person's word, where it, or a newer one, is synced now; or where a person
    has had another one redone, which is a word too.
    """
    rid = context.partition_key
    held = staging.receipts(rid).held
    if held and (_decided(context, held) or not is_older(synced, delivery_of(held.event))):
        staging.throw_away(rid, Held.stage)


def _decided(context: dg.AssetExecutionContext, held: Held) -> bool:
    """Whether a person asked for this run who could know of what was held by then."""
    record = context.instance.get_run_record_by_id(context.run_id) if REDONE_TAG in context.run.tags else None
    return record is not None and held.at < in_order(record.create_timestamp.isoformat())
