"""Copying a work: its parts planned, made, sent and recorded, one after the other.

What belongs here: the order of these, and what was copied in the end. What does not: which works are copied, and how
the outcome is reported (``ao_workflows.defs.restore.deep_copied``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ao_workflows.aws.uploads import Uploads
from ao_workflows.deep_copy.archived_tree import ArchivedTree, list_tree
from ao_workflows.deep_copy.inventory import inventory_name, inventory_text
from ao_workflows.deep_copy.journal import read_journal
from ao_workflows.deep_copy.part_bag import PartBag
from ao_workflows.deep_copy.part_layout import key_of_part, tags_of_work
from ao_workflows.deep_copy.records import CopiedObject, Records
from ao_workflows.deep_copy.sending import PART_SIZE, Sending, give_up
from ao_workflows.deep_copy.what_to_copy import CopiedFile, Digests, PartToCopy, plan_copy
from ao_workflows.errors import DeepCopyError, Problem


@dataclass(frozen=True)
class CopiedWork:
    """What a deep copy did for a work: the objects that are new in the bucket, also those of earlier attempts that were
    never told; and of the others the bytes that earlier attempts had sent.

    ``unproven`` is how many files of these objects nobody had proven before, and ``gone`` the parts that the archive
    has nothing of any more. ``inventory`` is the list of what changed, None if the work was copied whole.
    """

    objects: tuple[CopiedObject, ...]
    resumed: int
    unproven: int
    gone: tuple[str, ...]
    inventory: Path | None


@dataclass(frozen=True)
class DeepCopies:
    """The bucket of deep copies, and the storage class in which objects are written to it."""

    uploads: Uploads
    storage_class: str
    least_part: int = PART_SIZE

    def copy(
        self,
        rid: str,
        place: Path,
        folder: Path,
        proven: Mapping[str, Digests],
        synced: datetime,
        say: Callable[[str], None],
    ) -> CopiedWork:
        """Copies what the bucket does not have of a work yet, and returns what was copied.

        Until ``told`` is called, it is returned each time. The caller holds the lock of the work's place.

        :param place: the work's folder in the archive.
        :param folder: the folder of the work's records.
        :param proven: the digests that the last sync proved, by path.
        :param synced: when that was.
        :raises DeepCopyError: if what the archive has cannot be copied, or is not what was proven.
        :raises PartRefused: if the bucket does not take a part.
        :raises ServiceError: if S3 does not answer.
        """
        records = Records(folder, rid, self.uploads.bucket)
        before, tree = records.before(), list_tree(rid, place)
        name = inventory_name(rid, synced, before.parts)
        plan = plan_copy(rid, tree.files, proven, before, name)
        if plan.missing:
            reason = "was proven by the last sync, and is not there"
            raise DeepCopyError(rid, place, [Problem("missing", path, reason) for path in plan.missing])
        inventory = None
        if before.complete and plan.changed:
            inventory = records.write_inventory(name, inventory_text(rid, plan.changed))
        resumed, unproven = 0, 0
        for part in plan.parts:
            say(f"{rid}: {part.name} goes to {self.uploads.where(key_of_part(rid, part.name))}")
            resumed += self._copy_part(rid, place, records, part, tree)
            unproven += sum(not file.digests for file in part.files)
        self._forget_others(records)
        return CopiedWork(tuple(records.untold()), resumed, unproven, tuple(plan.gone), inventory)

    def told(self, rid: str, folder: Path) -> None:
        """Notes that whoever is to know of them was told of a work's new objects, and that it is copied whole.

        :raises StagingError: if it cannot be noted.
        """
        Records(folder, rid, self.uploads.bucket).write_told()

    def _copy_part(self, rid: str, place: Path, records: Records, part: PartToCopy, tree: ArchivedTree) -> int:
        """Copies a part, and returns the bytes of it that an earlier attempt had sent."""
        bag, key, journal = PartBag(part, tree.times), key_of_part(rid, part.name), records.journal(part.name)
        tags = tags_of_work(rid)
        sent = Sending(self.uploads, key, rid, place, journal, self.storage_class, tags, self.least_part).send(bag)
        copied = CopiedObject(
            part.name, self.uploads.bucket, key, sent.version_id, sent.size, sent.crc64nvme, len(part.files)
        )
        records.write_part(
            copied,
            (
                CopiedFile(file.path, file.size, file.modified_ns, {**file.digests, **found.digests})
                for file, found in zip(part.files, sent.found, strict=True)
            ),
        )
        journal.unlink(missing_ok=True)
        return sent.resumed

    def _forget_others(self, records: Records) -> None:
        """Ends the uploads of parts that were begun and are not wanted any more."""
        for path in records.journals():
            if found := read_journal(path):
                give_up(self.uploads, found)
            path.unlink(missing_ok=True)
