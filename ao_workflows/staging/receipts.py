"""Receipts: what each stage writes when it is done, so that a later run need not do its work again.

What belongs here: the receipts as typed values. What does not: which of a work's speak of the restore at hand
(``receipt_chain``), how one is written as JSON (``receipt_format``), reading a work's from the disk
(``receipt_files``), and whether the zip or the folder that one names is still there (``validity``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar

from ao_workflows.events.dropped_files import WorkEvent
from ao_workflows.machine.boot import boot_id
from ao_workflows.works.stages import Stage


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What all receipts have: the partition's RID, the run that wrote it, the machine's boot at the time, and when.

    One that is made now is of this boot and this second.
    """

    stage: ClassVar[str]

    rid: str
    run_id: str
    boot: str = field(default_factory=boot_id)
    at: datetime = field(default_factory=_now)

    @property
    def name(self) -> str:
        """The name of its file, without ``.json``."""
        return self.stage


@dataclass(frozen=True)
class Origin:
    """What unpacked works come from: the restore event, by its identity, and the zip, by its checksum and bytes.

    ``event`` is empty in a receipt of a version that did not name it.
    """

    event: str
    crc64nvme: str
    size: int


@dataclass(frozen=True)
class SourceObject:
    """The object of S3 that a zip was downloaded from, as S3 described it. ``modified`` is RFC 3339, or empty."""

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    modified: str


@dataclass(frozen=True)
class SourceFile:
    """The claimed file, in an intake's folder, that a zip was copied from; ``modified_ns`` is its time of writing."""

    intake: str
    folder: str
    file: str
    modified_ns: int


@dataclass(frozen=True)
class DownloadedZip:
    """A zip on the scratch disk: its bytes, checksum, what proved it, what its transfer took, and its source.

    ``fetched`` and ``resumed`` count bytes. One of ``object`` and ``original`` is there.
    """

    size: int
    crc64nvme: str
    proven_by: str
    seconds: float
    fetched: int
    resumed: int
    parts: int
    retries: int
    object: SourceObject | None = None
    original: SourceFile | None = None


@dataclass(frozen=True)
class UnpackedWork:
    """One work of a zip: the files and bytes of payload that its manifests name, and the algorithms of their digests.

    ``tags`` is the folder in the work that has the bag's own files; empty, with ``proven`` false, where no manifest
    came with it.
    """

    rid: str
    files: int
    bytes: int
    algorithms: tuple[str, ...]
    proven: bool
    tags: str


@dataclass(frozen=True, kw_only=True)
class Restored(Receipt):
    """``restored_message`` is done: the stored event, and the intake that it came by.

    ``over`` has the deliveries that DRS had as synced when a person decided that this one is to be done all the same,
    by their identities; None where nobody decided so.
    """

    stage: ClassVar[str] = Stage.RESTORED_MESSAGE

    intake: str
    event: WorkEvent
    over: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Held(Receipt):
    """A delivery waits for a person's decision: its event and intake, the class of its error, and why it waits."""

    stage: ClassVar[str] = "held"

    intake: str
    event: WorkEvent
    error: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Downloaded(Receipt):
    """``downloaded_bag`` is done for the event of that identity. ``room`` is what the work needs on the disk."""

    stage: ClassVar[str] = Stage.DOWNLOADED_BAG

    event: str
    zip: DownloadedZip
    room: int

    @property
    def origin(self) -> Origin:
        """What the receipts of the stages after it must name."""
        return Origin(self.event, self.zip.crc64nvme, self.zip.size)


@dataclass(frozen=True, kw_only=True)
class Debagged(Receipt):
    """``debagged_work`` is done: the zip's works, and how many files its list of fixity has.

    ``files_listed`` is None in a receipt of a version that did not count them.
    """

    stage: ClassVar[str] = Stage.DEBAGGED_WORK

    origin: Origin
    works: tuple[UnpackedWork, ...]
    seconds: float
    files_listed: int | None
    warnings: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """The bytes of payload."""
        return sum(work.bytes for work in self.works)

    @property
    def files(self) -> int:
        """The files of payload."""
        return sum(work.files for work in self.works)

    @property
    def rids(self) -> list[str]:
        """The works, by their RIDs."""
        return [work.rid for work in self.works]

    @property
    def unproven(self) -> list[str]:
        """Those of them that no manifest came with."""
        return [work.rid for work in self.works if not work.proven]


@dataclass(frozen=True, kw_only=True)
class Placed(Receipt):
    """One ``work`` of the zip is in its place in the archive, and proven.

    ``options`` and ``environment`` are what the script was called with, ``log`` is its log, empty where it did not run,
    and ``web`` the work's prefix on the web, if it went there.
    """

    stage: ClassVar[str] = Stage.SYNCED_ARCHIVE

    work: str
    origin: Origin
    options: tuple[str, ...]
    environment: Mapping[str, str]
    place: str
    log: str
    web: str | None

    @property
    def name(self) -> str:
        """The name of its file, without ``.json``: each work of the zip has one."""
        return placed_name(self.work)


def placed_name(work: str) -> str:
    """The name of the file of a work's ``Placed``, without ``.json``."""
    return f"{Stage.SYNCED_ARCHIVE}.{work}"


@dataclass(frozen=True, kw_only=True)
class Synced(Receipt):
    """``synced_archive`` is done: where each work of the zip is in the archive, and which a person left as they were.

    ``logs`` has the script's log by work; ``kept`` says that the site keeps synced works on the disk for some days.
    """

    stage: ClassVar[str] = Stage.SYNCED_ARCHIVE

    origin: Origin
    places: Mapping[str, str]
    left_alone: tuple[str, ...]
    logs: Mapping[str, str]
    seconds: float
    kept: bool


StageReceipt = Restored | Downloaded | Debagged | Synced
"""The receipt of a whole stage."""
