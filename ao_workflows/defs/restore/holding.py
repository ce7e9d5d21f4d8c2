"""Holding: deliveries that wait for a person's word, and what such a word covers.

What belongs here: asking DRS whether a delivery may be synced, keeping one that may not, and removing it once that is
decided. What does not: the rule (``ao_workflows.status.deliveries``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from ao_workflows.defs.restore.stage import named_in_drs, part_of
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
"""The tag of the runs that a person has started with ``ao reprocess``."""


def receipts_of(context: dg.AssetExecutionContext, staging: Staging) -> Receipts:
    """Returns the receipts of the run's work, or part."""
    return staging.receipts(part_of(context).staged)


def deliveries_overridden(
    context: dg.AssetExecutionContext, staging: Staging, drs: Drs, event: WorkEvent
) -> tuple[str, ...]:
    """Returns the identities of the deliveries that a person overrides with ``force``: those that are synced by now.

    If the run repeats a killed one that had stored this event, they are the same as in that run: a delivery that was
    synced since then was not known to the person when they decided.

    :param event: the event that is to be done although those deliveries are newer, or are of another object.
    :raises DatabaseUnavailable: if DRS cannot be asked.
    """
    part, before = part_of(context), receipts_of(context, staging).restored
    family = {context.run.parent_run_id, context.run.root_run_id}
    if before and before.run_id in family and before.event.identity == event.identity:
        return before.over or ()
    return tuple(each.delivery.identity for each in synced_deliveries(part.staged, drs.rows_of(part.rid)))


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
    """Refuses a delivery that must wait for a person's decision, by what DRS has as synced; lets any other one pass.

    A refused delivery is kept in staging, where the stored event stays as it is. It is also noted in DRS, in the row of
    the delivery that it conflicts with: a row of its own would tell the archive's other systems that the work is not
    synced.

    :param intake: the intake that the event came by.
    :param over: the identities of the deliveries that a person has overridden; None if nobody has decided anything.
    :param modified: when the object was written, as S3 says, if that is known.
    :raises DeliveryHeld: if the delivery must wait.
    :raises DatabaseUnavailable: if DRS cannot be asked.
    """
    part, this = part_of(context), delivery_of(event, modified=modified)
    rid, receipts = part.staged, receipts_of(context, staging)
    synced, stored = synced_deliveries(rid, drs.rows_of(part.rid)), _not_held(receipts)
    places = staging.places.get(intake, [])
    found = reason_to_hold(rid, this, synced, stored, places)
    if found and over is not None:
        unsaid = [each for each in synced if each.delivery.identity not in over]
        word = reason_to_hold(rid, this, unsaid, places=places)
        if word is None:
            context.log.warning(f"{part}: {found[0].why}. It is done all the same: a person has said so")
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
        # Only this event's note is removed, not those of earlier ones: they may be of the work's own object, while this
        # one is of another.
        noted_events.forget_one(staging, rid, event)
    noted = {"run_id": context.run_id, "held": error.why, "delivery": this.noted()} | named_in_drs(part)
    drs.record(part.rid, None, datetime.now(UTC), noted, event=against.identity)
    raise error


def meant_by_word(context: dg.AssetExecutionContext, staging: Staging) -> tuple[str, WorkEvent] | None:
    """Returns the delivery that a person means by ``force`` without an event, as in the web page, and its intake.

    It is the delivery that waits for a decision. Returns None if none does, so that the stored event is meant; and also
    if this run, or the killed one that it repeats, has stored the person's decision already: a delivery that has been
    waiting only since then was not meant.
    """
    run, receipts = context.run, receipts_of(context, staging)
    stored, held = receipts.restored, receipts.held
    given = stored is not None and stored.over is not None
    if held is None or (stored and given and stored.run_id in {run.run_id, run.parent_run_id, run.root_run_id}):
        return None
    return held.intake, held.event


def _not_held(receipts: Receipts) -> Delivery | None:
    """Returns the delivery that is stored for the work; None if it was stored first and then had to wait."""
    stored, held = receipts.restored, receipts.held
    if stored is None or (held and held.event.identity == stored.event.identity and stored.over is None):
        return None
    downloaded = receipts.in_force(stored.event.identity).downloaded
    seen = downloaded.zip.object if downloaded else None
    return delivery_of(stored.event, modified=seen.modified if seen else "")


def forget_held(context: dg.AssetExecutionContext, staging: Staging, synced: Delivery) -> None:
    """Removes the waiting delivery of the work once it is decided.

    That is if it, or a newer one, is now ``synced``; or if a person who could know of it asked for this run, which has
    synced another delivery.
    """
    held = receipts_of(context, staging).held
    if held and (_decided(context, held) or not is_older(synced, delivery_of(held.event))):
        staging.throw_away(part_of(context).staged, Held.stage)


def _decided(context: dg.AssetExecutionContext, held: Held) -> bool:
    """Whether a person asked for this run, at a time when the waiting delivery was there already."""
    record = context.instance.get_run_record_by_id(context.run_id) if REDONE_TAG in context.run.tags else None
    return record is not None and held.at < in_order(record.create_timestamp.isoformat())
