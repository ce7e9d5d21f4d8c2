"""Receipts for tests: whole ones, of which a test says only what matters to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ao_workflows.events.dropped_files import DroppedFile, WorkEvent
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import (
    Debagged,
    Downloaded,
    DownloadedZip,
    Held,
    Origin,
    Placed,
    Receipt,
    Restored,
    SourceObject,
    Synced,
    UnpackedWork,
)
from ao_workflows.works.stages import RUN_STAGES, Stage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVENT = ObjectEvent("ObjectRestore:Completed", "2026-11-21T09:00:00Z", "r", "b", "W1.bag.zip", etag="e")


def a_zip(size: int = 7, crc64nvme: str = "abc=") -> DownloadedZip:
    """A zip that was downloaded in one go."""
    found = SourceObject("b", "W1.bag.zip", None, "e", size, "2026-11-20T09:00:00+00:00")
    return DownloadedZip(size, crc64nvme, "CRC64NVME", 1.5, size, 0, 1, 0, object=found)


def restored(event: WorkEvent = EVENT, rid: str = "W1", **others: Any) -> Restored:
    return Restored(rid=rid, intake="fpl", event=event, **{"run_id": "run"} | others)


def downloaded(event: str = EVENT.identity, rid: str = "W1", **others: Any) -> Downloaded:
    return Downloaded(rid=rid, event=event, **{"run_id": "run", "zip": a_zip(), "room": 21} | others)


def debagged(origin: Origin, rid: str = "W1", works: Sequence[UnpackedWork] = (), **others: Any) -> Debagged:
    more = {"run_id": "run", "seconds": 0.5, "files_listed": 0, "warnings": ()} | others
    return Debagged(rid=rid, origin=origin, works=tuple(works), **more)


def placed(origin: Origin, rid: str = "W1", **others: Any) -> Placed:
    more = {"run_id": "run", "options": (), "environment": {}, "log": "", "web": None} | others
    return Placed(rid=rid, work=rid, origin=origin, place=f"/mnt/Archive0/01/{rid}", **more)


def synced(origin: Origin, rid: str = "W1", *, kept: bool = False, **others: Any) -> Synced:
    more = {"run_id": "run", "left_alone": (), "logs": {}, "seconds": 0.5} | others
    return Synced(rid=rid, origin=origin, places={rid: f"/mnt/Archive0/01/{rid}"}, kept=kept, **more)


def receipts_until(last: Stage | None, event: WorkEvent = EVENT, at: datetime = NOON) -> Receipts:
    """The receipts of a work that has come so far."""
    done = RUN_STAGES[: RUN_STAGES.index(last) + 1] if last else ()
    frame = {"boot": "boot", "at": at}
    bag = downloaded(event.identity, **frame)
    return Receipts(
        restored(event, **frame) if Stage.RESTORED_MESSAGE in done else None,
        bag if Stage.DOWNLOADED_BAG in done else None,
        debagged(bag.origin, **frame) if Stage.DEBAGGED_WORK in done else None,
        synced(bag.origin, **frame) if Stage.SYNCED_ARCHIVE in done else None,
    )


def unversioned(receipt: Receipt) -> dict[str, Any]:
    """The same as it was written before receipts had a version."""
    frame = {"stage": receipt.name, "rid": receipt.rid}
    end = {"run_id": receipt.run_id, "boot": receipt.boot, "at": receipt.at.isoformat()}
    took, left = _unversioned(receipt)
    return json.loads(json.dumps(frame | {"took": took, "left": left} | end))  # type: ignore[no-any-return]


def _unversioned(receipt: Receipt) -> tuple[dict[str, Any], dict[str, Any]]:
    match receipt:
        case Restored():
            event = {"file" if isinstance(receipt.event, DroppedFile) else "event": asdict(receipt.event)}
            word = {"force": receipt.over is not None, "over": receipt.over or ()}
            return {"event": receipt.event.identity}, {"intake": receipt.intake} | event | word
        case Held():
            left = {"intake": receipt.intake, "event": asdict(receipt.event), "error": receipt.error}
            return {"event": receipt.event.identity}, left | {"why": receipt.why}
        case Downloaded():
            return {"event": receipt.event}, _unversioned_zip(receipt.zip) | {"room": receipt.room}
        case Debagged():
            works = {"works": [asdict(work) for work in receipt.works], "bytes": receipt.bytes}
            counts = {"seconds": receipt.seconds, "listed": receipt.files_listed, "warnings": receipt.warnings}
            return _unversioned_origin(receipt.origin), works | counts
        case Placed():
            called = {"words": receipt.options, "environment": receipt.environment}
            left = {name: getattr(receipt, name) for name in ("place", "log", "web")}
            return _unversioned_origin(receipt.origin) | called, left
        case Synced():
            names = ("places", "left_alone", "logs", "seconds", "kept")
            return _unversioned_origin(receipt.origin), {name: getattr(receipt, name) for name in names}
    raise TypeError(receipt)


def _unversioned_zip(zip_: DownloadedZip) -> dict[str, Any]:
    counts = {name: getattr(zip_, name) for name in ("seconds", "fetched", "resumed", "parts", "retries", "crc64nvme")}
    if zip_.original:
        return {"bytes": zip_.size, "proof": zip_.proven_by, **counts, "original": asdict(zip_.original)}
    assert zip_.object
    named = asdict(zip_.object)
    version, modified = named.pop("version_id"), named.pop("modified")
    stated = {"etag": zip_.object.etag, "version": version, "modified": modified}
    stated["object"] = named | {"version": version}
    return {"bytes": zip_.size, **stated, "proof": zip_.proven_by, **counts}


def _unversioned_origin(origin: Origin) -> dict[str, Any]:
    return {"event": origin.event, "crc64nvme": origin.crc64nvme, "bytes": origin.size}
