"""The sync of a part of a work: what a newer part has written stays, and in which structure the archive has the work.

What belongs here: what the sync of a part asks before the script runs, and what it notes. What does not: the sync
(``ao_workflows.defs.restore.syncing``), and which part goes over which (``ao_workflows.archive.part_order``).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from ao_workflows.archive.part_order import PartWrites, superseded, writes_of
from ao_workflows.archive.part_writes import forget_writes, linked_without, note_writes, read_writes
from ao_workflows.archive.places import archive_place
from ao_workflows.archive.structure import stores_inverted
from ao_workflows.bags.inverted import placed
from ao_workflows.errors import OtherStructure
from ao_workflows.fixity.trees import files_beside, read_fixity
from ao_workflows.machine.disk import remove_tree
from ao_workflows.machine.times import in_order
from ao_workflows.status.deliveries import SyncedDelivery
from ao_workflows.works.parts import Part
from ao_workflows.works.stages import Stage


@dataclass(frozen=True)
class OwnPart:
    """The part that a run is for, beside the work's other parts. Call it under the lock of the work's place.

    ``written`` is when its object was written, in RFC 3339, and ``event`` its event's identity. ``parent`` is the path
    of the archive's shares without their digit, and ``fixity`` that of the list of what was unpacked. ``is_object``
    says that it came as an S3 object, and not as a file that a person chose. ``whole_before`` returns when the zip of a
    whole work was written that DRS has as synced, empty if it has none: a site's first works left no note.
    """

    part: Part
    written: str
    event: str
    parent: Path
    fixity: Path
    is_object: bool = True
    whole_before: Callable[[], str] = str

    @cached_property
    def is_only_a_part(self) -> bool:
        """Whether there is more of the work than this zip brought.

        The zip that is named as the work may be all of it. It is not if other parts came too, nor if it has no images
        and the archive has the work's.
        """
        if not self.part.is_named_as_work or any(not each.beside for each in self._others()):
            return True
        return not self._has_images() and stores_inverted(self._place, self.part.rid) is not None

    def left_to_newer(self, say: Callable[[str], None]) -> dict[str, str]:
        """Returns those of the part's files that the archive has as a newer part has written them, each with that
        part's name. A file that the archive lacks is brought: the newer part, if it is still to come, goes over it.

        :raises StagingError: if what the other parts wrote cannot be read.
        """
        others = self._others()
        found = superseded(self._writes(), others, self._paths(), cache(self._is_there)) if others else {}
        found |= self._left_to_whole(others)
        for name, count in sorted(Counter(found.values()).items()):
            say(f"{self.part}: {count:,} of its files stay as {name} has them, which was written later")
        return found

    def check_structure(self) -> None:
        """Checks that the part is unpacked in the structure in which the archive has the work.

        :raises OtherStructure: if it is not. :raises MixedStructure: if the archive has both.
        """
        inverted = stores_inverted(self._place, self.part.rid)
        if inverted is None:
            return
        for path in self._paths():
            if placed(path, self.part.rid, inverted=inverted) != path:
                redo = self.part.redo
                raise OtherStructure(str(self.part), self._place, path, redo=redo, start_from=Stage.DEBAGGED_WORK)

    def note(self) -> None:
        """Notes what the part, or the whole work, is about to write, so that no older part goes over it.

        A whole work that a person put into a folder is not noted: no time says how old what it has is.

        :raises StagingError: if it cannot be written.
        """
        if not self._place.exists():
            # What the notes tell of was removed: the older of two parts is to be brought again, too.
            forget_writes(self.parent, self.part.rid)
        if self.is_object or self.is_only_a_part or not self._has_images():
            note_writes(self.parent, self.part.rid, self._writes())

    def note_beside(self, work: str) -> None:
        """Notes what the zip writes of another work, of whose parts an older one may come, too.

        :raises StagingError: if it cannot be written.
        """
        if self.is_object:
            writes = writes_of(Part(work, work), self.written, self.event, self._paths(work), whole=True)
            note_writes(self.parent, work, replace(writes, name=self.part.name, beside=True))

    def extra(self) -> Iterator[str]:
        """Yields what the archive has in folders that the zip has whole, if neither it nor a newer part brought it."""
        this, mine = self._writes(), set(self._paths())
        newer = [each for each in self._others() if each.is_newer(this)]
        for folder in this.folders:
            beside = files_beside(
                self._place / folder, {path[len(folder) :] for path in mine if path.startswith(folder)}
            )
            yield from (f"{folder}{it}" for it in beside if not any(each.has(f"{folder}{it}") for each in newer))

    def _is_there(self, path: str) -> bool:
        return os.path.lexists(self._place / path)

    @property
    def _place(self) -> Path:
        return archive_place(self.parent, self.part.rid)

    def _others(self) -> list[PartWrites]:
        return [each for each in read_writes(self.parent, self.part.rid) if each.name != self.part.name]

    def _left_to_whole(self, others: list[PartWrites]) -> dict[str, str]:
        """What the archive has of a whole work that was synced before such a sync was noted, by DRS."""
        rid = self.part.rid
        if self.part.is_named_as_work or any(each.name == rid for each in others) or not self._place.exists():
            return {}
        whole = PartWrites(rid, self.whole_before(), "")
        if not whole.written or not whole.is_newer(self._writes()):
            return {}
        # The zip may have been but the rest, which came as a work: what the archive lacks is not in it.
        return {path: rid for path in self._paths() if os.path.lexists(self._place / path)}

    def _writes(self) -> PartWrites:
        whole = self.part.is_named_as_work and self._has_images()
        return writes_of(self.part, self.written, self.event, self._paths(), whole=whole)

    def _paths(self, work: str = "") -> Iterator[str]:
        return (file.path for file in read_fixity(self.fixity) if file.work == (work or self.part.rid))

    def _has_images(self) -> bool:
        return any(placed(path, self.part.rid).startswith("images/") for path in self._paths())


def whole_written(synced: Iterable[SyncedDelivery]) -> str:
    """Returns when the object was written that was the newest of a work's zip to be synced; empty if nobody knows."""
    known = [each.delivery.modified for each in synced if each.itself and each.delivery.modified]
    return max(known, key=in_order, default="")


@contextmanager
def tree_without(tree: Path, left_out: dict[str, str], under_way: Path) -> Iterator[Path]:
    """Yields the unpacked work without some of its files: the tree itself if there are none, else one of hard links.

    :param under_way: the hidden folder in which that tree is made; what a killed run leaves of it is swept away.
    :raises StagingError: if the disk refuses.
    """
    if not left_out:
        yield tree
        return
    try:
        yield linked_without(tree, left_out, under_way / tree.name)
    finally:
        remove_tree(under_way)
