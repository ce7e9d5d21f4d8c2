"""Stages: what each asset does around its own work.

What belongs here: the stored event, the receipt that spares the work, the record in DRS, errors put into words
for Dagster, progress and rates. What does not: the work of any one stage (``ao_workflows.assets``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from ao_workflows.domain.admission import no_manifest, without_its_own
from ao_workflows.domain.deliveries import Delivery, delivery_of, is_older, reason_to_hold, synced_deliveries
from ao_workflows.domain.dropped_files import DroppedFile, Event, stored_in
from ao_workflows.domain.errors import AoError, DeliveryHeld, NothingStored
from ao_workflows.domain.events import ObjectEvent
from ao_workflows.domain.evidence import HELD_RECEIPT, RUN_STAGES, receipts_in_force
from ao_workflows.domain.fixity import Depth, compare_tree, payload_counts, read_fixity
from ao_workflows.domain.progress import Stage
from ao_workflows.domain.receipts import Receipt, boot_id
from ao_workflows.domain.standing import NOTHING_IS_LOST
from ao_workflows.domain.times import in_order
from ao_workflows.resources import noted_events
from ao_workflows.resources.digests import file_crc64nvme
from ao_workflows.resources.drs import Drs
from ao_workflows.resources.staging import Staging

REDONE_TAG = "ao/reprocess"
"""On the runs by which a person has a work redone."""


@dataclass(frozen=True)
class StoredEvent:
    """What ``restored_message`` leaves: the event, the name of the intake that it came by, and the receipt."""

    intake: str
    event: Event
    receipt: Receipt

    @property
    def over(self) -> tuple[str, ...] | None:
        """The deliveries that DRS had as synced when a person said that this one is to be done all the same, by their
        identities; None where nobody said so.
        """
        return tuple(self.receipt.left.get("over", ())) if self.receipt.left.get("force") is True else None


def stored_event(staging: Staging, rid: str) -> StoredEvent:
    """The event that the work's last ``restored_message`` stored.

    :raises NothingStored: where there is none.
    """
    receipt = staging.receipt(rid, "restored_message")
    if receipt is None:
        raise NothingStored(rid, f"no restore event is stored in {staging.root}", None)
    return StoredEvent(receipt.left["intake"], stored_in(receipt.left), receipt)


def in_force(staging: Staging, stored: StoredEvent) -> dict[Stage, Receipt]:
    """The work's receipts that speak of the stored event, up to the first stage that was not done for it."""
    rid = stored.receipt.rid
    found = ((stage, staging.receipt(rid, stage)) for stage in RUN_STAGES)
    return receipts_in_force({stage: receipt for stage, receipt in found if receipt}, stored.event.identity)


def over_what_is_there(context: dg.AssetExecutionContext, staging: Staging, drs: Drs, event: Event) -> tuple[str, ...]:
    """The deliveries over which a person's word has an event done: those that DRS has as synced by now.

    A run that was killed and is run again brings no new word: what was synced since was not known to whoever gave it.

    :raises DatabaseUnavailable: if DRS cannot be asked.
    """
    rid, before = context.partition_key, staging.receipt(context.partition_key, Stage.RESTORED_MESSAGE)
    family = {context.run.parent_run_id, context.run.root_run_id}
    if before and before.run_id in family and before.took.get("event") == event.identity:
        return StoredEvent("", event, before).over or ()
    return tuple(each.delivery.identity for each in synced_deliveries(rid, drs.rows_of(rid)))


