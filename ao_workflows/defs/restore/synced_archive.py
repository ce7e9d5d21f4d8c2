"""Assets: the four stages that a restored work goes through, in their order.

What belongs here: reading a stage's input, calling what does the work, writing the receipt, and saying it all to
the archivist. What does not: how a bag is proven or an object downloaded (``ao_workflows.domain``,
``ao_workflows.resources``).

Each stage ends with its receipt and its column in DRS. A stage that finds its own receipt for the same input, with
what it names still there, does not do the work again; so a run may die anywhere and be run again.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import dagster as dg
from pydantic import Field

from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.aws.s3 import S3
from ao_workflows.bags.admission import why_refused
from ao_workflows.bags.debagger import Debagger
from ao_workflows.defs.restore import checks
from ao_workflows.defs.restore.holding import forget_held, meant_by_word, over_what_is_there, refuse_held
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.defs.restore.retries import TRY_AGAIN
from ao_workflows.defs.restore.sources import intake_of, newer_in_save, remove_original, source_of, unchanged_since
from ao_workflows.defs.restore.stage import (
    depth_for,
    in_force,
    instance_id,
    list_is_whole,
    megabytes_a_second,
    record_failure,
    record_guest,
    record_stage,
    record_work,
    remarks_on,
    size_shown,
    still_there,
    stored_event,
    tell_tenths_of,
    tree_is_there,
    work_held,
    works_in,
    zip_is_there,
)
from ao_workflows.defs.restore.synced_works import failure_of, left_alone_shown, proofs_shown, said_of
from ao_workflows.defs.restore.syncing import Syncing, sync_each
from ao_workflows.download.download import Places
from ao_workflows.download.progress import ProgressTeller
from ao_workflows.drs.client import Drs
from ao_workflows.drs.rows import Stage
from ao_workflows.errors import (
    BagInvalid,
    DownloadMismatch,
    FileGone,
    FolderError,
    NothingStored,
    ObjectMissing,
    ZipRefused,
)
from ao_workflows.events.dropped_files import DroppedFile, Event, given_in
from ao_workflows.fixity.trees import write_fixity
from ao_workflows.intake.folders import Folders
from ao_workflows.machine.files import made_parents
from ao_workflows.machine.times import moment
from ao_workflows.staging.freeing import Freed
from ao_workflows.staging.receipts import Receipt
from ao_workflows.staging.staging import Staging
from ao_workflows.status import noted_events
from ao_workflows.status.deliveries import delivery_of
from ao_workflows.status.evidence import takes

OWNERS = ["team:digital-preservation"]


UNPACKED_TO_ZIP = 1.5
"""How much larger than its zip a work is taken to be, where the zip's directory cannot be read: scans hardly shrink."""


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

    def event(self) -> Event | None:
        """What was given; None where nothing was."""
        return given_in(self.model_dump())


