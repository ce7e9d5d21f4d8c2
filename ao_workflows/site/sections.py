"""The settings of site.toml: every section and field, with its type, its rule and its default.

What belongs here: the settings' names, types and rules. What does not: reading the file
(``ao_workflows.site.loading``), what is done with them, and any secret; secrets are files that a setting names.

Every key has an environment override: ``AO_`` and the key's path in capitals, parts joined by two underscores,
such as ``AO_STAGING__ROOT`` or, for an intake, ``AO_INTAKE__FPL__QUEUE``.
"""

from __future__ import annotations

import os
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from ao_workflows.archive.sync_options import KEEP_REPLACED_DAYS, VERIFY, WORKS_MAY, Wish
from ao_workflows.aws.objects import RESTORE_WAIT_HOURS
from ao_workflows.bags import zip_directory
from ao_workflows.bags.admission import Terms, Unproven
from ao_workflows.download.pace import LEAST_KILOBYTES_PER_SECOND, STALL_SECONDS
from ao_workflows.events.intake_names import clash
from ao_workflows.events.s3_events import EVENT_NAMES
from ao_workflows.fixity.trees import Depth
from ao_workflows.site.deep_copy import DeepCopySection
from ao_workflows.site.field_rules import EndpointUrl, Environment, IntakeName, Section
from ao_workflows.site.restore_prices import RestoreSection
from ao_workflows.staging.room import RESERVE_GIB, ROOM_WAIT_HOURS
from ao_workflows.status.standing import StuckLimits
from ao_workflows.works.object_keys import PLACES, check_layout
from ao_workflows.works.parts import Layout

CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder that contains the package: in a checkout, the one with ``docker/`` and ``.demo/``."""


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


def _takes_a_digit(path: Path) -> Path:
    if path.name in {"", ".."}:
        raise ValueError("must end with a name that takes a digit: '/mnt/Archive' for '/mnt/Archive0'")
    return path


def _matches_an_event(pattern: str) -> str:
    if not any(fnmatchcase(name, pattern) for name in EVENT_NAMES):
        raise ValueError(f"must match an event: {', '.join(EVENT_NAMES)}; without 's3:'")
    return pattern


# A message that no pattern matches is deleted from the queue: these rules catch mistakes that would empty it.
EventPattern = Annotated[str, AfterValidator(_matches_an_event)]
KeyPattern = Annotated[str, Field(pattern=r"(\.zip|\*)$")]


_TEN_YEARS = 3650
"""In days. Longer limits serve nobody, and lead beyond the times that Python has."""


class StagingSection(Section):
    """The scratch disk.

    ``keep`` is how long works stay on it, ``reserve_gib`` how much of it stays free, and ``room_wait_hours`` how long a
    run waits for room.
    """

    root: AbsolutePath
    keep: Annotated[str, Field(pattern=r"^(until-synced|[0-9]{1,4} days)$")] = "until-synced"
    reserve_gib: Annotated[float, Field(ge=0)] = RESERVE_GIB
    room_wait_hours: Annotated[float, Field(ge=0)] = ROOM_WAIT_HOURS

    @property
    def keep_for(self) -> timedelta:
        """How long a work stays on the scratch disk after it was synced."""
        return timedelta() if self.keep == "until-synced" else timedelta(days=int(self.keep.split()[0]))


class IntakeSection(Section):
    """One SQS queue, with the bucket, region and credentials that belong to it."""

    kind: Literal["queue"] = "queue"
    queue: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}(\.fifo)?$")]
    bucket: Annotated[str, Field(min_length=3)]
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    environment: Environment
    aws_profile: str | None = None
    endpoint_url: EndpointUrl | None = None
    events: Annotated[tuple[EventPattern, ...], Field(min_length=1)] = ("ObjectRestore:Completed",)
    keys: Annotated[tuple[KeyPattern, ...], Field(min_length=1)] = ("*.bag.zip",)
    layout: Layout = "either"
    places: Annotated[tuple[Annotated[str, AfterValidator(check_layout)], ...], Field(min_length=1)] = PLACES
    batches: bool = False
    formerly: tuple[IntakeName, ...] = ()


class FolderIntakeSection(Section):
    """One folder that people put zips into."""

    kind: Literal["folder"]
    folder: AbsolutePath
    environment: Environment
    layout: Literal["whole", "either"] = "either"
    batches: bool = False
    formerly: tuple[IntakeName, ...] = ()


def _kind(intake: Any) -> Any:
    return intake.get("kind", "queue") if isinstance(intake, dict) else getattr(intake, "kind", "queue")


Intake = Annotated[
    Annotated[IntakeSection, Tag("queue")] | Annotated[FolderIntakeSection, Tag("folder")], Discriminator(_kind)
]


class DownloadSection(Section):
    """How objects are downloaded from S3. A setting that is None follows from the object's size.

    ``part_mib`` is what one connection fetches at a time, ``parallel`` the number of connections; a crash loses at most
    the product of both. ``megabytes_per_second`` limits one download. What brings nothing for ``stall_seconds``, or
    less than ``least_kilobytes_per_second`` for so long, is given up and tried again. ``restore_wait_hours`` is how
    long a run waits for Glacier.
    """

    part_mib: Annotated[int, Field(ge=1, le=1024)] | None = None
    parallel: Annotated[int, Field(ge=1, le=64)] | None = None
    megabytes_per_second: Annotated[float, Field(gt=0)] | None = None
    stall_seconds: Annotated[float, Field(gt=0)] = STALL_SECONDS
    least_kilobytes_per_second: Annotated[float, Field(ge=0, le=1000)] = LEAST_KILOBYTES_PER_SECOND
    restore_wait_hours: Annotated[float, Field(ge=0)] = RESTORE_WAIT_HOURS


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("must be a time zone, such as 'Asia/Seoul'") from None
    return name


class DebagSection(Section):
    """What a zip may contain, and how it is read.

    ``max_members``, ``max_bytes`` and ``max_ratio`` limit its size, and ``control_characters`` allows these in names.
    ``memory_mib`` is the memory that a run may need to read it.
    ``time_zone`` is that of the local times in zips. ``unproven`` is what is done with works without a manifest.
    """

    max_members: Annotated[int, Field(gt=0)] = zip_directory.ZipLimits.members
    max_bytes: Annotated[int, Field(gt=0)] = zip_directory.ZipLimits.bytes
    max_ratio: Annotated[int, Field(gt=0)] = zip_directory.ZipLimits.ratio
    control_characters: bool = zip_directory.ZipLimits.control_characters
    memory_mib: Annotated[int, Field(ge=64)] = zip_directory.ZipLimits.memory_mib
    time_zone: Annotated[str, AfterValidator(_time_zone)] | None = None
    unproven: Unproven = Terms.unproven


class ArchiveSection(Section):
    """Where the archive is mounted, and the prefix that the image server reads."""

    parent: Annotated[AbsolutePath, AfterValidator(_takes_a_digit)]
    web: Annotated[str, Field(pattern=r"^s3://[^/]+")] | None = None


class SyncSection(Section):
    """The archive's own sync script, what a work's sync.yml may ask of it, and how long replaced files are kept."""

    script: str
    timeout_minutes: Annotated[int, Field(gt=0)] = 720
    verify: Depth = VERIFY
    env: Annotated[dict[str, str], Field(repr=False)] = Field(default={})
    options: AbsolutePath | None = None
    works_may: tuple[Wish, ...] = WORKS_MAY
    keep_replaced_days: Annotated[int, Field(ge=0)] = KEEP_REPLACED_DAYS


class DrsSection(Section):
    """The archive's database, named either by ``url`` or by ``config``."""

    url: Annotated[Annotated[str, Field(pattern=r"^(mysql\+pymysql|sqlite)://")] | None, Field(repr=False)] = None
    config: Annotated[str, Field(pattern=r"^[^:]+:/[^/].*")] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> DrsSection:
        if (self.url is None) == (self.config is None):
            raise ValueError("needs either url or config")
        return self


