"""What all four stages share: the work's lock, the stored event, receipts, the record in DRS, and errors for Dagster.

What belongs here: the stored event, the receipt that spares the work, the record in DRS, errors put into words
for Dagster, progress and rates. What does not: the work of any one stage, which is in the module of its name.
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
    StagingFull,
)
from ao_workflows.events.dropped_files import WorkEvent
from ao_workflows.fixity.trees import Depth
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import Debagged, Placed, Receipt, Restored, StageReceipt
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.unneeded import Unneeded
from ao_workflows.staging.validity import depth_for
from ao_workflows.status.advice import NOTHING_IS_LOST
from ao_workflows.status.deliveries import Delivery
from ao_workflows.status.runs import has_run_in_flight
from ao_workflows.works.stages import Stage

Kind = TypeVar("Kind", bound=Receipt)


def receipts_of_work(context: dg.AssetExecutionContext, staging: Staging) -> Receipts:
    """The receipts of the run's work. Those that cannot be used are named in the run's log.

    :raises StagingError: if a file cannot be read.
    """
    receipts = staging.receipts(context.partition_key)
    for error in receipts.refused:
        context.log.warning(str(error))
    return receipts


def stored_event(receipts: Receipts, rid: str, root: str) -> Restored:
    """The event that the work's last ``restored_message`` stored in the staging disk at ``root``.

    :raises NothingStored: where there is none.
    """
    if receipts.restored is None:
        raise NothingStored(rid, f"no restore event is stored in {root}", None)
    return receipts.restored


def still_there(receipt: Kind | None, there: Callable[[Kind, Depth], bool]) -> Kind | None:
    """The receipt, where what it names is still there.

    Nothing is flushed on the way, so what was written before this boot of the machine is compared by checksum; what
    was written since, by size.
    """
    return receipt if receipt and there(receipt, depth_for(receipt)) else None


def remarks_on(debagged: Debagged) -> dict[str, str]:
    """What the web page and DRS must say of the works in a zip, by its kind: that no manifest came with some, or that
    the one that was asked for is not among them.
    """
    remarks = {"unproven": no_manifest(debagged.unproven)} if debagged.unproven else {}
    if debagged.rid not in debagged.rids:
        remarks["batch"] = without_its_own(debagged.rid, debagged.rids)
    return remarks


def record_stage(drs: Drs, event: WorkEvent, receipt: StageReceipt, data: Mapping[str, object]) -> None:
    """Writes a stage's end into DRS, as its receipt has it: the same receipt again changes nothing."""
    noted = {"run_id": receipt.run_id, **data}
    drs.record(receipt.rid, Stage(receipt.stage), receipt.at, noted, event=event.identity)


def record_work(drs: Drs, event: WorkEvent, placed: Placed | None, delivery: Delivery) -> None:
    """Notes in DRS that one of several works of a zip was synced, as its receipt has it."""
    if placed:
        noted = {"run_id": placed.run_id, "synced": placed.work, "place": placed.place, "delivery": delivery.noted()}
        drs.record(placed.rid, None, placed.at, noted, event=event.identity)


def record_guest(drs: Drs, placed: Placed, delivery: Delivery) -> None:
    """Notes among a work's own rows of DRS that another work's zip brought it, as its receipt has it.

    That is where its own delivery is looked for when it comes late. A row that is there stays what it says of its
    restore; a work that has none is synced, and the archive's other systems are to see it.
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
    """Writes a note of what went wrong into DRS."""
    noted = {"run_id": context.run_id, **data}
    drs.record(context.partition_key, None, datetime.now(UTC), noted, event=event.identity)


@contextmanager
def work_held(context: dg.AssetExecutionContext, staging: Staging, archive_shares: ArchiveShares) -> Iterator[Unneeded]:
    """Holds the work's lock, and puts the platform's errors into words for Dagster, with the way out at their end.

    What may mend itself is tried again by the asset's retry policy; anything else fails the run at once. Whatever finds
    the scratch disk full has it freed of all that no run needs, before the next try. Yields what does that, for who
    needs room.
    """
    rid = context.partition_key
    unneeded = Unneeded(
        staging, archive_shares.look_for_all, lambda work: has_run_in_flight(context.instance, work), context.log
    )
    # The message left its queue when the run was made: the run is all that is left of the event.
    way_out = f"{NOTHING_IS_LOST}ao reprocess {rid}"
    try:
        staging.hold(rid, f"run {context.run_id}")
        yield unneeded
    except AoError as error:
        if isinstance(error, StagingFull):
            unneeded.free_all()
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


OWNERS = ["team:digital-preservation"]
