"""debagged_work: the zip's works are unpacked in staging, every byte proven by the bag's manifests."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import dagster as dg

from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.archive.places import archive_place
from ao_workflows.archive.structure import stores_inverted
from ao_workflows.aws.s3 import S3
from ao_workflows.bags.admission import why_refused
from ao_workflows.bags.debagger import Debagger
from ao_workflows.defs.restore import checks
from ao_workflows.defs.restore.downloaded_bag import downloaded_bag
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.defs.restore.retries import TRY_AGAIN
from ao_workflows.defs.restore.sources import intake_of
from ao_workflows.defs.restore.stage import (
    OWNERS,
    megabytes_a_second,
    part_of,
    part_shown,
    receipts_of_work,
    record_failure,
    record_stage,
    remarks_on,
    size_shown,
    still_there,
    stored_event,
    tell_tenths_of,
    work_held,
)
from ao_workflows.drs.client import Drs
from ao_workflows.errors import (
    BagInvalid,
    NothingStored,
    ZipRefused,
)
from ao_workflows.fixity.trees import write_fixity
from ao_workflows.intake.folders import Folders
from ao_workflows.machine.files import made_parents
from ao_workflows.staging.receipts import Debagged, UnpackedWork
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.validity import tree_is_there
from ao_workflows.works.stages import Stage


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
    context: dg.AssetExecutionContext,
    staging: Staging,
    archive_shares: dg.ResourceParam[ArchiveShares],
    s3: S3,
    folders: Folders,
    debagger: Debagger,
    drs: dg.ResourceParam[Drs],
) -> Iterator[Any]:
    """The work is unpacked on the scratch disk, and every file is what was bagged.

    A bag that is not what its manifests say is refused, and so is another work's: nothing of it goes further, and its
    report says what is wrong with which file.
    """
    part = part_of(context)
    rid = part.staged
    with work_held(context, staging, archive_shares):
        receipts = receipts_of_work(context, staging)
        stored = stored_event(receipts, part, staging)
        event, valid = stored.event, receipts.in_force(stored.event.identity)
        downloaded = valid.downloaded
        zip_path, into = staging.layout.zip(rid), staging.layout.work(rid)
        if downloaded is None or not zip_path.exists():
            missing = f"the zip {zip_path} is not there for {event.source}"
            raise NothingStored(str(part), missing, Stage.DOWNLOADED_BAG, part.redo)
        inverted = stores_inverted(archive_place(archive_shares.parent, part.rid), part.rid)
        terms = debagger.terms(part, intake_of(stored, s3, folders), inverted=bool(inverted))
        fixity = staging.layout.fixity(rid)
        receipt = still_there(valid.debagged, tree_is_there(into, fixity))
        if receipt and why_refused(terms, receipt.rids, receipt.unproven):
            # It was accepted when the site had other settings: it is refused below, and not synced by its receipt.
            staging.throw_away(rid, Stage.DEBAGGED_WORK)
            receipt = None
        if receipt:
            context.log.info(f"{rid}: unpacked since {receipt.at.isoformat()}, by run {receipt.run_id}")
        else:
            context.log.info(f"{rid}: unpacking and proving {zip_path.name}")
            under_way = staging.layout.work_under_way(rid, context.run_id)
            staging.withdraw(rid, Stage.DEBAGGED_WORK)
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
            receipt = Debagged(
                rid=rid,
                run_id=context.run_id,
                origin=downloaded.origin,
                works=tuple(UnpackedWork(**asdict(work)) for work in done.works),
                seconds=done.seconds,
                files_listed=len(done.files),
                warnings=done.warnings,
            )
            staging.write_receipt(receipt)
            staging.remove_report(rid)
        algorithms = ", ".join(sorted({name for work in receipt.works for name in work.algorithms}))
        remarks = remarks_on(receipt)
        warnings = [said for said in receipt.warnings if said not in remarks.values()]
        record_stage(drs, event, receipt, {"files": receipt.files, "bytes": receipt.bytes, **remarks})
        yield dg.MaterializeResult(
            metadata={
                "RID": part.rid,
                **part_shown(part),
                "works": ", ".join(receipt.rids),
                "files": receipt.files,
            }
            | remarks
            | {
                "seconds": round(receipt.seconds, 2),
                "MB/s": megabytes_a_second(receipt.bytes, receipt.seconds),
                "algorithms": algorithms,
                "folder": dg.MetadataValue.path(str(into)),
            }
            | size_shown(receipt.bytes)
            | ({"warnings": "\n".join(warnings[: checks.SHOWN])} if warnings else {}),
            check_results=[
                checks.unproven(checks.IS_A_VALID_BAG, remarks["unproven"])
                if "unproven" in remarks
                else checks.passed(checks.IS_A_VALID_BAG, f"{receipt.files} files proven by {algorithms}")
            ],
        )
