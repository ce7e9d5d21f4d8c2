"""Definitions: the parts put together for one site. Loading this module reads site.toml and nothing else."""

from __future__ import annotations

import gc

import dagster as dg

from ao_workflows.clients import resources
from ao_workflows.defs.nightly.backup import backup_job, nightly_backup
from ao_workflows.defs.nightly.housekeeping import housekeeping_job, nightly_housekeeping
from ao_workflows.defs.nightly.stuck_works import WATCH_WORKS, nightly, stuck_works
from ao_workflows.defs.restore.debagged_work import debagged_work
from ao_workflows.defs.restore.deep_copied import deep_copied
from ao_workflows.defs.restore.downloaded_bag import downloaded_bag
from ao_workflows.defs.restore.job import RESTORE_WORK
from ao_workflows.defs.restore.restored_message import restored_message
from ao_workflows.defs.restore.synced_archive import synced_archive
from ao_workflows.defs.sensors.folders import folder_sensor
from ao_workflows.defs.sensors.lost_runs import lost_runs
from ao_workflows.defs.sensors.queues import intake_sensor
from ao_workflows.site.loading import load
from ao_workflows.site.sections import Site


def build(site: Site) -> dg.Definitions:
    """Returns everything that Dagster loads for a site: assets, jobs, schedules, sensors and clients.

    The stage that copies a work into the deep archive is there only where the site has a bucket for that.

    A run's stages share one process, since a process for each would cost seconds of imports.
    """
    back_up, housekeeping = backup_job(site), housekeeping_job(site)
    stages = [
        restored_message,
        downloaded_bag,
        debagged_work,
        synced_archive,
        *([deep_copied] if site.deep_copy.is_on else ()),
    ]
    return dg.Definitions(
        assets=[*stages, stuck_works(site.watch)],
        jobs=[RESTORE_WORK, WATCH_WORKS, back_up, housekeeping],
        schedules=[nightly(site.watch), nightly_backup(back_up, site.backup), nightly_housekeeping(housekeeping)],
        sensors=[
            lost_runs,
            *(intake_sensor(name, intake, site) for name, intake in site.queues.items()),
            *(folder_sensor(name, intake, site) for name, intake in site.folders.items()),
        ],
        resources=resources(site),
        executor=dg.in_process_executor,
    )


defs = build(load())

# What is imported by now stays until the process ends. Without this call the garbage collector would search all of it a
# few times during a run, and again at its end, which takes a fifth of the time of a small work's run.
gc.freeze()
