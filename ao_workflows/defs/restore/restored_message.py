"""restored_message: the restore event is stored in staging and in DRS, before anything else is done."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.defs.restore.holding import deliveries_overridden, meant_by_word, refuse_held
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.defs.restore.retries import TRY_AGAIN
from ao_workflows.defs.restore.sources import newer_in_save
from ao_workflows.defs.restore.stage import (
    OWNERS,
    part_of,
    part_shown,
    receipts_of_work,
    record_stage,
    size_shown,
    stored_event,
    work_held,
)
from ao_workflows.drs.client import Drs
from ao_workflows.events.dropped_files import DroppedFile, WorkEvent, given_in
from ao_workflows.instance.opening import instance_id
from ao_workflows.intake.folders import Folders
from ao_workflows.machine.times import moment
from ao_workflows.staging.receipts import Restored
from ao_workflows.staging.staging import Staging
from ao_workflows.status import noted_events


class RestoredMessageConfig(dg.Config):
    """A restore event as run config, or a dropped ``file`` by its name in ``save/``, with ``folder`` and ``modified``.

    All empty: the event that is stored for the work is taken again. ``force``: it is done though the archive has a
    newer delivery of the work, or one of another object; without an event, the delivery that is held.
    """

    intake: str = ""
    name: str = ""
    time: str = ""
    region: str = ""
    bucket: str = ""
    key: str = ""
    size: int | None = None
    etag: str | None = None
    version_id: str | None = None
    sequencer: str | None = None
    restore_expires: str | None = None
    file: str = ""
    folder: str = ""
    modified: str = ""
    force: bool = False

    def event(self) -> WorkEvent | None:
        """Returns the event that was given; None if none was."""
        return given_in(self.model_dump())


@dg.asset(partitions_def=WORKS, kinds={"sqs"}, owners=OWNERS, group_name="restore", retry_policy=TRY_AGAIN)
def restored_message(
    context: dg.AssetExecutionContext,
    config: RestoredMessageConfig,
    staging: Staging,
    archive_shares: dg.ResourceParam[ArchiveShares],
    folders: Folders,
    drs: dg.ResourceParam[Drs],
) -> Iterator[Any]:
    """Glacier has restored the work, or a person has put its zip into a folder. The message that said so is stored, so
    that the work can be redone from it.

    To redo a work, materialize the asset to start from and those after it; nothing need be configured.
    """
    part = part_of(context)
    rid = part.rid
    with work_held(context, staging, archive_shares):
        intake, given = config.intake, config.event()
        if given is None and config.force and (found := meant_by_word(context, staging)):
            intake, given = found
            context.log.info(f"{rid}: no event was given, and {given.source} is held, so that is done")
        if given is None and (found := newer_in_save(folders, staging, part, instance_id(context.instance))):
            intake, given = found
            context.log.info(f"{rid}: no event was given, and {given.source} waits, so that is taken")
        receipts, over = receipts_of_work(context, staging), None
        if given is None:
            stored = stored_event(receipts, part, staging)
            intake, event, over = stored.intake, stored.event, stored.over
            context.log.info(f"{rid}: no event was given, so the one that is stored is taken again")
        else:
            event = given
        # This is checked before the event is stored, since the later stages work for whichever event is stored.
        if config.force:
            over = deliveries_overridden(context, staging, drs, event)
        refuse_held(context, staging, drs, intake, event, over=over)
        if given or config.force:
            stored = Restored(rid=part.staged, run_id=context.run_id, intake=intake, event=event, over=over)
            # It must be on the disk, not only in memory: nobody sends the event again.
            staging.write_receipt(stored, flush=True)
        noted_events.forget(staging, part.staged, event)
        context.log.info(f"{part}: {event.name} at {event.time}: {event.source}")
        if isinstance(event, DroppedFile):
            came, more = {"file": event.source}, {"file": event.source, "modified": event.modified}
        else:
            came, more = {"bucket": event.bucket, "key": event.key}, {"object": event.source}
            if event.restore_expires:
                more["restored until"] = event.restore_expires
        if stored.over is not None:
            more["by a person's word"] = "over what the archive had when it was given"
        record_stage(drs, event, stored, came)
        yield dg.MaterializeResult(
            metadata={
                "RID": rid,
                **part_shown(part),
                "event": event.name,
                "event time": dg.MetadataValue.timestamp(at) if (at := moment(event.time)) else event.time,
                "intake": stored.intake,
                "receipt": dg.MetadataValue.path(str(staging.layout.receipt(part.staged, stored.name))),
            }
            | size_shown(event.size)
            | more
        )