def refuse_held(
    context: dg.AssetExecutionContext,
    staging: Staging,
    drs: Drs,
    intake: str,
    event: Event,
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
    synced, stored = synced_deliveries(rid, drs.rows_of(rid)), _not_held(staging, rid)
    found = reason_to_hold(rid, this, synced, stored)
    if found and over is not None:
        word = reason_to_hold(rid, this, [each for each in synced if each.delivery.identity not in over])
        if word is None:
            context.log.warning(f"{rid}: {found[0].why}. It is done all the same: a person has said so")
        found = word
    if found is None:
        return
    error, against = found
    before = staging.receipt(rid, HELD_RECEIPT)
    if before is None or not is_older(this, delivery_of(stored_in(before.left))):
        kind = "file" if isinstance(event, DroppedFile) else "event"
        left = {"intake": intake, kind: asdict(event), "error": type(error).__name__, "why": error.why}
        staging.write_receipt(rid, HELD_RECEIPT, {"event": event.identity}, left, context.run_id, flush=True)
    if isinstance(event, ObjectEvent):
        # Not those before it: one of the work's own object has nothing to do with what came from another.
        noted_events.forget_one(staging, rid, event)
    noted = {"run_id": context.run_id, "held": error.why, "delivery": this.noted()}
    drs.record(rid, None, datetime.now(UTC), noted, event=against.identity)
    raise error


def meant_by_word(context: dg.AssetExecutionContext, staging: Staging) -> tuple[str, Event] | None:
    """The delivery that a person's word is for who gives it without an event, as in the web page: the one that is held,
    and the intake that it came by; None where none is, so that the word is for the stored event.

    A run that was killed and is run again brings no new word: what has been held since waits.
    """
    rid, run = context.partition_key, context.run
    stored, held = staging.receipt(rid, Stage.RESTORED_MESSAGE), staging.receipt(rid, HELD_RECEIPT)
    given = stored is not None and stored.left.get("force") is True
    if held is None or (stored and given and stored.run_id in {run.run_id, run.parent_run_id, run.root_run_id}):
        return None
    return held.left["intake"], stored_in(held.left)


def _not_held(staging: Staging, rid: str) -> Delivery | None:
    """The delivery that is stored for the work, save where it was held after it had been stored."""
    stored, held = staging.receipt(rid, Stage.RESTORED_MESSAGE), staging.receipt(rid, HELD_RECEIPT)
    if stored is None or (held and held.took == stored.took and stored.left.get("force") is not True):
        return None
    return delivery_of(stored_in(stored.left))


def forget_held(context: dg.AssetExecutionContext, staging: Staging, synced: Delivery) -> None:
    """Removes the delivery that waited for a person's word, where it, or a newer one, is synced now; or where a person
    has had another one redone, which is a word too.
    """
    rid = context.partition_key
    held = staging.receipt(rid, HELD_RECEIPT)
    if held and (_decided(context, held) or not is_older(synced, delivery_of(stored_in(held.left)))):
        staging.throw_away(rid, HELD_RECEIPT)


def _decided(context: dg.AssetExecutionContext, held: Receipt) -> bool:
    """Whether a person asked for this run who could know of what was held by then."""
    record = context.instance.get_run_record_by_id(context.run_id) if REDONE_TAG in context.run.tags else None
    return record is not None and in_order(held.at) < in_order(record.create_timestamp.isoformat())


def instance_id(instance: dg.DagsterInstance) -> str:
    """What tells one Dagster instance from every other: its database has it."""
    storage: Any = instance.run_storage
    return str(storage.get_run_storage_id())


def still_there(receipt: Receipt | None, there: Callable[[Receipt, Depth], bool]) -> Receipt | None:
    """The receipt, where what it names is still there.

    Nothing is flushed on the way, so what was written before this boot of the machine is compared by checksum; what
    was written since, by size.
    """
    return receipt if receipt and there(receipt, depth_for(receipt)) else None


def depth_for(receipt: Receipt) -> Depth:
    """How what a receipt names is to be compared: see ``still_there``."""
    return "size" if receipt.boot == boot_id() else "checksum"


def zip_is_there(path: Path) -> Callable[[Receipt, Depth], bool]:
    """Whether a downloaded zip is still what its receipt says."""

    def there(receipt: Receipt, depth: Depth) -> bool:
        if not path.exists() or path.stat().st_size != receipt.left["bytes"]:
            return False
        return depth == "size" or file_crc64nvme(path) == receipt.left["crc64nvme"]

    return there


def tree_is_there(folder: Path, fixity: Path) -> Callable[[Receipt, Depth], bool]:
    """Whether unpacked works are still what their list of fixity says."""

    def there(receipt: Receipt, depth: Depth) -> bool:
        if not list_is_whole(fixity, receipt) or not folder.is_dir():
            return False
        return not compare_tree(folder, ((f"{file.work}/{file.path}", file) for file in read_fixity(fixity)), depth)

    return there


def list_is_whole(fixity: Path, debagged: Receipt) -> bool:
    """Whether the list of fixity is the one that ``debagged_work`` wrote.

    A power cut may leave the receipt and cut the list: each of the lines that are left would still be right. So it must
    have, of each work, the files and bytes of payload that the bag's manifests name.
    """
    try:
        works = debagged.left["works"]
        lines, payload = payload_counts(read_fixity(fixity), {work["rid"]: work["tags"] for work in works})
        named = {work["rid"]: (work["files"], work["bytes"]) for work in works}
        return bool(lines == debagged.left["listed"] and payload == named)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def works_in(debagged: Receipt) -> tuple[list[str], list[str]]:
    """The works that ``debagged_work`` left, and those of them that no manifest came with."""
    works = debagged.left["works"]
    return [work["rid"] for work in works], [work["rid"] for work in works if not work["proven"]]


def remarks_on(debagged: Receipt) -> dict[str, str]:
    """What the web page and DRS must say of the works in a zip, by its kind: that no manifest came with some, or that
    the one that was asked for is not among them.
    """
    works, unproven = works_in(debagged)
    remarks = {"unproven": no_manifest(unproven)} if unproven else {}
    if debagged.rid not in works:
        remarks["batch"] = without_its_own(debagged.rid, works)
    return remarks


def record_stage(drs: Drs, stage: Stage, event: Event, receipt: Receipt, data: Mapping[str, object]) -> None:
    """Writes a stage's end into DRS, as its receipt has it: the same receipt again changes nothing."""
    at = in_order(receipt.at)
    drs.record(receipt.rid, stage, at, {"run_id": receipt.run_id, **data}, event=event.identity)


def record_work(drs: Drs, event: Event, work: str, receipt: Receipt | None, delivery: Delivery) -> None:
    """Notes in DRS that one of several works of a zip was synced, as its receipt has it."""
    if receipt:
        place = receipt.left["place"]
        noted = {"run_id": receipt.run_id, "synced": work, "place": place, "delivery": delivery.noted()}
        drs.record(receipt.rid, None, in_order(receipt.at), noted, event=event.identity)


def record_guest(drs: Drs, work: str, receipt: Receipt, delivery: Delivery) -> None:
    """Notes among a work's own rows of DRS that another work's zip brought it, as its receipt has it.

    That is where its own delivery is looked for when it comes late. A row that is there stays what it says of its
    restore; a work that has none is synced, and the archive's other systems are to see it.
    """
    rows = drs.rows_of(work)
    noted = {
        "run_id": receipt.run_id,
        "synced": work,
        "place": receipt.left["place"],
        "brought_by": delivery.identity,
        "delivery": delivery.noted(),
    }
    stage, event = (None, rows[0].event) if rows else (Stage.SYNCED_ARCHIVE, delivery.identity)
    drs.record(work, stage, in_order(receipt.at), noted, event=event)


def record_failure(drs: Drs, context: dg.AssetExecutionContext, event: Event, data: Mapping[str, object]) -> None:
    """Writes a note of what went wrong into DRS."""
    noted = {"run_id": context.run_id, **data}
    drs.record(context.partition_key, None, datetime.now(UTC), noted, event=event.identity)


@contextmanager
def work_held(context: dg.AssetExecutionContext, staging: Staging) -> Iterator[None]:
    """Holds the work's lock, and puts the platform's errors into words for Dagster, with the way out at their end.

    What may mend itself is tried again by the asset's retry policy; anything else fails the run at once.
    """
    rid = context.partition_key
    # The message left its queue when the run was made: the run is all that is left of the event.
    way_out = f"{NOTHING_IS_LOST}ao reprocess {rid}"
    try:
        staging.hold(rid, f"run {context.run_id}")
        yield
    except AoError as error:
        raise dg.Failure(
            description=str(error) if isinstance(error, NothingStored | DeliveryHeld) else f"{error}\n{way_out}",
            metadata={"RID": rid, "error": type(error).__name__},
            allow_retries=error.transient,
        ) from error
    except Exception as error:
        error.add_note(way_out)
        raise


def tell_tenths_of(say: Callable[[str], None], what: str) -> Callable[[int, int], None]:
    """A listener to progress, of bytes done and bytes in all, that says each tenth."""
    told = 0

    def listen(done: int, total: int) -> None:
        nonlocal told
        tenth = done * 10 // total if total else 10
        if tenth > told:
            told = tenth
            say(f"{what} {tenth * 10} % of {total / 1e6:,.1f} MB")

    return listen


def megabytes_a_second(size: int, seconds: float) -> float:
    """A rate in MB/s, of bytes and seconds."""
    return round(size / 1e6 / max(seconds, 1e-6), 1)


def size_shown(size: int | None) -> dict[str, Any]:
    """A size as a number of bytes, which Dagster draws over time, and in words."""
    return {} if size is None else {"bytes": size, "size": f"{size / 1e6:,.1f} MB"}


def paths_shown(name: str, by_work: Mapping[str, str]) -> dict[str, Any]:
    """One path a work, each with a button of its own to copy it; a zip's single work needs no naming."""
    return {
        name if len(by_work) == 1 else f"{name} of {work}": dg.MetadataValue.path(path)
        for work, path in by_work.items()
    }
