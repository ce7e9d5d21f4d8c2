"""Nightly housekeeping: the job that removes what is old, and its schedule.

What belongs here: the order of what is removed, and what the run reports about it. What does not: the removing itself
(``ao_workflows.upkeep``, ``ao_workflows.archive.replaced``; and for containers and images, which a run cannot reach,
``ao_workflows.instance.pruning``).
"""

# No `from __future__ import annotations`: Dagster looks at the context's annotation, and this one is in a function.

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from ao_workflows import clients
from ao_workflows.archive.shares import replaced_folder
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.site.sections import Site
from ao_workflows.staging.unneeded import Unneeded
from ao_workflows.status.runs import has_run_in_flight
from ao_workflows.upkeep import housekeeping
from ao_workflows.works.stages import Stage

SHOWN = 100
"""How many names are shown at most; the others can be found on the disk."""

DESCRIPTION = (
    "Removes old logs, debug rows, ticks and containers, and what no run needs on the scratch disk. No run, nor what "
    "the archive has not."
)


def housekeeping_job(site: Site) -> dg.JobDefinition:
    """Makes the job that removes old things which no work needs any more.

    Old receipts and unfinished downloads are only counted, since a person must decide about them.
    """
    keep_days = site.housekeeping.keep_days

    @dg.op(
        name="remove_what_is_old",
        description=f"Removes logs, debug rows and ticks of more than {keep_days} days, and what works left behind.",
    )
    def remove_what_is_old(context: dg.OpExecutionContext) -> None:
        # Imported here, since every run loads this module and only this job needs them.
        from ao_workflows.archive import replaced
        from ao_workflows.instance import old_records, partition_states
        from ao_workflows.upkeep import old_logs

        now = datetime.now(UTC)
        old = now - timedelta(days=keep_days)
        under_way = old_records.beginnings_of_runs(context.instance, but=context.run_id)
        logs_before = housekeeping.cutoff(now, keep_days, under_way)
        staging, shares = clients.staging(site), clients.archive_shares(site)
        layout = staging.layout
        unneeded = Unneeded(
            staging, shares.look_for_all, lambda rid: has_run_in_flight(context.instance, rid), context.log
        )
        unneeded.free_all()
        removed = {
            "run logs": old_logs.remove(old_records.compute_log_folders(context.instance), logs_before),
            "sync logs": old_logs.remove(layout.sync_logs(), logs_before),
            "event log": old_records.remove_debug_rows(context.instance, old),
            "ticks": old_records.remove_ticks(context.instance, old),
            "kept of what was replaced": replaced.remove_outlived(
                # Only from shares that are mounted as noted: what is mounted instead may not be this site's.
                [replaced_folder(tree) for tree in shares.trees_there()],
                now - timedelta(days=site.sync.keep_replaced_days),
            ),
            # These are removed whatever their age, but only if no run uses them.
            "left-overs of works": unneeded.left_overs,
            "synced works": unneeded.kept,
        }
        told: dict[str, Any] = {
            "kept days": keep_days,
            "kept days of what was replaced": site.sync.keep_replaced_days,
            "kept days of synced works": staging.keep_days,
        }
        for what, each in removed.items():
            told |= {f"{what}: removed": each.count, f"{what}: bytes freed": each.bytes}
            if each.oldest_kept:
                told[f"{what}: oldest kept"] = dg.MetadataValue.timestamp(each.oldest_kept)
        if logs_before < old:
            told["logs kept for runs under way since"] = dg.MetadataValue.timestamp(logs_before)
        for what, rids in (("freed", unneeded.freed), ("left for their runs", unneeded.wanted)):
            if rids:
                told[f"synced works: {what}"] = ", ".join(rids[:SHOWN])
        # A person must decide about these: a receipt says what need not be done again, and half a download is what need
        # not be fetched again.
        for what, pattern in (("receipts", "receipts/*/*"), ("unfinished downloads", "incoming/*/*.part")):
            names, size = old_logs.measure(layout.root, pattern, old)
            told |= {f"old {what}": len(names), f"old {what}: bytes": size}
            if what == "unfinished downloads" and names:
                told[f"old {what}: files"] = dg.MetadataValue.md("\n".join(f"- `{name}`" for name in names[:SHOWN]))
        context.log_event(dg.AssetObservation(housekeeping.JOB, metadata=told))
        partition_states.note_partition_states(context.instance, [dg.AssetKey(stage) for stage in [*Stage][1:]], WORKS)
        if stuck := [each for found in removed.values() for each in found.stuck]:
            raise dg.Failure(
                f"{len(stuck)} things could not be removed, the first: {stuck[0]}. What else is old has been removed",
                metadata={"not removed": dg.MetadataValue.md("\n".join(f"- `{each}`" for each in stuck[:SHOWN]))},
                allow_retries=False,
            )

    @dg.job(name=housekeeping.JOB, description=DESCRIPTION)
    def job() -> None:
        remove_what_is_old()

    return job


def nightly_housekeeping(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Makes the schedule of the housekeeping, at 4:15 UTC. It is on everywhere, since a full disk stops any site."""
    return dg.ScheduleDefinition(
        name="nightly_housekeeping",
        job=job,
        cron_schedule="15 4 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=DESCRIPTION,
    )
