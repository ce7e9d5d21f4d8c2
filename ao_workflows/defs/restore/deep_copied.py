"""deep_copied: what the archive has of the work is in the deep archive too, in the parts in which that keeps works.

What belongs here: which works are copied, under which locks, and what the stage says. What does not: the copying of one
work (``ao_workflows.deep_copy.copying``). The stage is there only in sites that have ``[deep_copy]``.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.deep_copy.copying import CopiedWork, DeepCopies
from ao_workflows.defs.restore import checks
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.defs.restore.proven_files import proven_files
from ao_workflows.defs.restore.retries import TRY_AGAIN
from ao_workflows.defs.restore.stage import (
    OWNERS,
    named_in_drs,
    part_of,
    part_shown,
    receipts_of_work,
    record_failure,
    size_shown,
    stored_event,
    work_held,
)
from ao_workflows.defs.restore.synced_archive import synced_archive
from ao_workflows.drs.client import Drs
from ao_workflows.errors import DeepCopyError, NothingStored, PartRefused
from ao_workflows.staging.receipts import Downloaded
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.validity import list_is_whole
from ao_workflows.works.stages import Stage


@dg.asset(
    partitions_def=WORKS,
    deps=[synced_archive],
    kinds={"s3"},
    owners=OWNERS,
    group_name="restore",
    retry_policy=TRY_AGAIN,
    check_specs=[checks.IS_IN_DEEP_ARCHIVE],
)
def deep_copied(
    context: dg.AssetExecutionContext,
    staging: Staging,
    archive_shares: dg.ResourceParam[ArchiveShares],
    deep_copies: dg.ResourceParam[DeepCopies],
    drs: dg.ResourceParam[Drs],
) -> Iterator[Any]:
    """The work is in the deep archive: each image group in a zip of its own, everything else in another.

    The first time it is copied whole, later what has changed. Each file was read from the archive and compared with
    what was proven there, and S3 has computed the checksum of each zip that was sent.
    """
    part = part_of(context)
    with work_held(context, staging, archive_shares):
        receipts = receipts_of_work(context, staging)
        event = stored_event(receipts, part, staging).event
        valid = receipts.in_force(event.identity)
        fixity = staging.layout.fixity(part.staged)
        if valid.debagged is None or not list_is_whole(fixity, valid.debagged):
            missing = f"the list of what was proven of {event.source} is not there"
            raise NothingStored(str(part), missing, Stage.DOWNLOADED_BAG, part.redo)
        copied: dict[str, CopiedWork] = {}
        if valid.synced is None:
            # What a sync.yml keeps out of the archive has no receipt of its sync.
            said = "the archive is not noted to have the work, so nothing was copied"
        elif came_from(valid.downloaded, deep_copies.uploads.bucket):
            said = "it came from the deep archive, which has it"
        else:
            try:
                for work, place in valid.synced.places.items():
                    with (
                        archive_shares.place_held(work, f"run {context.run_id}"),
                        archive_shares.blamed_first(work),
                    ):
                        copied[work] = deep_copies.copy(
                            work,
                            Path(place),
                            staging.layout.deep_copies(work),
                            proven_files(staging, archive_shares.parent, work, part),
                            valid.synced.at,
                            context.log.info,
                        )
            except (DeepCopyError, PartRefused) as error:
                record_failure(drs, context, event, {"not deep-copied": str(error)})
                problems = error.problems if isinstance(error, DeepCopyError) else ()
                yield checks.failed(checks.IS_IN_DEEP_ARCHIVE, str(error), problems)
                raise
            said = said_of(copied)
        objects = [made for work in copied.values() for made in work.objects]
        if objects:
            noted = {
                "run_id": context.run_id,
                "deep_copied": [
                    {"key": made.key, "version": made.version_id, "crc64nvme": made.crc64nvme, "bytes": made.size}
                    for made in objects
                ],
                "bucket": deep_copies.uploads.bucket,
                **named_in_drs(part),
            }
            drs.record(part.rid, None, datetime.now(UTC), noted, event=event.identity)
        for work in copied:
            deep_copies.told(work, staging.layout.deep_copies(work))
        warned = valid.synced is None or any(work.unproven for work in copied.values())
        yield dg.MaterializeResult(
            metadata={
                "RID": part.rid,
                **part_shown(part),
                "parts": len(objects),
                "files": sum(made.files for made in objects),
                "sent by an earlier attempt": sum(work.resumed for work in copied.values()),
            }
            | size_shown(sum(made.size for made in objects))
            | {f"part {made.part}": f"s3://{made.bucket}/{made.key}" for made in objects[: checks.SHOWN]}
            | {
                f"inventory of {work}": dg.MetadataValue.path(str(done.inventory))
                for work, done in copied.items()
                if done.inventory
            },
            check_results=[(checks.unproven if warned else checks.passed)(checks.IS_IN_DEEP_ARCHIVE, said)],
        )


def came_from(downloaded: Downloaded | None, bucket: str) -> bool:
    """Whether a work's zip came from the bucket that the work would be copied to."""
    there = downloaded.zip.object if downloaded else None
    return there is not None and there.bucket == bucket


def said_of(copied: Mapping[str, CopiedWork]) -> str:
    """Returns in words what was copied of a zip's works."""
    sentences = []
    for work, done in copied.items():
        name = f"{work}: " if len(copied) > 1 else ""
        if done.objects:
            sentences.append(f"{name}{len(done.objects)} parts, each with the checksum that S3 computed")
        else:
            sentences.append(f"{name}nothing has changed since the last copy")
        if done.unproven:
            sentences.append(
                f"{name}{done.unproven} files of these were in the archive, and no delivery that is known here has "
                f"proven them: they were copied as they were read"
            )
        if done.gone:
            sentences.append(
                f"{name}the deep archive still has {', '.join(done.gone)}, of which the archive has nothing"
            )
    return "; ".join(sentences)
