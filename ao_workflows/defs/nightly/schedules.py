"""Schedules: what runs by the clock. Each but housekeeping is off where the site does not ask for it."""

from __future__ import annotations

import dagster as dg

from ao_workflows.defs.restore.job import WATCH_WORKS
from ao_workflows.site.sections import BackupSection, WatchSection

_HOUR = "03:00"
"""Shown in the web page for a schedule that is off, and taken where a person switches it on there."""


def nightly(watch: WatchSection) -> dg.ScheduleDefinition:
    """The night's look at all works."""
    hour, minute = (watch.nightly or _HOUR).split(":")
    return dg.ScheduleDefinition(
        name="nightly_watch",
        job=WATCH_WORKS,
        cron_schedule=f"{int(minute)} {int(hour)} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if watch.nightly else dg.DefaultScheduleStatus.STOPPED,
        description="Tells of works that are stuck, and of restored copies that end before they were downloaded.",
    )


def nightly_backup(job: dg.JobDefinition, backup: BackupSection) -> dg.ScheduleDefinition:
    """The night's backup of Dagster's storage."""
    return dg.ScheduleDefinition(
        name="nightly_backup",
        job=job,
        cron_schedule="15 2 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if backup.to else dg.DefaultScheduleStatus.STOPPED,
        description="Backs up Dagster's storage, and removes old backups.",
    )


def nightly_housekeeping(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """The night's removal of what is old. It is on everywhere: a full disk stops any site."""
    return dg.ScheduleDefinition(
        name="nightly_housekeeping",
        job=job,
        cron_schedule="15 4 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes old logs, debug rows, ticks and containers. No run, and nothing of a work.",
    )
