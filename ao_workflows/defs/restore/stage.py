"""What all four stages share: the work's lock, the stored event, receipts, the record in DRS, and errors for Dagster.

What belongs here: the stored event, the receipt by which a stage need not be done again, the record in DRS, errors in
words for Dagster, progress and rates. What does not: the work of any one stage, which is in the module of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import dagster as dg

from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.bags.admission import no_manifest, without_its_own
from ao_workflows.drs.client import Drs
from ao_workflows.errors import (
    AoError,
    DeliveryHeld,
    NothingStored,
    RidError,
    StagingFull,
)
from ao_workflows.events.dropped_files import WorkEvent
from ao_workflows.fixity.trees import Depth
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import Debagged, Placed, Receipt, Restored, StageReceipt
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.unneeded import Unneeded
from ao_workflows.staging.validity import depth_for
from ao_workflows.status.advice import NOTHING_IS_LOST, parts_to_redo
from ao_workflows.status.deliveries import Delivery
from ao_workflows.status.part_progress import part_progress, progress_in_words, progress_table
from ao_workflows.status.runs import has_run_in_flight
from ao_workflows.works.part_tags import PART, part_of_run
from ao_workflows.works.parts import Part, part_staged_as
from ao_workflows.works.stages import Stage

Kind = TypeVar("Kind", bound=Receipt)


def part_of(context: dg.AssetExecutionContext) -> Part:
    """Returns the part of its work that the run is for.

    :raises dagster.Failure: if the run's tag names none.
    """
    try:
        return part_of_run(context.partition_key, context.run.tags)
    except RidError as error:
        raise dg.Failure(f"the run's tag {PART} is no part's name: {error}", allow_retries=False) from error


def receipts_of_work(context: dg.AssetExecutionContext, staging: Staging) -> Receipts:
    """Returns the receipts of the run's work, or part. Those that cannot be used are named in the run's log.

    :raises StagingError: if a file cannot be read.
    """
    receipts = staging.receipts(part_of(context).staged)
    for error in receipts.refused:
        context.log.warning(str(error))
    return receipts


def stored_event(receipts: Receipts, part: Part, staging: Staging) -> Restored:
    """Returns the event that the last ``restored_message`` of the work, or the part, has stored.

    :raises NothingStored: if no event is stored. If other parts of the work have one, the error names them.
    """
    if receipts.restored is None:
        way_out = parts_to_redo([each for each in staging.parts_with_receipts(part.rid) if each != part])
        raise NothingStored(str(part), f"no restore event is stored in {staging.root}", None, part.redo, way_out)
    return receipts.restored


def still_there(receipt: Kind | None, there: Callable[[Kind, Depth], bool]) -> Kind | None:
    """Returns the receipt if the files that it names are still there, else None.

    The stages do not flush what they write, so files that were written before the machine was last started are compared
    by checksum, and those that were written since by size.

    :param there: compares the files with the receipt.
    """
    return receipt if receipt and there(receipt, depth_for(receipt)) else None


def remarks_on(debagged: Debagged) -> dict[str, str]:
    """Returns the remarks about a zip's works that the web page and DRS must show, by their keys there.

    ``unproven`` is for works that came without a manifest, and ``batch`` for a zip that does not contain the work which
    the event is for.
    """
    remarks = {"unproven": no_manifest(debagged.unproven)} if debagged.unproven else {}
    rid = part_staged_as(debagged.rid).rid
    if rid not in debagged.rids:
        remarks["batch"] = without_its_own(rid, debagged.rids)
    return remarks


def record_stage(drs: Drs, event: WorkEvent, receipt: StageReceipt, data: Mapping[str, object]) -> None:
    """Records in DRS that a stage is done, by its receipt; recording the same receipt again changes nothing.

    :param data: more facts for the entry, beside the run's id.
    """
    part = part_staged_as(receipt.rid)
    noted = {"run_id": receipt.run_id, **data, **named_in_drs(part)}
    drs.record(part.rid, Stage(receipt.stage), receipt.at, noted, event=event.identity)


def named_in_drs(part: Part) -> dict[str, str]:
    """Returns what an entry in DRS has besides, to be about a part: see ``ao_workflows.drs.parts``."""
    return {} if part.is_named_as_work else {"part": part.name}


def record_work(drs: Drs, event: WorkEvent, placed: Placed | None, delivery: Delivery) -> None:
    """Notes in DRS that one of several works of a zip was synced, by its receipt; does nothing without one."""
    if placed:
        noted: dict[str, object] = {
            "run_id": placed.run_id,
            "synced": placed.work,
            "place": placed.place,
            "delivery": delivery.noted(),
        }
        part = part_staged_as(placed.rid)
        drs.record(part.rid, None, placed.at, noted | named_in_drs(part), event=event.identity)


def record_guest(drs: Drs, placed: Placed, delivery: Delivery) -> None:
    """Notes in a work's own rows of DRS that the zip of another work brought it, by its receipt.

    The note must be there because the work's own delivery, if it comes later, is compared with these rows. If the work
    has a row, the columns of that stay as they are, since they say how far its own restore is. If it has none, it gets
    one as a synced work, so that the archive's other systems see it.

    :param placed: the receipt of the work that came in the other work's zip.
    :param delivery: the delivery of that zip.
    """
    rows = drs.rows_of(placed.work)
    noted = {
        "run_id": placed.run_id,
        "synced": placed.work,
        "place": placed.place,
        "brought_by": delivery.identity,
        "delivery": delivery.noted(),
    }
    stage, event = (None, rows[0].event) if rows else (Stage.SYNCED_ARCHIVE, delivery.identity)
    drs.record(placed.work, stage, placed.at, noted, event=event)


def record_failure(drs: Drs, context: dg.AssetExecutionContext, event: WorkEvent, data: Mapping[str, object]) -> None:
    """Notes in DRS what went wrong in a run.

    :param data: the facts for the entry, beside the run's id.
    """
    part = part_of(context)
    noted = {"run_id": context.run_id, **data, **named_in_drs(part)}
    drs.record(part.rid, None, datetime.now(UTC), noted, event=event.identity)


@contextmanager
def work_held(context: dg.AssetExecutionContext, staging: Staging, archive_shares: ArchiveShares) -> Iterator[Unneeded]:
    """Takes the work's lock, and turns the platform's errors in the block into failures for Dagster.

    The lock is kept until the run ends. A failure's description ends with what a person can do about it. The asset's
    retry policy tries an error again that is ``transient``; any other one fails the run at once. If the scratch disk is
    full, everything that no run needs is removed from it before the next try. Yields the object that removes such
    things, for a stage that needs room.

    :raises dagster.Failure: instead of an ``AoError``, such as ``WorkBusy`` if another process has the lock.
    """
    part = part_of(context)
    unneeded = Unneeded(
        staging, archive_shares.look_for_all, lambda work: has_run_in_flight(context.instance, work), context.log
    )
    # The message was deleted from its queue when the run was made, so only the run still knows of the event.
    way_out = f"{NOTHING_IS_LOST}ao reprocess {part.redo}"
    try:
        staging.hold(part.staged, f"run {context.run_id}")
        yield unneeded
    except AoError as error:
        if isinstance(error, StagingFull):
            unneeded.free_all()
        raise dg.Failure(
            description=str(error) if isinstance(error, NothingStored | DeliveryHeld) else f"{error}\n{way_out}",
            metadata={"RID": part.rid, "error": type(error).__name__},
            allow_retries=error.transient,
        ) from error
    except Exception as error:
        error.add_note(way_out)
        raise


def tell_tenths_of(say: Callable[[str], None], what: str) -> Callable[[int, int], None]:
    """Returns a function that reports each tenth of a progress; it is called with the bytes done and the bytes in all.

    :param what: the beginning of each message.
    """
    told = 0

    def listen(done: int, total: int) -> None:
        nonlocal told
        tenth = done * 10 // total if total else 10
        if tenth > told:
            told = tenth
            say(f"{what} {tenth * 10} % of {total / 1e6:,.1f} MB")

    return listen


def megabytes_a_second(size: int, seconds: float) -> float:
    """Returns the rate in MB/s at which so many bytes were handled in so many seconds."""
    return round(size / 1e6 / max(seconds, 1e-6), 1)


def size_shown(size: int | None) -> dict[str, Any]:
    """Returns metadata for a size in bytes: as a number, which Dagster plots over time, and as text."""
    return {} if size is None else {"bytes": size, "size": f"{size / 1e6:,.1f} MB"}


def paths_shown(name: str, by_work: Mapping[str, str]) -> dict[str, Any]:
    """Returns metadata with one path for each work, so that the web page has a button to copy each.

    :param name: the key in the metadata. If there are several works, the work is added to it.
    """
    return {
        name if len(by_work) == 1 else f"{name} of {work}": dg.MetadataValue.path(path)
        for work, path in by_work.items()
    }


def part_shown(part: Part) -> dict[str, Any]:
    """Returns the metadata that names a part of a work; nothing for a whole work."""
    return {} if part.is_named_as_work else {"part": part.name}


def parts_shown(drs: Drs, part: Part) -> dict[str, Any]:
    """Returns metadata that says how far each part of the work is, by DRS; nothing for a work that is in none."""
    parts = part_progress(drs.rows_of(part.rid))
    if not parts:
        return {}
    return {"parts": progress_in_words(parts), "each part": dg.MetadataValue.md(progress_table(parts))}


OWNERS = ["team:digital-preservation"]
