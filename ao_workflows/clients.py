"""A site's clients: S3, SQS, folders, staging, DRS, Glacier, the debagger, the sync script, the archive, backups.

What belongs here: which setting of ``site.toml`` goes to which client. No other module builds a site's clients, so that
a command and a run use the same settings. What does not belong here: what a client does, which is in its own room, and
the settings' defaults (``ao_workflows.site.sections``).

A client's module is imported in the function that builds it, so that a command imports only the clients that it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ao_workflows.archive.mounted_shares import ArchiveShares
    from ao_workflows.archive.sync_script import SyncScript
    from ao_workflows.aws.connections import AwsConnection
    from ao_workflows.aws.s3 import S3
    from ao_workflows.bags.debagger import Debagger
    from ao_workflows.deep_copy.copying import DeepCopies
    from ao_workflows.drs.client import Drs
    from ao_workflows.glacier.requests import RestoreRequests
    from ao_workflows.intake.folders import Folders
    from ao_workflows.intake.sqs import Sqs
    from ao_workflows.site.sections import Site
    from ao_workflows.staging.staging import Staging
    from ao_workflows.upkeep.backup import BackupStore


def resources(site: Site) -> dict[str, Any]:
    """Returns the clients for assets and sensors, by the names of the parameters that ask for them."""
    return {
        "s3": s3(site),
        "sqs": sqs(site),
        "folders": folders(site),
        "staging": staging(site),
        "debagger": debagger(site),
        "drs": drs(site),
        "sync_script": sync_script(site),
        "archive_shares": archive_shares(site),
    } | ({"deep_copies": deep_copies(site)} if site.deep_copy.is_on else {})


def connections(site: Site) -> dict[str, AwsConnection]:
    """Returns how AWS is reached for each intake that has a queue, by the intake's name."""
    from ao_workflows.aws.connections import AwsConnection

    return {
        name: AwsConnection(
            region=intake.region,
            profile=intake.aws_profile,
            endpoint_url=intake.endpoint_url,
            credentials_file=str(site.aws_credentials) if site.aws_credentials else None,
        )
        for name, intake in site.queues.items()
    }


def s3(site: Site) -> S3:
    """Builds the client of the intakes' buckets."""
    from ao_workflows.aws.s3 import S3, DownloadSettings

    return S3(
        connections=connections(site),
        buckets={name: intake.bucket for name, intake in site.queues.items()},
        formerly={former: name for former, name in site.formerly.items() if name in site.queues},
        settings=DownloadSettings(**site.download.model_dump()),
    )


def sqs(site: Site) -> Sqs:
    """Builds the client of the intakes' queues."""
    from ao_workflows.intake.sqs import Sqs

    return Sqs(connections=connections(site), queues={name: intake.queue for name, intake in site.queues.items()})


def folders(site: Site) -> Folders:
    """Builds the client of the folders that people put zips into."""
    from ao_workflows.intake.folders import Folders

    return Folders(
        folders={name: str(intake.folder) for name, intake in site.folders.items()},
        formerly={former: name for former, name in site.formerly.items() if name in site.folders},
    )


def staging(site: Site) -> Staging:
    """Builds the client of the scratch disk, with the site's reserve and the days that a synced work is kept there."""
    from ao_workflows.staging.staging import Staging

    return Staging(
        root=str(site.staging.root),
        keep_days=site.staging.keep_for.days,
        reserve_gib=site.staging.reserve_gib,
        room_wait_hours=site.staging.room_wait_hours,
        places={name: list(intake.places) for name, intake in site.queues.items()}
        | {former: list(site.queues[name].places) for former, name in site.formerly.items() if name in site.queues},
    )


def debagger(site: Site) -> Debagger:
    """Builds the debagger, with the site's limits on zips."""
    from ao_workflows.bags.debagger import Debagger

    batches = [name for name, intake in site.intake.items() if intake.batches]
    return Debagger(**site.debag.model_dump(), batches=batches)


def drs(site: Site, *, patience: float | None = None) -> Drs:
    """Builds the client of the archive's database.

    :param patience: for how many seconds a database that does not answer is tried again; None for as long as in a
        run.
    """
    from ao_workflows.drs.client import Drs

    if patience is None:
        return Drs(url=site.drs.url, config=site.drs.config)
    return Drs(url=site.drs.url, config=site.drs.config, patience=patience)


def sync_script(site: Site) -> SyncScript:
    """Builds the client of the archive's sync script, with the site's settings for it."""
    from ao_workflows.archive.sync_script import SyncScript

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
        works_may=site.sync.works_may,
        keep_replaced_days=site.sync.keep_replaced_days,
    )


def archive_shares(site: Site) -> ArchiveShares:
    """Builds the client of the archive's mounted shares."""
    from ao_workflows.archive.mounted_shares import ArchiveShares
    from ao_workflows.staging.layout import StagingLayout

    return ArchiveShares(site.archive.parent, StagingLayout(site.staging.root).archive_shares())


def deep_copies(site: Site) -> DeepCopies:
    """Builds the client of the bucket that synced works are copied to, for a site that has one.

    :raises WrongEnvironment: if of the bucket and the site only one belongs to production.
    """
    from ao_workflows.aws.connections import AwsConnection
    from ao_workflows.aws.uploads import Uploads
    from ao_workflows.deep_copy.copying import DeepCopies
    from ao_workflows.site.environments import refuse_other_environment

    section = site.deep_copy
    belongs_to = site.queues[section.intake].environment if section.intake else section.environment
    refuse_other_environment("deep_copy", belongs_to, site.environment)
    if section.intake:
        uploads = Uploads(connections(site)[section.intake], site.queues[section.intake].bucket)
    else:
        connection = AwsConnection(
            region=str(section.region),
            profile=section.aws_profile,
            endpoint_url=section.endpoint_url,
            credentials_file=str(site.aws_credentials) if site.aws_credentials else None,
        )
        uploads = Uploads(connection, str(section.bucket))
    return DeepCopies(uploads, section.storage_class)


def restores(site: Site, intake: str | None) -> RestoreRequests:
    """Builds the client that asks Glacier to restore works, and notes the requests in DRS.

    :param intake: the intake whose bucket alone is searched; None for the buckets of all intakes.
    :raises SiteError: if the site has no intake with a queue.
    :raises WrongEnvironment: if none of them may be used, since only the site or only the intake is production's.
    """
    from ao_workflows.glacier.client import Glacier
    from ao_workflows.glacier.requests import RestoreRequests

    return RestoreRequests(site, intake, Glacier(connections(site)), drs(site), sqs(site))


def backup_place(site: Site, to: str | None = None) -> BackupStore:
    """Returns the place where backups are kept.

    :param to: a folder or an S3 prefix to use instead of the site's own.
    :raises BackupError: if neither ``to`` nor the site names a place.
    """
    from ao_workflows.upkeep.backup import store_of

    return store_of(to or site.backup.to, site.aws_credentials)
