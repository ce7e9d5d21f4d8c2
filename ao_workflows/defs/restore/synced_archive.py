"""synced_archive: the work is in the archive and on the web, proven there, and freed from the scratch disk.

What belongs here: the stage's order of steps, its receipt, and what it says to the archivist. What does not: one work's
sync (``ao_workflows.defs.restore.syncing``), and the script (``ao_workflows.archive.sync_script``).
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.defs.restore import checks
from ao_workflows.defs.restore.debagged_work import debagged_work
from ao_workflows.defs.restore.downloaded_bag import downloaded_bag
from ao_workflows.defs.restore.holding import forget_held, refuse_held
from ao_workflows.defs.restore.own_part import OwnPart, whole_written
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.defs.restore.retries import TRY_AGAIN
from ao_workflows.defs.restore.sources import remove_original
from ao_workflows.defs.restore.stage import (
    OWNERS,
    megabytes_a_second,
    part_of,
    part_shown,
    parts_shown,
    receipts_of_work,
    record_failure,
    record_guest,
    record_stage,
    record_work,
    remarks_on,
    size_shown,
    stored_event,
    work_held,
)
from ao_workflows.defs.restore.synced_works import (
    combined_failure,
    left_alone_shown,
    proof_in_words,
    proofs_shown,
    read_back,
)
from ao_workflows.defs.restore.syncing import Syncing
from ao_workflows.defs.restore.zip_works import sync_each
from ao_workflows.drs.client import Drs
from ao_workflows.errors import (
    FolderError,
    NothingStored,
)
from ao_workflows.events.dropped_files import WorkEvent
from ao_workflows.intake.folders import Folders
from ao_workflows.staging.freeing import Freed
from ao_workflows.staging.receipts import Downloaded, Synced
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.validity import depth_for, list_is_whole, tree_is_there
from ao_workflows.status.deliveries import Delivery, delivery_of, synced_deliveries
from ao_workflows.works.parts import Part
from ao_workflows.works.stages import Stage


class SyncedArchiveConfig(dg.Config):
    """A person's word for one run: ``replace`` has the archive's copy replaced, and the web's; ``others`` names works
    beside the event's own, in the same zip, whose files in the archive may be changed; ``leave`` names those that the
    archive has as they are to be, and that the zip's are not taken of.
    """

    replace: bool = False
    others: list[str] = Field(default=[])
    leave: list[str] = Field(default=[])


@dg.asset(
    partitions_def=WORKS,
    # The zip is a dependency, too, since it is freed here; and by `downloaded_bag+` Dagster's command line means only
    # the assets one step further.
    deps=[downloaded_bag, debagged_work],
    kinds={"bash", "filesystem"},
    owners=OWNERS,
    group_name="restore",
    retry_policy=TRY_AGAIN,
    check_specs=[checks.IS_IN_THE_ARCHIVE],
)
def synced_archive(
    context: dg.AssetExecutionContext,
    config: SyncedArchiveConfig,
    staging: Staging,
    archive_shares: dg.ResourceParam[ArchiveShares],
    folders: Folders,
    sync_script: dg.ResourceParam[SyncScript],
    drs: dg.ResourceParam[Drs],
) -> Iterator[Any]:
    """The work is in the archive. The sync script put it there, and every file was read back and compared.

    So was every image on the web, where the work goes there. Only then is the scratch disk freed, and a zip that came
    by a folder removed from its save/.
    """
    part = part_of(context)
    rid = part.staged
    with work_held(context, staging, archive_shares), ExitStack() as until_recorded:
        receipts = receipts_of_work(context, staging)
        stored = stored_event(receipts, part, staging)
        event, valid = stored.event, receipts.in_force(stored.event.identity)
        debagged, downloaded, before = valid.debagged, valid.downloaded, valid.synced
        folder, fixity = staging.layout.work(rid), staging.layout.fixity(rid)
        if debagged is None or downloaded is None or not list_is_whole(fixity, debagged):
            raise _not_there(part, f"{folder} is not there for {event.source}")
        # If it was synced and freed before, the archive's copy is the only one, and is compared again.
        freed_before = before is not None and not folder.exists()
        # A replacement is refused then, unless this run, or the killed run that it repeats, has done it already.
        ours = {context.run_id, context.run.parent_run_id, context.run.root_run_id}
        by_this = before is not None and freed_before and before.run_id in ours
        if freed_before and not by_this and (config.replace or config.others):
            raise _not_there(part, f"{folder}, which is to replace, is not there")
        if not freed_before and not tree_is_there(folder, fixity)(debagged, depth_for(debagged)):
            raise _not_there(part, f"{folder} is not there as it was")
        delivery = _delivery(event, downloaded)
        works = debagged.rids
        # A work that was left alone when the zip was synced is left alone again until a person decides otherwise.
        alone_before = before.left_alone if before else ()
        leave = dict.fromkeys([*config.leave, *(work for work in alone_before if work not in config.others)])
        syncing = Syncing(
            staging,
            sync_script,
            OwnPart(
                part,
                delivery.modified or delivery.time,
                event.identity,
                Path(sync_script.archive_parent),
                staging.layout.fixity(part.staged),
                delivery.is_object,
                lambda: whole_written(synced_deliveries(part.rid, drs.rows_of(part.rid))),
            ),
            debagged.origin,
            context.run_id,
            not freed_before,
            context.log.info,
            until_recorded,
            # It is asked again, since another host may have synced a newer delivery since the event was stored.
            lambda: refuse_held(
                context, staging, drs, stored.intake, event, over=stored.over, modified=delivery.modified
            ),
            lambda placed: record_guest(drs, placed, delivery),
            replace=config.replace,
            others=tuple(config.others),
            leave=tuple(leave),
        )
        started, (synced, failed) = time.monotonic(), sync_each(syncing, works)
        if failed:
            error, problems = combined_failure(synced, failed)
            yield checks.failed(checks.IS_IN_THE_ARCHIVE, str(error), problems)
        for done in synced.values() if len(works) > 1 else ():
            record_work(drs, event, done.receipt, delivery)
        if failed:
            record_failure(drs, context, event, {"failed": str(error)})
            raise error
        seconds = time.monotonic() - started
        files = sum(work.files for work in debagged.works if work.rid in synced)
        left_alone = [work for work in works if work in leave]
        remarks = remarks_on(debagged) | left_alone_shown(left_alone)
        places = {work: done.place for work, done in synced.items()}
        logs = {work: done.log for work, done in synced.items() if done.log}
        freed = Freed()
        if left_out := [done.left_out for done in synced.values() if done.left_out]:
            record_failure(drs, context, event, {"left out of the archive": left_out})
        else:
            syncing.shares.look_for_all(places)
            receipt = Synced(
                rid=rid,
                run_id=context.run_id,
                origin=debagged.origin,
                places=places,
                left_alone=tuple(left_alone),
                logs=logs,
                seconds=seconds,
                kept=staging.keep_days > 0,
            )
            staging.write_receipt(receipt)
            synced_as = {"places": places, "delivery": delivery.noted(), **remarks}
            record_stage(drs, event, receipt, synced_as)
            forget_held(context, staging, delivery)
            # They are checked again, since a share may have been lost while the database was waited for.
            syncing.shares.look_for_all(places)
            freed = _free(context, staging, folders, downloaded)
        yield dg.MaterializeResult(
            metadata={
                "RID": part.rid,
                **part_shown(part),
                "works": ", ".join(places),
                "files": files,
            }
            | remarks
            | {
                "seconds": round(seconds, 2),
                "MB/s": megabytes_a_second(debagged.bytes, seconds),
                "compared by": sync_script.verify,
            }
            | parts_shown(drs, part)
            | freed.shown()
            | size_shown(debagged.bytes)
            | proofs_shown(synced),
            check_results=[
                checks.unproven(checks.IS_IN_THE_ARCHIVE, "\n".join(left_out))
                if left_out
                else (checks.passed if read_back(synced, sync_script.verify) else checks.unproven)(
                    checks.IS_IN_THE_ARCHIVE,
                    "; ".join([proof_in_words(synced, files, sync_script.verify), *remarks.values()]),
                )
            ],
        )


def _not_there(part: Part, what: str) -> NothingStored:
    return NothingStored(str(part), f"the unpacked work {what}", Stage.DOWNLOADED_BAG, part.redo)


def _delivery(event: WorkEvent, downloaded: Downloaded) -> Delivery:
    """Returns the event's delivery, with what S3 said about the object when it was downloaded."""
    seen = downloaded.zip.object
    if seen is None:
        return delivery_of(event)
    return delivery_of(event, version_id=seen.version_id or "", etag=seen.etag, modified=seen.modified)


def _free(context: dg.AssetExecutionContext, staging: Staging, folders: Folders, downloaded: Downloaded) -> Freed:
    """Removes the work from the scratch disk, and its zip from the folder that a person put it into.

    The archive is proven to have the work by now. If something cannot be removed, that is only logged.
    """
    freed = staging.free_synced(downloaded.rid)
    if freed.stuck:
        context.log.warning(str(freed.stuck))
    try:
        if remove_original(folders, downloaded):
            context.log.info(f"{downloaded.rid}: the dropped zip was removed")
    except FolderError as error:
        context.log.warning(f"{downloaded.rid}: the dropped zip is still there: {error}")
    return freed
