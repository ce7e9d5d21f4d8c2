"""Folders that are intakes: their files, the claiming of a file, and its way into staging.

What belongs here: all access to an intake's folder and its ``save/``. What does not: which file is claimed
(``folder_rules``), and the copying itself (``ao_workflows.download.download``).

``save/`` is inside the folder, so that a claim is one rename within a file system: if two claim a file, one of them
finds it gone. The file stays in ``save/``, as it was dropped, until its work is synced.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from ao_workflows.bags.zip_sizes import UnpackedSize, unpacked_size
from ao_workflows.download.download import DownloadPaths, bring
from ao_workflows.download.pace import Pace
from ao_workflows.download.plan import plan_transfer
from ao_workflows.errors import FolderError
from ao_workflows.events.dropped_files import SAVE, Claim, DroppedFile, event_of, owner_of
from ao_workflows.events.intake_names import meant_by, not_meant
from ao_workflows.fixity.s3_checksums import ObjectProof
from ao_workflows.intake.file_ranges import ClaimedFile, FileRanges, explained
from ao_workflows.intake.file_writers import writers
from ao_workflows.intake.folder_rules import SeenFile, Writers
from ao_workflows.staging.receipts import DownloadedZip

_RENAME_NOREPLACE = 1
_AT_FDCWD = -100

PROOF = "a file comes without a checksum; this one did not change while it was copied"


class Folders(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The folders by the names of their intakes; ``formerly`` has the present names by the former ones."""

    folders: Mapping[str, str]
    formerly: Mapping[str, str] = {}

    def intake_for(self, name: str, folder: str) -> str:
        """Returns the present name of the intake by which a file was claimed, which may be long ago.

        :param name: the name that the intake had then; ``folder`` is the folder that it had.
        :raises FolderError: if no present intake is meant.
        """
        alike = [each for each, its in self.folders.items() if Path(its) == Path(folder)]
        found = meant_by(name, self.folders, self.formerly, alike)
        if found is None:
            raise FolderError(Path(folder), f"the intake {name!r} of this folder {not_meant(self.folders)}")
        return found

    def owners(self, intake: str, instance: str) -> frozenset[str]:
        """Returns the owners by which this Dagster instance has claimed files of the intake: one for the intake's
        present name and for each of its former names. See ``owner_of``.

        :param instance: the Dagster instance's id.
        """
        names = [intake, *(former for former, today in self.formerly.items() if today == intake)]
        return frozenset(owner_of(instance, name) for name in names)

    def look(self, intake: str) -> list[SeenFile]:
        """Returns everything in the folder except ``save/``, in no order. Only a file whose name ends with .zip is
        looked at closely.

        :raises FolderError: if the folder cannot be read.
        """
        folder = self._folder(intake)
        found = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".zip"):
                        # Another sensor has claimed it since the folder was read.
                        with suppress(FileNotFoundError):
                            found.append(_looked_at(entry))
                    elif entry.name != SAVE:
                        found.append(SeenFile(entry.name))
        except OSError as error:
            raise FolderError(
                folder, f"the folder of the intake {intake!r} cannot be read: {error.strerror}. Is it mounted?"
            ) from error
        return found

    def writers(self, intake: str, look: SeenFile) -> Writers:
        """Returns whether anybody has a file of the folder open for writing.

        :raises FileGone: if it is not there.
        :raises FolderError: if this user may not read it.
        :raises ServiceError: if trying again may help, as when a mount does not answer.
        """
        path = self._folder(intake) / look.name
        try:
            return writers(path)
        except OSError as error:
            raise explained(path, error) from error

    def claim(self, intake: str, look: SeenFile, owner: str) -> Claim | None:
        """Claims a file for ``owner`` (see ``owner_of``); returns None if somebody else was faster, or the file is
        another one by now.

        :raises FolderError: if it cannot be moved into ``save/``.
        """
        path, save = self._folder(intake) / look.name, self._made_save(intake)
        claim = Claim.of(look.name, datetime.now(UTC), secrets.token_hex(4), owner)
        target = save / claim.name
        try:
            path.rename(target)
            now = target.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            on_other = f"; {SAVE}/ must be on the folder's own file system" if error.errno == errno.EXDEV else ""
            raise FolderError(path, f"cannot be moved into {SAVE}/: {error.strerror}{on_other}") from error
        # Between the look and the rename, another file, of which nothing is known, may have got this name.
        same = stat.S_ISREG(now.st_mode) and (now.st_size, now.st_mtime_ns) == (look.size, look.modified_ns)
        return claim if same or not _renamed_to_nothing(target, path) else None

    def claims(self, intake: str) -> list[Claim]:
        """Returns every claimed file, in no order; what else a person has put into ``save/`` is ignored.

        :raises FolderError: if ``save/`` cannot be read.
        """
        save = self._save(intake)
        try:
            names = os.listdir(save)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise FolderError(save, f"cannot be read: {error.strerror}") from error
        return [claim for claim in map(Claim.parse, names) if claim]

    def newest_claim(self, rid: str, instance: str) -> tuple[str, Claim] | None:
        """Returns the work's newest claim by this Dagster instance whose file is still there, with its intake; None if
        there is none.

        A folder that cannot be read counts as empty.

        :param instance: the Dagster instance's id.
        """
        found = []
        for intake in self.folders:
            owners = self.owners(intake, instance)
            with suppress(FolderError):
                mine = [claim for claim in self.claims(intake) if claim.owner in owners]
                found += [(intake, claim) for claim in mine if claim.rid == rid]
        return max(found, key=lambda one: one[1].at, default=None)

    def settle(self, intake: str) -> None:
        """Flushes the claims to the disk, so that after a power cut no file whose run exists is back in the folder."""
        for folder in (self._save(intake), self._folder(intake)):
            # Some mounts cannot flush a folder, but write each change to the disk at once.
            with suppress(OSError):
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    def event(self, intake: str, claim: Claim) -> DroppedFile:
        """Returns the event of a claim.

        :raises FileGone: if the file is not in ``save/``.
        """
        found = self.claimed(intake, claim.name, claim.rid)
        return event_of(claim, str(self._folder(intake)), found.modified_ns / 1e9, found.size)

    def claimed(self, intake: str, file: str, rid: str) -> ClaimedFile:
        """Returns the claimed file of that name.

        :raises FileGone: if it is not in ``save/``.
        :raises FolderError: if the name is not that of a claimed file of the work ``rid``.
        """
        return ClaimedFile.look(self._claimed_path(intake, file, rid))

    def unpacked_size(self, file: ClaimedFile) -> UnpackedSize | None:
        """Returns how large the zip's files are when unpacked, as its directory says; None if it has no directory."""
        return unpacked_size(FileRanges(file).read, file.size)

    def bring(self, file: ClaimedFile, places: DownloadPaths, tell: Callable[[int], None]) -> DownloadedZip:
        """Copies a claimed file to ``places.final`` while its digest is computed; a copy that was killed is resumed.

        Returns what a receipt keeps of it, without its source.

        :param tell: called with the number of bytes that have been copied.
        :raises FileChanged: if the file is written to meanwhile; nothing of it is under the final name then.
        :raises StagingError: if the disk is full, or cannot be written to.
        """
        started = time.monotonic()
        proof = ObjectProof(None, (file.size,), PROOF)
        # One reader: a disk reads a file fastest from its first byte to its last.
        cut = plan_transfer(file.size, proof.pieces, claimed=False, joinable=False, parallel=1)
        brought = bring(
            FileRanges(file), file.where, file.identity, cut, proof, places, Pace(), tell, lambda _digests: ()
        )
        seconds = time.monotonic() - started
        return DownloadedZip(size=file.size, proven_by=proof.name, seconds=seconds, **asdict(brought))

    def remove(self, intake: str, file: str, rid: str) -> bool:
        """Removes a claimed file whose work is synced, and returns whether it was there.

        :raises FolderError: if it cannot be removed.
        """
        path = self._claimed_path(intake, file, rid)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise FolderError(path, f"cannot be removed: {error.strerror}") from error
        return True

    def _folder(self, intake: str) -> Path:
        try:
            return Path(self.folders[intake])
        except KeyError:
            raise FolderError(Path(SAVE), f"the intake {intake!r} {not_meant(self.folders)}") from None

    def _save(self, intake: str) -> Path:
        return self._folder(intake) / SAVE

    def _made_save(self, intake: str) -> Path:
        save = self._save(intake)
        try:
            save.mkdir(exist_ok=True)
        except OSError as error:
            raise FolderError(save, f"cannot be made: {error.strerror}") from error
        return save

    def _claimed_path(self, intake: str, file: str, rid: str) -> Path:
        """Returns where a claimed file is. The name comes from a run's config, where a person may write any path."""
        claim = Claim.parse(file)
        if claim is None or claim.rid != rid:
            raise FolderError(self._save(intake), f"{file!r} is not the name of a claimed file of {rid}")
        return self._save(intake) / claim.name


def _looked_at(entry: os.DirEntry[str]) -> SeenFile:
    found = entry.stat(follow_symlinks=False)
    trouble = None
    if stat.S_ISLNK(found.st_mode):
        trouble = "is a symbolic link"
    elif stat.S_ISDIR(found.st_mode):
        trouble = "is a folder"
    elif not stat.S_ISREG(found.st_mode):
        trouble = "is no plain file"
    return SeenFile(entry.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, trouble)


def _renamed_to_nothing(source: Path, target: Path) -> bool:
    """Renames a file if nothing has the new name, in one step, and returns whether it did. Not every mount can
    do this.
    """
    import ctypes

    libc = ctypes.CDLL(None)
    if not hasattr(libc, "renameat2"):
        return False
    old, new = os.fsencode(source), os.fsencode(target)
    return bool(libc.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE) == 0)
