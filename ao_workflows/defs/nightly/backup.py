"""The nightly backup of Dagster's storage: its job and its schedule.

What belongs here: when it runs, and what it reports when it is done. What does not: the dumps
(``ao_workflows.upkeep.backup``).
"""

# No `from __future__ import annotations`: Dagster looks at the context's annotation, and this one is in a function.

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from ao_workflows import clients
from ao_workflows.errors import AoError
from ao_workflows.site.sections import BackupSection, Site
from ao_workflows.upkeep import backup


def backup_job(site: Site) -> dg.JobDefinition:
    """Makes the job that dumps Dagster's storage, reads the dump again, and removes the backups that are too old."""

    @dg.op(name="back_up_storage", description="Dumps Dagster's storage, reads the dump again, removes old ones.")
    def back_up_storage(context: dg.OpExecutionContext) -> None:
        try:
            store = clients.backup_place(site)
            with tempfile.TemporaryDirectory() as scratch:
                dump = backup.make(store, backup.storage_url(context.instance), Path(scratch))
            removed = backup.prune(store, site.backup.keep_days, datetime.now(UTC))
        except AoError as error:
            raise dg.Failure(f"No backup was made: {error}", allow_retries=False) from error
        told: dict[str, Any] = {
            "backup": dg.MetadataValue.path(f"{store}/{dump.name}"),
            "bytes": dump.bytes,
            "removed": ", ".join(old.name for old in removed) or "none",
        }
        context.log_event(dg.AssetObservation("dagster_backup", metadata=told))

    @dg.job(name="back_up", description="Backs up Dagster's storage, which knows every run and materialization.")
    def back_up() -> None:
        back_up_storage()

    return back_up


def nightly_backup(job: dg.JobDefinition, backup: BackupSection) -> dg.ScheduleDefinition:
    """Makes the schedule of the nightly backup, at 2:15 UTC. It is off unless the site says where backups are kept."""
    return dg.ScheduleDefinition(
        name="nightly_backup",
        job=job,
        cron_schedule="15 2 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if backup.to else dg.DefaultScheduleStatus.STOPPED,
        description="Backs up Dagster's storage, and removes old backups.",
    )