@dg.asset(partitions_def=WORKS, kinds={"sqs"}, owners=OWNERS, group_name="restore", retry_policy=TRY_AGAIN)
def restored_message(
    context: dg.AssetExecutionContext, config: RestoredMessageConfig, staging: Staging, folders: Folders, drs: Drs
) -> Iterator[Any]:
    """Glacier has restored the work, or a person has put its zip into a folder. The message that said so is stored, so
    that the work can be redone from it.

    To redo a work, materialize the asset to start from and those after it; nothing need be configured.
    """
    rid = context.partition_key
    with work_held(context, staging):
        intake, given = config.intake, config.event()
        if given is None and config.force and (found := meant_by_word(context, staging)):
            intake, given = found
            context.log.info(f"{rid}: no event was given, and {given.source} is held, so that is done")
        if given is None and (found := newer_in_save(folders, staging, rid, instance_id(context.instance))):
            intake, given = found
            context.log.info(f"{rid}: no event was given, and {given.source} waits, so that is taken")
        over = None
        if given is None:
            stored = stored_event(staging, rid)
            intake, event, over = stored.intake, stored.event, stored.over
            context.log.info(f"{rid}: no event was given, so the one that is stored is taken again")
        else:
            event = given
        # Before it is stored: the stages after this one work for whichever event is.
        if config.force:
            over = over_what_is_there(context, staging, drs, event)
        refuse_held(context, staging, drs, intake, event, over=over)
        if given or config.force:
            kind = "file" if isinstance(event, DroppedFile) else "event"
            left = {"intake": intake, kind: asdict(event), "force": over is not None, "over": over or ()}
            # On the disk, not only in memory: nobody sends it again.
            took = takes(Stage.RESTORED_MESSAGE, event.identity)
            staging.write_receipt(rid, "restored_message", took, left, context.run_id, flush=True)
        stored = stored_event(staging, rid)
        noted_events.forget(staging, rid, event)
        context.log.info(f"{rid}: {event.name} at {event.time}: {event.source}")
        if isinstance(event, DroppedFile):
            came, more = {"file": event.source}, {"file": event.source, "modified": event.modified}
        else:
            came, more = {"bucket": event.bucket, "key": event.key}, {"object": event.source}
            if event.restore_expires:
                more["restored until"] = event.restore_expires
        if stored.over is not None:
            more["by a person's word"] = "over what the archive had when it was given"
        record_stage(drs, Stage.RESTORED_MESSAGE, event, stored.receipt, came)
        yield dg.MaterializeResult(
            metadata={
                "RID": rid,
                "event": event.name,
                "event time": dg.MetadataValue.timestamp(at) if (at := moment(event.time)) else event.time,
                "intake": stored.intake,
                "receipt": dg.MetadataValue.path(str(staging.layout.receipt(rid, "restored_message"))),
            }
            | size_shown(event.size)
            | more
        )


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
    context: dg.AssetExecutionContext, staging: Staging, s3: S3, folders: Folders, drs: Drs
) -> Iterator[Any]:
    """The work's zipped bag is on the scratch disk, and is byte for byte what S3 holds, or what was put into the
    folder.
    """
    rid = context.partition_key
    with work_held(context, staging):
        stored = stored_event(staging, rid)
        event, layout = stored.event, staging.layout
        places = Places(layout.zip(rid), layout.part(rid), layout.journal(rid))
        took, there = takes(Stage.DOWNLOADED_BAG, event.identity), zip_is_there(places.final)
        receipt = still_there(in_force(staging, stored).get(Stage.DOWNLOADED_BAG), there)
        if receipt and unchanged_since(receipt, folders):
            context.log.info(f"{rid}: the zip is here since {receipt.at}, from run {receipt.run_id}")
            staging.room.promise(rid, receipt.left["room"], context.log.info)
        else:
            try:
                wanted = source_of(stored, rid, s3, folders, context.log.info)
                # Only S3 says when this version of the object was written.
                refuse_held(context, staging, drs, stored.intake, event, over=stored.over, modified=wanted.modified)
                before = staging.receipt(rid, "downloaded_bag")
                if before and wanted.is_in(before) and still_there(before, there):
                    context.log.info(f"{rid}: {wanted.where} is here since {before.at}, for another event")
                    staging.room.promise(rid, before.left["room"], context.log.info)
                    left = dict(before.left)
                else:
                    unpacked = wanted.unpacked_size()
                    room = wanted.size + (unpacked.on_disk if unpacked else round(wanted.size * UNPACKED_TO_ZIP))
                    staging.room.promise(rid, room, context.log.info)
                    context.log.info(f"{rid}: downloading {wanted.size:,} bytes from {wanted.where}")
                    staging.withdraw(rid, "downloaded_bag")
                    teller = ProgressTeller(rid, wanted.size, context.run_id, layout.progress(rid), context.log.info)
                    with teller:
                        left = wanted.bring(places, teller) | {"room": room}
            except DownloadMismatch as error:
                yield checks.failed(checks.IS_WHAT_S3_HOLDS, str(error))
                raise
            except (ObjectMissing, FileGone):
                # A whole zip that an earlier event brought may be all that there is left of it.
                if staging.receipt(rid, "downloaded_bag") is None:
                    places.remove()
                raise
            receipt = staging.write_receipt(rid, "downloaded_bag", took, left, context.run_id)
        # Until the receipt was there, the journal was what spared the download.
        places.journal.unlink(missing_ok=True)
        left = dict(receipt.left)
        proven = {"bytes": left["bytes"], "proof": left["proof"]}
        record_stage(drs, Stage.DOWNLOADED_BAG, event, receipt, proven)
        yield dg.MaterializeResult(
            metadata={
                "RID": rid,
                "file" if isinstance(event, DroppedFile) else "object": event.source,
                "seconds": round(left["seconds"], 2),
                "MB/s": megabytes_a_second(left["fetched"], left["seconds"]),
                "parts": left["parts"],
                "retries": left["retries"],
                "resumed bytes": left["resumed"],
                "proven by": left["proof"],
                "crc64nvme": left["crc64nvme"],
                "zip": dg.MetadataValue.path(str(places.final)),
            }
            | size_shown(left["bytes"])
            | ({"version": left["version"]} if left.get("version") else {}),
            check_results=[checks.passed(checks.IS_WHAT_S3_HOLDS, f"proven by {left['proof']}")],
        )


