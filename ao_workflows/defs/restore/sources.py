"""Sources: where a work's zip comes from, an S3 object or a file that was put into a folder.

What belongs here: the two, with one interface for ``downloaded_bag``. What does not: how either is read
(``ao_workflows.aws.s3``, ``ao_workflows.intake.folders``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from ao_workflows.aws.objects import S3Object
from ao_workflows.aws.s3 import S3
from ao_workflows.bags.zip_sizes import UnpackedSize
from ao_workflows.download.download import DownloadPaths
from ao_workflows.errors import FileGone, FolderError, ObjectError
from ao_workflows.events.dropped_files import DroppedFile
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.intake.file_ranges import ClaimedFile
from ao_workflows.intake.folders import Folders
from ao_workflows.machine.times import in_order
from ao_workflows.staging.receipts import Downloaded, DownloadedZip, Restored, SourceFile, SourceObject
from ao_workflows.staging.staging import Staging
from ao_workflows.works.parts import Part, part_staged_as


class ZipSource(Protocol):
    """A zip that can be brought into staging."""

    @property
    def size(self) -> int:
        """The zip's size in bytes."""

    @property
    def where(self) -> str:
        """The zip's place, for people to read."""

    @property
    def modified(self) -> str:
        """When the S3 object was written, as S3 says; empty for a file from a folder."""

    def is_in(self, downloaded: Downloaded) -> bool:
        """Whether this very zip was downloaded before, perhaps for another event, according to that receipt."""

    def unpacked_size(self) -> UnpackedSize | None:
        """Returns how large the files in the zip are; None if its directory cannot be read."""

    def bring(self, places: DownloadPaths, tell: Callable[[int], None]) -> DownloadedZip:
        """Copies the zip to ``places.final``, proves it, and returns what a receipt keeps about it.

        :param tell: is called with the number of bytes that have arrived.
        """


def source_of(stored: Restored, part: Part, s3: S3, folders: Folders, say: Callable[[str], None]) -> ZipSource:
    """Returns the zip that a stored event names, as it is now.

    :param say: is called with a message if Glacier must be waited for.
    :raises ObjectError: if S3 does not give the object.
    :raises FolderError: if the file cannot be used; ``FileGone`` if it is not there any more.
    """
    event, intake = stored.event, _intake_for(stored, s3, folders)
    if isinstance(event, DroppedFile):
        return _FromFolder(folders, intake, folders.claimed(intake, event.file, part.name), event.folder)
    return _FromS3(s3, intake, event, say)


def intake_of(stored: Restored, s3: S3, folders: Folders) -> str | None:
    """Returns the present name of the intake that a stored event came by; None if the site has no such intake now."""
    try:
        return _intake_for(stored, s3, folders)
    except (ObjectError, FolderError):
        return None


def _intake_for(stored: Restored, s3: S3, folders: Folders) -> str:
    event = stored.event
    if isinstance(event, DroppedFile):
        return folders.intake_for(stored.intake, event.folder)
    return s3.intake_for(stored.intake, event.bucket, event.region)


class _FromS3:
    def __init__(self, s3: S3, intake: str, event: ObjectEvent, say: Callable[[str], None]) -> None:
        self._s3 = s3
        self._intake = intake
        self._object = s3.look_when_restored(intake, event.bucket, event.key, event.version_id, say)

    @property
    def size(self) -> int:
        return self._object.size

    @property
    def where(self) -> str:
        return self._object.where

    @property
    def modified(self) -> str:
        return self._object.modified

    def is_in(self, downloaded: Downloaded) -> bool:
        now, then = _described(self._object), downloaded.zip.object
        if then is None:
            return False
        if now.version_id is not None:
            return replace(then, modified=now.modified) == now
        # Without a version, the object may have been written again with the same ETag; then its time differs.
        return bool(now.modified) and then == now

    def unpacked_size(self) -> UnpackedSize | None:
        return self._s3.unpacked_size(self._intake, self._object)

    def bring(self, places: DownloadPaths, tell: Callable[[int], None]) -> DownloadedZip:
        done = self._s3.download(self._intake, self._object, places, tell)
        return DownloadedZip(
            size=done.object.size,
            proven_by=done.proof,
            seconds=done.seconds,
            **asdict(done.brought),
            object=_described(done.object),
        )


def _described(found: S3Object) -> SourceObject:
    return SourceObject(found.bucket, found.key, found.version_id, found.stated.etag, found.size, found.modified)


@dataclass(frozen=True)
class _FromFolder:
    folders: Folders
    intake: str
    file: ClaimedFile
    folder: str

    @property
    def size(self) -> int:
        return self.file.size

    @property
    def where(self) -> str:
        return self.file.where

    @property
    def modified(self) -> str:
        return ""

    def is_in(self, downloaded: Downloaded) -> bool:
        # Each claim is another file, even if name, size and time are the same.
        return False

    def unpacked_size(self) -> UnpackedSize | None:
        return self.folders.unpacked_size(self.file)

    def bring(self, places: DownloadPaths, tell: Callable[[int], None]) -> DownloadedZip:
        original = SourceFile(self.intake, self.folder, self.file.path.name, self.file.modified_ns)
        return replace(self.folders.bring(self.file, places, tell), original=original)


def unchanged_since(downloaded: Downloaded, folders: Folders) -> bool:
    """Whether the dropped file, if it is still there, is unchanged since it was copied.

    A file that was claimed too early, and completed in ``save/`` afterwards, must be copied again.
    """
    original = downloaded.zip.original
    if not original:
        return True
    try:
        intake = folders.intake_for(original.intake, original.folder)
        file = folders.claimed(intake, original.file, part_staged_as(downloaded.rid).name)
    except FileGone:
        return True
    return (file.size, file.modified_ns) == (downloaded.zip.size, original.modified_ns)


def remove_original(folders: Folders, downloaded: Downloaded) -> bool:
    """Removes the dropped file that the synced work came in, unless it has changed since it was copied.

    Returns whether it was removed.

    :param downloaded: the receipt of the zip.
    :raises FolderError: if it cannot be removed.
    """
    original = downloaded.zip.original
    # What was written to the file after it was copied exists nowhere else.
    if not original or not unchanged_since(downloaded, folders):
        return False
    intake = folders.intake_for(original.intake, original.folder)
    return folders.remove(intake, original.file, part_staged_as(downloaded.rid).name)


def newer_in_save(folders: Folders, staging: Staging, part: Part, instance: str) -> tuple[str, DroppedFile] | None:
    """Returns the intake and the event of the file that was claimed last for the part, if it was never stored.

    It was not if the stored event, if any, is older. That happens if the file's run failed before it could store the
    event.

    :param instance: the id of the Dagster instance whose claims count.
    """
    found = folders.newest_claim(part.name, instance)
    if found is None:
        return None
    intake, claim = found
    stored = staging.receipts(part.staged).restored
    if stored is not None and in_order(stored.event.time) >= claim.at:
        return None
    return intake, folders.event(intake, claim)
