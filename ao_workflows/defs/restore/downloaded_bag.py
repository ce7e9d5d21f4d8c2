"""downloaded_bag: the work's zip is in staging, with the size and the checksum that S3 states."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.aws.s3 import S3
from ao_workflows.defs.restore import checks
from ao_workflows.defs.restore.holding import refuse_held
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.defs.restore.restored_message import restored_message
from ao_workflows.defs.restore.retries import TRY_AGAIN
from ao_workflows.defs.restore.sources import source_of, unchanged_since
from ao_workflows.defs.restore.stage import (
    OWNERS,
    megabytes_a_second,
    part_of,
    part_shown,
    receipts_of_work,
    record_stage,
    size_shown,
    still_there,
    stored_event,
    work_held,
)
from ao_workflows.download.download import DownloadPaths
from ao_workflows.download.progress import ProgressReporter
from ao_workflows.drs.client import Drs
from ao_workflows.errors import (
    DownloadMismatch,
    FileGone,
    ObjectMissing,
)
from ao_workflows.events.dropped_files import DroppedFile
from ao_workflows.fixity.s3_checksums import is_size_only
from ao_workflows.intake.folders import Folders
from ao_workflows.staging.receipts import Downloaded, DownloadedZip
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.validity import zip_is_there
from ao_workflows.works.stages import Stage

UNPACKED_TO_ZIP = 1.5
"""How many times as large as its zip a work is assumed to be if the zip's directory cannot be read.

Scans hardly get smaller in a zip.
"""


@dg.asset(
    partitions_def=WORKS,
    deps=[restored_message],
    kinds={"s3"},
    owners=OWNERS,
    group_name="restore",
    retry_policy=TRY_AGAIN,
    check_specs=[checks.IS_WHAT_S3_HOLDS],
)
def downloaded_bag(
    context: dg.AssetExecutionContext,
    staging: Staging,
    archive_shares: dg.ResourceParam[ArchiveShares],
    s3: S3,
    folders: Folders,
    drs: dg.ResourceParam[Drs],
) -> Iterator[Any]:
    """The work's zipped bag is on the scratch disk, and is byte for byte what S3 holds, or what was put into the
    folder.
    """
    part = part_of(context)
    rid = part.staged
    with work_held(context, staging, archive_shares) as unneeded:
        receipts = receipts_of_work(context, staging)
        stored = stored_event(receipts, part, staging)
        event, layout = stored.event, staging.layout
        places = DownloadPaths(layout.zip(rid), layout.part(rid), layout.journal(rid))
        there = zip_is_there(places.final)
        receipt = still_there(receipts.in_force(event.identity).downloaded, there)
        if receipt and unchanged_since(receipt, folders):
            context.log.info(f"{rid}: the zip is here since {receipt.at.isoformat()}, from run {receipt.run_id}")
            staging.room.promise(rid, receipt.room, context.log.info, unneeded.free_next)
        else:
            try:
                wanted = source_of(stored, part, s3, folders, context.log.info)
                # Only S3 says when this version of the object was written.
                refuse_held(context, staging, drs, stored.intake, event, over=stored.over, modified=wanted.modified)
                before = receipts.downloaded
                if before and wanted.is_in(before) and still_there(before, there):
                    since = before.at.isoformat()
                    context.log.info(f"{rid}: {wanted.where} is here since {since}, for another event")
                    staging.room.promise(rid, before.room, context.log.info, unneeded.free_next)
                    found, room = before.zip, before.room
                else:
                    unpacked = wanted.unpacked_size()
                    room = wanted.size + (unpacked.on_disk if unpacked else round(wanted.size * UNPACKED_TO_ZIP))
                    staging.room.promise(rid, room, context.log.info, unneeded.free_next)
                    context.log.info(f"{rid}: downloading {wanted.size:,} bytes from {wanted.where}")
                    staging.withdraw(rid, Stage.DOWNLOADED_BAG)
                    teller = ProgressReporter(rid, wanted.size, context.run_id, layout.progress(rid), context.log.info)
                    with teller:
                        found = wanted.bring(places, teller)
            except DownloadMismatch as error:
                yield checks.failed(checks.IS_WHAT_S3_HOLDS, str(error))
                raise
            except (ObjectMissing, FileGone):
                # With a receipt, the zip that is here may be whole: an earlier event brought it, or a newer release
                # wrote its receipt. It may be the only copy that there is, so it is kept.
                if not layout.receipt(rid, Stage.DOWNLOADED_BAG).exists():
                    places.remove()
                raise
            receipt = Downloaded(rid=rid, run_id=context.run_id, event=event.identity, zip=found, room=room)
            staging.write_receipt(receipt)
        # Until there was a receipt, a new try needed the journal to go on with the download.
        places.journal.unlink(missing_ok=True)
        found = receipt.zip
        record_stage(drs, event, receipt, {"bytes": found.size, "proof": found.proven_by})
        yield dg.MaterializeResult(
            metadata={
                "RID": part.rid,
                **part_shown(part),
                "file" if isinstance(event, DroppedFile) else "object": event.source,
                "seconds": round(found.seconds, 2),
                "MB/s": megabytes_a_second(found.fetched, found.seconds),
                "parts": found.parts,
                "retries": found.retries,
                "resumed bytes": found.resumed,
                "proven by": found.proven_by,
                "crc64nvme": found.crc64nvme,
                "zip": dg.MetadataValue.path(str(places.final)),
            }
            | size_shown(found.size)
            | ({"version": found.object.version_id} if found.object and found.object.version_id else {}),
            check_results=[_compared(found)],
        )


def _compared(found: DownloadedZip) -> dg.AssetCheckResult:
    """Returns the check's result: a warning if there was no checksum to compare the zip with."""
    if is_size_only(found.proven_by):
        said = f"its bytes were compared with nothing, {found.proven_by}; the bag's manifests prove them, if it has any"
        return checks.unproven(checks.IS_WHAT_S3_HOLDS, said)
    return checks.passed(checks.IS_WHAT_S3_HOLDS, f"proven by {found.proven_by}")
