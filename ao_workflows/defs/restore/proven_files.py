"""What is proven of a work that the archive has: each file's digests, by whichever of its parts brought it last.

What belongs here: putting together what each part's sync proved. What does not: one list of them
(``ao_workflows.fixity.trees``), and which part goes over which (``ao_workflows.archive.part_order``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ao_workflows.archive.part_order import PartWrites
from ao_workflows.archive.part_writes import read_writes
from ao_workflows.fixity.trees import read_fixity
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.validity import list_is_whole
from ao_workflows.works.parts import Part


def proven_files(staging: Staging, parent: Path, work: str, part: Part) -> dict[str, Mapping[str, str]]:
    """Returns the digests that are proven of the files that the archive has of a work, by path.

    They are those that the last sync of each of its parts proved, by the receipts of this scratch disk. A file that a
    newer part has written is proven by that part, or by none.

    :param parent: the path of the archive's shares without their digit.
    :param part: the part that was synced just now; it may be another work's, if its zip brought this one too.
    :raises StagingError: if receipts, or what the parts wrote, cannot be read.
    """
    notes = {note.name: note for note in read_writes(parent, work)}
    others = sorted(
        (each for each in staging.parts_with_receipts(work) if each != part),
        key=lambda each: (each.name in notes, notes[each.name].order if each.name in notes else ()),
    )
    found: dict[str, Mapping[str, str]] = {}
    for each in [*others, part]:
        newer = _newer(notes, each, is_last=each == part)
        found |= {
            path: digests
            for path, digests in _synced_by(staging, each, work).items()
            if not any(note.has(path) for note in newer)
        }
    return found


def _newer(notes: Mapping[str, PartWrites], part: Part, *, is_last: bool) -> list[PartWrites]:
    """What the parts wrote that go over a part. One without a note is a whole work's zip, or brought another work's: it
    is what the archive has if it was synced just now, and else what all parts with notes came after.
    """
    this = notes.get(part.name)
    if this is None:
        return [] if is_last else [*notes.values()]
    return [note for note in notes.values() if note.name != part.name and note.is_newer(this)]


def _synced_by(staging: Staging, part: Part, work: str) -> dict[str, Mapping[str, str]]:
    """What a part's last sync proved of a work; nothing if it is being done anew, or its list is not whole."""
    receipts = staging.receipts(part.staged)
    if receipts.restored is None:
        return {}
    valid, fixity = receipts.in_force(receipts.restored.event.identity), staging.layout.fixity(part.staged)
    if valid.synced is None or valid.debagged is None or work not in valid.synced.places:
        return {}
    if not list_is_whole(fixity, valid.debagged):
        return {}
    return {file.path: file.digests for file in read_fixity(fixity) if file.work == work}
