"""What all four stages share: the work's lock, the stored event, receipts, the record in DRS, and errors for Dagster.

What belongs here: the stored event, the receipt that spares the work, the record in DRS, errors put into words
for Dagster, progress and rates. What does not: the work of any one stage, which is in the module of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

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
from ao_workflows.events.dropped_files import Event, stored_in
from ao_workflows.fixity.trees import Depth
from ao_workflows.machine.times import in_order
from ao_workflows.staging.receipts import Receipt
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.unneeded import Unneeded
from ao_workflows.staging.validity import (
    depth_for,
    receipts_in_force,
)
from ao_workflows.status.advice import NOTHING_IS_LOST
from ao_workflows.status.deliveries import Delivery
from ao_workflows.status.runs import has_run_in_flight
from ao_workflows.works.stages import RUN_STAGES, Stage


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


def still_there(receipt: Receipt | None, there: Callable[[Receipt, Depth], bool]) -> Receipt | None:
    """The receipt, where what it names is still there.

    Nothing is flushed on the way, so what was written before this boot of the machine is compared by checksum; what
    was written since, by size.
    """
    return receipt if receipt and there(receipt, depth_for(receipt)) else None


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
