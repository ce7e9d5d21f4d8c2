"""Works on a scratch disk as their runs leave them, synced some days ago; and what frees them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.unneeded import Unneeded
from ao_workflows.works.stages import RUN_STAGES
from ao_workflows_tests.support.receipts import a_zip, debagged, downloaded, placed, restored, synced

LOG = logging.getLogger("ao_workflows_tests")


def event_of(rid: str, hour: int = 0) -> ObjectEvent:
    """A restore of the work's object at that hour."""
    return ObjectEvent("ObjectRestore:Completed", f"2024-04-06T{hour:02d}:11:23Z", "r", "b", f"a/{rid}.bag.zip")


def store(staging: Staging, rid: str, event: ObjectEvent) -> None:
    """The receipt of a restore that was asked for."""
    staging.write_receipt(restored(event, rid))


def download(staging: Staging, rid: str, event: ObjectEvent, crc64nvme: str = "crc", data: bytes = b"zip") -> None:
    """The work's zip, and its receipt."""
    staging.layout.zip(rid).parent.mkdir(parents=True, exist_ok=True)
    staging.layout.zip(rid).write_bytes(data)
    staging.write_receipt(downloaded(event.identity, rid, zip=a_zip(len(data), crc64nvme)))


def unpack(staging: Staging, rid: str, event: ObjectEvent) -> None:
    """The work's folder, and its receipt."""
    (staging.layout.work(rid) / rid / "images").mkdir(parents=True, exist_ok=True)
    (staging.layout.work(rid) / rid / "images" / "1.jpg").write_bytes(b"page")
    bag = staging.receipts(rid).downloaded
    assert bag
    staging.write_receipt(debagged(replace(bag.origin, event=event.identity), rid))


def bring(staging: Staging, rid: str, data: bytes = b"zip") -> None:
    """A work as its first three stages leave it."""
    event = event_of(rid)
    store(staging, rid, event)
    download(staging, rid, event, data=data)
    unpack(staging, rid, event)


def sync(staging: Staging, rid: str, days_ago: float, *, kept: bool = True) -> None:
    """The work's last stage; all four were done some days ago."""
    bag = staging.receipts(rid).downloaded
    assert bag
    origin = replace(bag.origin, event=event_of(rid).identity)
    staging.write_receipt(placed(origin, rid))
    staging.write_receipt(synced(origin, rid, kept=kept))
    at = (datetime.now(UTC) - timedelta(days=days_ago)).isoformat(timespec="seconds")
    for stage in RUN_STAGES:
        change_receipt(staging.layout.receipt(rid, stage), lambda receipt: receipt.update(at=at))


def change_receipt(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Changes what a receipt's file has."""
    receipt = json.loads(path.read_text())
    change(receipt)
    path.write_text(json.dumps(receipt))


def kept(staging: Staging, rid: str, days_ago: float, data: bytes = b"zip") -> None:
    """A work that was synced some days ago, and kept since."""
    bring(staging, rid, data)
    sync(staging, rid, days_ago)


def unneeded_of(
    staging: Staging,
    look_for_shares: Callable[[Iterable[str]], None] = lambda _works: None,
    has_run: Callable[[str], bool] = lambda _rid: False,
) -> Unneeded:
    """What frees the disk of what no run needs, where every share is mounted and no run waits."""
    return Unneeded(staging, look_for_shares, has_run, LOG)


def freed_of(staging: Staging) -> tuple[str, ...]:
    """The synced works that are freed when all is that no run needs."""
    unneeded = unneeded_of(staging)
    unneeded.free_all()
    return unneeded.freed
