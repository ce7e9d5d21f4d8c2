"""Definitions: the parts put together for one site. Loading this module reads site.toml and nothing else."""

from __future__ import annotations

import gc
from typing import Any

import dagster as dg

from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.aws.connections import connections
from ao_workflows.aws.s3 import S3, DownloadSettings
from ao_workflows.bags.debagger import Debagger
from ao_workflows.defs.nightly.housekeeping import backup_job, housekeeping_job
from ao_workflows.defs.nightly.schedules import nightly, nightly_backup, nightly_housekeeping
from ao_workflows.defs.nightly.stuck_works import stuck_works
from ao_workflows.defs.restore import synced_archive as assets
from ao_workflows.defs.restore.job import RESTORE_WORK, WATCH_WORKS
from ao_workflows.defs.sensors.folders import folder_sensor
from ao_workflows.defs.sensors.lost_runs import lost_runs
from ao_workflows.defs.sensors.queues import intake_sensor
from ao_workflows.drs.client import Drs
from ao_workflows.intake.folders import Folders
from ao_workflows.intake.sqs import Sqs
from ao_workflows.site.sections import Site, load
from ao_workflows.staging.staging import Staging


def resources(site: Site) -> dict[str, Any]:
    """The site's clients, by the names that assets and sensors ask for."""
    ways = connections(site)
    return {
        "s3": S3(
            connections=ways,
            buckets={name: intake.bucket for name, intake in site.queues.items()},
            formerly={former: name for former, name in site.formerly.items() if name in site.queues},
            settings=DownloadSettings(**site.download.model_dump()),
        ),
        "sqs": Sqs(connections=ways, queues={name: intake.queue for name, intake in site.queues.items()}),
        "folders": Folders(
            folders={name: str(intake.folder) for name, intake in site.folders.items()},
            formerly={former: name for former, name in site.formerly.items() if name in site.folders},
        ),
        "staging": Staging(
            root=str(site.staging.root),
            keep_days=site.staging.keep_for.days,
            reserve_gib=site.staging.reserve_gib,
            room_wait_hours=site.staging.room_wait_hours,
        ),
        "debagger": Debagger(
            **site.debag.model_dump(), batches=[name for name, intake in site.intake.items() if intake.batches]
        ),
        "drs": Drs(url=site.drs.url, config=site.drs.config),
        "sync_script": SyncScript.of_site(site),
    }


def build(site: Site) -> dg.Definitions:
    """Everything that Dagster loads. A run's four stages share a process: four processes cost seconds of imports."""
    back_up, housekeeping = backup_job(site), housekeeping_job(site)
    return dg.Definitions(
        assets=[
            assets.restored_message,
            assets.downloaded_bag,
            assets.debagged_work,
            assets.synced_archive,
            stuck_works(site.watch),
        ],
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

# What is imported by now stays until the process ends. The garbage collector would look through all of it a few times
# more while a run lasts, and again at its end: a fifth of what a small work costs.
gc.freeze()
