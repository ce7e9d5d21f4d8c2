"""Receipts: what each stage writes when it is done, so that a later run need not do its work again.

What belongs here: the receipts as typed values. What does not: which of a work's receipts are those of the restore at
hand (``receipt_chain``), how one is written as JSON (``receipt_format``), reading a work's receipts from the disk
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
    """What all receipts have in common.

    ``rid`` is the partition's RID, ``run_id`` the run that wrote the receipt, ``boot`` the machine's boot at that time,
    and ``at`` the time itself. A new receipt has the present boot and time, to the second, by default.
    """

    stage: ClassVar[str]

    rid: str
    run_id: str
    boot: str = field(default_factory=boot_id)
    at: datetime = field(default_factory=_now)

    @property
    def name(self) -> str:
        """The name of the receipt's file, without ``.json``."""
        return self.stage


@dataclass(frozen=True)
class Origin:
    """What unpacked works come from.

    ``event`` is the restore event's identity; it is empty in a receipt of a version of this program that did not name
    it. The zip is named by its ``crc64nvme`` and its ``size`` in bytes.
    """

    event: str
    crc64nvme: str
    size: int


@dataclass(frozen=True)
class SourceObject:
    """The S3 object that a zip was downloaded from, as S3 described it.

    ``size`` is in bytes. ``modified`` is the time at which the object was written, in RFC 3339; empty if not known.
    """

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    modified: str


@dataclass(frozen=True)
class SourceFile:
    """The claimed file, in the folder of an intake, that a zip was copied from.

    ``modified_ns`` is the time at which the file was last written, in nanoseconds since 1970 began.
    """

    intake: str
    folder: str
    file: str
    modified_ns: int


@dataclass(frozen=True)
class DownloadedZip:
    """A zip on the scratch disk, and how it was brought there.

    ``size`` is in bytes; ``proven_by`` says by what the zip was proven. Of the transfer, ``fetched`` and ``resumed``
    are bytes, ``parts`` and ``retries`` numbers. The source is either ``object`` or ``original``; the other one is
    None.
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

    ``proven`` is false, and ``tags`` empty, if no manifest came with the work. Otherwise ``tags`` is the folder in the
    work that has the bag's own files.
    """

    rid: str
    files: int
    bytes: int
    algorithms: tuple[str, ...]
    proven: bool
    tags: str


@dataclass(frozen=True, kw_only=True)
class Restored(Receipt):
    """The receipt of ``restored_message``: the stored restore event, and the intake through which it came.

    ``over`` is None unless a person decided to have this delivery done whatever the archive has. Then it has the
    identities of the deliveries that DRS had as synced at that time.
    """

    stage: ClassVar[str] = Stage.RESTORED_MESSAGE

    intake: str
    event: WorkEvent
    over: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Held(Receipt):
    """The note that a delivery waits for a person's decision.

    ``event`` and ``intake`` are those of the delivery. ``error`` is the name of the error's class, and ``why`` the
    reason as a text.
    """

    stage: ClassVar[str] = "held"

    intake: str
    event: WorkEvent
    error: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Downloaded(Receipt):
    """The receipt of ``downloaded_bag``.

    ``event`` is the identity of the restore event. ``room`` is how many bytes the work needs on the disk in all.
    """

    stage: ClassVar[str] = Stage.DOWNLOADED_BAG

    event: str
    zip: DownloadedZip
    room: int

    @property
    def origin(self) -> Origin:
        """The origin that the receipts of the later stages must name to be in force."""
        return Origin(self.event, self.zip.crc64nvme, self.zip.size)


@dataclass(frozen=True, kw_only=True)
class Debagged(Receipt):
    """The receipt of ``debagged_work``: the works that were in the zip.

    ``files_listed`` is how many files the list of fixity has; None in a receipt of a version of this program that did
    not count them.
    """

    stage: ClassVar[str] = Stage.DEBAGGED_WORK

    origin: Origin
    works: tuple[UnpackedWork, ...]
    seconds: float
    files_listed: int | None
    warnings: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """The bytes of payload in all works."""
        return sum(work.bytes for work in self.works)

    @property
    def files(self) -> int:
        """The number of payload files in all works."""
        return sum(work.files for work in self.works)

    @property
    def rids(self) -> list[str]:
        """The RIDs of the works."""
        return [work.rid for work in self.works]

    @property
    def unproven(self) -> list[str]:
        """The RIDs of the works that came without a manifest."""
        return [work.rid for work in self.works if not work.proven]


@dataclass(frozen=True, kw_only=True)
class Placed(Receipt):
    """The receipt of one work of the zip: it is in its place in the archive, and its files there are proven.

    ``work`` is the work's own RID. ``options`` and ``environment`` are what the sync script was called with. ``log`` is
    the script's log, empty if it did not run. ``web`` is the prefix of the work's copy on the web, None if it has none.
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
        """The name of the receipt's file, without ``.json``: each work of the zip has a file of its own."""
        return placed_name(self.work)


def placed_name(work: str) -> str:
    """Returns the name, without ``.json``, of the file with a work's ``Placed`` receipt."""
    return f"{Stage.SYNCED_ARCHIVE}.{work}"


@dataclass(frozen=True, kw_only=True)
class Synced(Receipt):
    """The receipt of ``synced_archive``.

    ``places`` says where in the archive each work of the zip is, by its RID, and ``logs`` where the sync script's log
    of it is. ``left_alone`` has the works that a person decided to leave in the archive as they were. ``kept`` says
    that the site keeps synced works on the scratch disk for some days.
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
