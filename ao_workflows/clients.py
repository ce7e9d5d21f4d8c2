"""A site's clients: S3, SQS, folders, staging, DRS, the debagger and the sync script, each built of ``site.toml`` here.

What belongs here: which setting goes to which client. What does not: what a client does, which is in its own room.
"""

from __future__ import annotations

from typing import Any

from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.aws.connections import AwsConnection
from ao_workflows.aws.s3 import S3, DownloadSettings
from ao_workflows.bags.debagger import Debagger
from ao_workflows.drs.client import Drs
from ao_workflows.glacier.client import Glacier
from ao_workflows.glacier.requests import Restores
from ao_workflows.intake.folders import Folders
from ao_workflows.intake.sqs import Sqs
from ao_workflows.site.sections import Site
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.staging.staging import Staging


def connections(site: Site) -> dict[str, AwsConnection]:
    """The way to each intake's AWS, by the intake's name."""
    return {
        name: AwsConnection(
            region=intake.region,
            profile=intake.aws_profile,
            endpoint_url=intake.endpoint_url,
            credentials_file=str(site.aws_credentials) if site.aws_credentials else None,
        )
        for name, intake in site.queues.items()
    }


def staging(site: Site) -> Staging:
    """The scratch disk, with its reserve and how long works stay on it."""
    return Staging(
        root=str(site.staging.root),
        keep_days=site.staging.keep_for.days,
        reserve_gib=site.staging.reserve_gib,
        room_wait_hours=site.staging.room_wait_hours,
    )


def sync_script(site: Site) -> SyncScript:
    """The one that site.toml names."""
    return SyncScript(
        script=site.sync.script,
        archive_parent=str(site.archive.parent),
        web_parent=site.archive.web,
        logs=str(site.staging.root / "logs"),
        timeout_minutes=site.sync.timeout_minutes,
        verify=site.sync.verify,
        env=site.sync.env,
        db_config=site.drs.config or "",
        credentials_file=str(site.aws_credentials) if site.aws_credentials else None,
        options=str(site.sync.options) if site.sync.options else None,
        works_may=[*site.sync.works_may],
        keep_replaced_days=site.sync.keep_replaced_days,
    )


def archive_shares(site: Site) -> ArchiveShares:
    """The archive's shares that site.toml names."""
    return ArchiveShares(site.archive.parent, StagingLayout(site.staging.root).archive_shares())


def restores(site: Site, intake: str | None) -> Restores:
    """The works of the site, or of one ``intake`` of it, as far as Glacier has to do with them.

    :raises SiteError: where the site has no intake.
    :raises WrongEnvironment: where each of them belongs to another environment.
    """
    return Restores(site, intake, Glacier(connections(site)), Drs(url=site.drs.url, config=site.drs.config))


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
        "staging": staging(site),
        "debagger": Debagger(
            **site.debag.model_dump(), batches=[name for name, intake in site.intake.items() if intake.batches]
        ),
        "drs": Drs(url=site.drs.url, config=site.drs.config),
        "sync_script": sync_script(site),
        "archive_shares": archive_shares(site),
    }