class WatchSection(Section):
    """When a work is called stuck, and whether all works are checked each night.

    ``nightly`` is the time of that check, in UTC; None means never. A restored copy that has not been downloaded is
    reported ``expiring_days`` before it ends.
    """

    nightly: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = None
    stuck_hours: Annotated[float, Field(gt=0, le=_TEN_YEARS * 24)] = 24
    restore_hours: Annotated[float, Field(gt=0, le=_TEN_YEARS * 24)] = 72
    expiring_days: Annotated[float, Field(ge=0, le=_TEN_YEARS)] = 2

    @property
    def limits(self) -> StuckLimits:
        """``stuck_hours`` and ``restore_hours``, as ``ao_workflows.status.standing`` takes them."""
        return StuckLimits(timedelta(hours=self.stuck_hours), timedelta(hours=self.restore_hours))


class BackupSection(Section):
    """Where the nightly backups of Dagster's storage go, and how long each is kept."""

    to: Annotated[str, Field(pattern=r"^(/|s3://[^/]+).*")] | None = None
    keep_days: Annotated[int, Field(ge=1)] = 30


class HousekeepingSection(Section):
    """How long logs, debug rows and ticks are kept."""

    keep_days: Annotated[int, Field(ge=1)] = 30


class Site(BaseSettings):
    """One deployment. The names of the fields are the keys of site.toml."""

    model_config = SettingsConfigDict(
        env_prefix="AO_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    environment: Environment
    aws_credentials: AbsolutePath | None = None
    max_queued_runs: Annotated[int, Field(gt=0)] = 100
    staging: StagingSection
    download: DownloadSection = DownloadSection()
    intake: dict[IntakeName, Intake] = {}
    debag: DebagSection = DebagSection()
    archive: ArchiveSection
    sync: SyncSection
    drs: DrsSection
    restore: RestoreSection = RestoreSection()
    deep_copy: DeepCopySection = DeepCopySection()
    watch: WatchSection = WatchSection()
    backup: BackupSection = BackupSection()
    housekeeping: HousekeepingSection = HousekeepingSection()

    @property
    def queues(self) -> dict[str, IntakeSection]:
        """The intakes that are queues, by name."""
        return {name: intake for name, intake in self.intake.items() if isinstance(intake, IntakeSection)}

    @property
    def folders(self) -> dict[str, FolderIntakeSection]:
        """The intakes that are folders, by name."""
        return {name: intake for name, intake in self.intake.items() if isinstance(intake, FolderIntakeSection)}

    @property
    def formerly(self) -> dict[str, str]:
        """The present names of the intakes, by their former names."""
        return {former: name for name, intake in self.intake.items() for former in intake.formerly}

    def intake_called(self, name: str) -> str:
        """Returns the present name of the intake that is or was called ``name``; ``name`` itself if there is none."""
        return name if name in self.intake else self.formerly.get(name, name)

    @model_validator(mode="after")
    def _a_former_name_means_one_intake(self) -> Site:
        if found := clash({name: intake.formerly for name, intake in self.intake.items()}):
            raise ValueError(str(found))
        return self

    @model_validator(mode="after")
    def _deep_copies_go_to_an_intake_with_a_bucket(self) -> Site:
        if self.deep_copy.intake and self.deep_copy.intake not in self.queues:
            raise ValueError(f"deep_copy.intake: {self.deep_copy.intake!r} is no intake with a queue and a bucket")
        return self

    @model_validator(mode="after")
    def _one_intake_a_folder(self) -> Site:
        places: dict[Path, str] = {}
        for name, intake in self.folders.items():
            if (other := places.setdefault(intake.folder, name)) != name:
                raise ValueError(f"the intakes {other} and {name} have one folder, {intake.folder}")
            if self.staging.root.is_relative_to(intake.folder) or intake.folder.is_relative_to(self.staging.root):
                raise ValueError(f"the folder of the intake {name}, {intake.folder}, and staging.root must be apart")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Returns the sources of the settings: the environment overrides the file, whose values are pydantic's initial
        values.
        """
        return _Variables(settings_cls), init_settings


class _Variables(EnvSettingsSource):
    """The overrides. Their names are in any case, except for what ``[sync.env]`` gives the script: there case
    matters.
    """

    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        prefix = "AO_SYNC__ENV__"
        given = {name[len(prefix) :]: value for name, value in os.environ.items() if name.upper().startswith(prefix)}
        if given:
            lowered = {name.lower().partition("__")[0] for name in given}
            env = values["sync"]["env"]
            values["sync"]["env"] = {name: value for name, value in env.items() if name not in lowered} | given
        return values