@dg.asset(
    partitions_def=WORKS,
    deps=[downloaded_bag],
    kinds={"bagit"},
    owners=OWNERS,
    group_name="restore",
    retry_policy=TRY_AGAIN,
    check_specs=[checks.IS_A_VALID_BAG],
)
def debagged_work(
    context: dg.AssetExecutionContext, staging: Staging, s3: S3, folders: Folders, debagger: Debagger, drs: Drs
) -> Iterator[Any]:
    """The work is unpacked on the scratch disk, and every file is what was bagged.

    A bag that is not what its manifests say is refused, and so is another work's: nothing of it goes further, and its
    report says what is wrong with which file.
    """
    rid = context.partition_key
    with work_held(context, staging):
        stored = stored_event(staging, rid)
        event, chain = stored.event, in_force(staging, stored)
        downloaded = chain.get(Stage.DOWNLOADED_BAG)
        zip_path, into = staging.layout.zip(rid), staging.layout.work(rid)
        if downloaded is None or not zip_path.exists():
            raise NothingStored(rid, f"the zip {zip_path} is not there for {event.source}", "downloaded_bag")
        terms = debagger.terms(rid, intake_of(stored, s3, folders))
        took = takes(Stage.DEBAGGED_WORK, event.identity, downloaded)
        fixity = staging.layout.fixity(rid)
        receipt = still_there(chain.get(Stage.DEBAGGED_WORK), tree_is_there(into, fixity))
        if receipt and why_refused(terms, *works_in(receipt)):
            # Taken once, on other terms than the site has now: refused below, and never synced for its receipt.
            staging.throw_away(rid, "debagged_work")
            receipt = None
        if receipt:
            context.log.info(f"{rid}: unpacked since {receipt.at}, by run {receipt.run_id}")
        else:
            context.log.info(f"{rid}: unpacking and proving {zip_path.name}")
            under_way = staging.layout.work_under_way(rid, context.run_id)
            staging.withdraw(rid, "debagged_work")
            try:
                tell = tell_tenths_of(context.log.info, f"{rid}: unpacked")
                done = debagger.debag(zip_path, made_parents(into), terms, under_way, tell)
            except (BagInvalid, ZipRefused) as error:
                report = staging.write_report(rid, zip_path.name, error.problems, context.run_id, event.source)
                record_failure(drs, context, event, {"refused": str(error), "report": str(report)})
                yield checks.failed(
                    checks.IS_A_VALID_BAG,
                    str(error),
                    error.problems,
                    report=dg.MetadataValue.path(str(report)),
                )
                raise
            write_fixity(fixity, done.files)
            left = {
                "works": [asdict(work) for work in done.works],
                "bytes": done.bytes,
                "seconds": done.seconds,
                "listed": len(done.files),
                "warnings": list(done.warnings),
            }
            receipt = staging.write_receipt(rid, "debagged_work", took, left, context.run_id)
            staging.remove_report(rid)
        works = receipt.left["works"]
        files = sum(work["files"] for work in works)
        algorithms = ", ".join(sorted({name for work in works for name in work["algorithms"]}))
        remarks = remarks_on(receipt)
        warnings = [said for said in receipt.left["warnings"] if said not in remarks.values()]
        unpacked = {"files": files, "bytes": receipt.left["bytes"]}
        record_stage(drs, Stage.DEBAGGED_WORK, event, receipt, unpacked | remarks)
        yield dg.MaterializeResult(
            metadata={
                "RID": rid,
                "works": ", ".join(work["rid"] for work in works),
                "files": files,
            }
            | remarks
            | {
                "seconds": round(receipt.left["seconds"], 2),
                "MB/s": megabytes_a_second(receipt.left["bytes"], receipt.left["seconds"]),
                "algorithms": algorithms,
                "folder": dg.MetadataValue.path(str(into)),
            }
            | size_shown(receipt.left["bytes"])
            | ({"warnings": "\n".join(warnings[: checks.SHOWN])} if warnings else {}),
            check_results=[
                checks.unproven(checks.IS_A_VALID_BAG, remarks["unproven"])
                if "unproven" in remarks
                else checks.passed(checks.IS_A_VALID_BAG, f"{files} files proven by {algorithms}")
            ],
        )


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
    # The zip too: it is freed here. And to Dagster's command line, `downloaded_bag+` is one step down.
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
    folders: Folders,
    sync_script: SyncScript,
    drs: Drs,
) -> Iterator[Any]:
    """The work is in the archive. The sync script put it there, and every file was read back and compared.

    So was every image on the web, where the work goes there. Only then is the scratch disk freed, and a zip that came
    by a folder removed from its save/.
    """
    rid = context.partition_key
    with work_held(context, staging), ExitStack() as until_recorded:
        stored = stored_event(staging, rid)
        event, chain = stored.event, in_force(staging, stored)
        debagged, downloaded = chain.get(Stage.DEBAGGED_WORK), chain.get(Stage.DOWNLOADED_BAG)
        folder, fixity = staging.layout.work(rid), staging.layout.fixity(rid)
        if debagged is None or downloaded is None or not list_is_whole(fixity, debagged):
            raise NothingStored(rid, f"the unpacked work {folder} is not there for {event.source}", "downloaded_bag")
        # Synced before, and scratch was freed: the archive's copy is all there is, and is compared again.
        freed_before = Stage.SYNCED_ARCHIVE in chain and not folder.exists()
        # Not where a run that did it died before it could say so, and this is its second try.
        ours = {context.run_id, context.run.parent_run_id, context.run.root_run_id}
        by_this = freed_before and chain[Stage.SYNCED_ARCHIVE].run_id in ours
        if freed_before and not by_this and (config.replace or config.others):
            raise NothingStored(rid, f"the unpacked work {folder}, which is to replace, is not there", "downloaded_bag")
        if not freed_before and not tree_is_there(folder, fixity)(debagged, depth_for(debagged)):
            raise NothingStored(rid, f"the unpacked work {folder} is not there as it was", "downloaded_bag")
        seen = {name: downloaded.left.get(name) or "" for name in ("etag", "modified")}
        delivery = delivery_of(event, version_id=downloaded.left.get("version") or "", **seen)
        works = [entry["rid"] for entry in debagged.left["works"]]
        # What was left alone when the zip was synced is so until a person says otherwise: nobody must say it again.
        before = chain[Stage.SYNCED_ARCHIVE].left.get("left_alone", []) if Stage.SYNCED_ARCHIVE in chain else []
        leave = dict.fromkeys([*config.leave, *(work for work in before if work not in config.others)])
        started = time.monotonic()
        syncing = Syncing(
            staging,
            sync_script,
            rid,
            dict(debagged.took),
            context.run_id,
            not freed_before,
            context.log.info,
            until_recorded,
            # Again: another host may have synced a newer one since the event was stored.
            lambda: refuse_held(
                context, staging, drs, stored.intake, event, over=stored.over, modified=delivery.modified
            ),
            lambda work, receipt: record_guest(drs, work, receipt, delivery),
            replace=config.replace,
            others=tuple(config.others),
            leave=tuple(leave),
        )
        synced, failed = sync_each(syncing, works)
        if failed:
            error, problems = failure_of(synced, failed)
            yield checks.failed(checks.IS_IN_THE_ARCHIVE, str(error), problems)
        for work, done in synced.items() if len(works) > 1 else ():
            record_work(drs, event, work, done.receipt, delivery)
        if failed:
            record_failure(drs, context, event, {"failed": str(error)})
            raise error
        seconds = time.monotonic() - started
        files = sum(work["files"] for work in debagged.left["works"] if work["rid"] in synced)
        left_alone = [work for work in works if work in leave]
        remarks = remarks_on(debagged) | left_alone_shown(left_alone)
        places = {work: done.place for work, done in synced.items()}
        logs = {work: done.log for work, done in synced.items() if done.log}
        freed = Freed()
        if left_out := [done.left_out for done in synced.values() if done.left_out]:
            record_failure(drs, context, event, {"left out of the archive": left_out})
        else:
            syncing.shares.look_for_all(places)
            receipt = staging.write_receipt(
                rid,
                "synced_archive",
                dict(debagged.took),
                {
                    "places": places,
                    "left_alone": left_alone,
                    "logs": logs,
                    "seconds": seconds,
                    "kept": staging.keep_days > 0,
                },
                context.run_id,
            )
            synced_as = {"places": places, "delivery": delivery.noted(), **remarks}
            record_stage(drs, Stage.SYNCED_ARCHIVE, event, receipt, synced_as)
            forget_held(context, staging, delivery)
            # Again: the database may have kept the record waiting while a share went away.
            syncing.shares.look_for_all(places)
            freed = _free(context, staging, folders, downloaded, syncing.shares.are_there)
        yield dg.MaterializeResult(
            metadata={
                "RID": rid,
                "works": ", ".join(places),
                "files": files,
            }
            | remarks
            | {
                "seconds": round(seconds, 2),
                "MB/s": megabytes_a_second(debagged.left["bytes"], seconds),
                "compared by": sync_script.verify,
            }
            | freed.shown()
            | size_shown(debagged.left["bytes"])
            | proofs_shown(synced),
            check_results=[
                checks.unproven(checks.IS_IN_THE_ARCHIVE, "\n".join(left_out))
                if left_out
                else checks.passed(
                    checks.IS_IN_THE_ARCHIVE,
                    "; ".join([said_of(synced, files, sync_script.verify), *remarks.values()]),
                )
            ],
        )


def _free(
    context: dg.AssetExecutionContext,
    staging: Staging,
    folders: Folders,
    downloaded: Receipt,
    archived: Callable[[Iterable[str]], bool],
) -> Freed:
    """Frees the scratch disk, and the folder that the zip was put into, of what the archive is proven to hold.

    What cannot be removed is told in the run's log: the work is in the archive, and nothing says otherwise.
    """
    freed = staging.free_synced(downloaded.rid, archived)
    for error in freed.stuck:
        context.log.warning(str(error))
    try:
        if remove_original(folders, downloaded):
            context.log.info(f"{downloaded.rid}: the dropped zip was removed")
    except FolderError as error:
        context.log.warning(f"{downloaded.rid}: the dropped zip is still there: {error}")
    return freed
