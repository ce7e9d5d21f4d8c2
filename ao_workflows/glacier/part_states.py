"""How far each part of a work is: in the bucket, asked for, restored, in the archive.

What belongs here: that decision about a listing and DRS's rows, as plain values. What does not: which parts are needed
(``ao_workflows.glacier.work_parts``), and how far one restore is (``ao_workflows.glacier.rules``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ao_workflows.aws.objects import ObjectStorage
from ao_workflows.drs.parts import parts_of_rows
from ao_workflows.drs.rows import DrsRow
from ao_workflows.glacier.rules import RestoreState, RestoreStatus, is_to_be_asked, requested_on, restore_state
from ao_workflows.glacier.work_parts import KnownPart, Only, WorkListing, chosen_parts
from ao_workflows.works.parts import Part
from ao_workflows.works.stages import Stage

_LEAST_FIRST = (
    RestoreState.NOT_ASKED,
    RestoreState.EXPIRED,
    RestoreState.ASKED,
    RestoreState.UNDER_WAY,
    RestoreState.RESTORED,
    RestoreState.NOT_IN_GLACIER,
    RestoreState.SYNCED,
)


def part_statuses(
    status: RestoreStatus,
    listing: WorkListing,
    rows: Sequence[DrsRow],
    now: datetime,
    seen: Mapping[str, ObjectStorage] | None = None,
) -> tuple[RestoreStatus, ...]:
    """Returns how far each part of a work is, by name: those in the bucket, and those that only DRS knows.

    :param status: what is known of the work itself, of which the parts' names and RID are taken.
    :param rows: all of the work's rows, those updated last first.
    :param seen: by name, how S3 keeps a part where more is known of that than the listing says.
    """
    noted = parts_of_rows(rows)
    there = {known.part.name: known for known in listing.parts}
    found = []
    for name in sorted(there.keys() | noted.keys()):
        known, row = there.get(name), noted.get(name)
        if known and row and row.times.get(Stage.SYNCED_ARCHIVE, now) < known.listed.modified:
            # What was synced is an older version of the part, or the whole work in one zip of before it was in parts
            row = None
        synced = row.times.get(Stage.SYNCED_ARCHIVE) if row else None
        part = replace(status, part=name, requested=requested_on(row), synced=synced)
        if known:
            storage = (seen or {}).get(name, known.listed.storage)
            state, size = restore_state(storage, row, now), known.listed.size
            part = replace(part, address=known.address, storage=storage, state=state, size=size, needed=known.needed)
        elif name == status.rid:
            # It may be of a restore in one zip, long ago
            continue
        else:
            part = replace(part, state=RestoreState.SYNCED if synced else RestoreState.GONE, needed=False)
        found.append(part)
    return tuple(found)


def is_left_open(known: KnownPart, row: DrsRow | None) -> bool:
    """Whether HeadObject has to be asked how far a part's restore is: if somebody asked for it and the listing shows
    nothing of that, or the listing cannot show whether the object is in an archive.
    """
    return not known.listed.says_all and (
        known.listed.storage.storage_class == "INTELLIGENT_TIERING" or (row is not None and row.stage is not None)
    )


def state_of_all(parts: Iterable[RestoreStatus]) -> RestoreState | None:
    """Returns how far a work is whose parts are these: as far as the needed one that is the least far."""
    states = {part.state_told for part in parts if part.needed}
    return next((state for state in _LEAST_FIRST if state in states), None)


def parts_to_ask(
    status: RestoreStatus, only: Only | None, groups: Sequence[str], *, again: bool
) -> list[RestoreStatus]:
    """Returns which parts of a work are to be asked for: those that are needed, meant, and neither there nor on their
    way. Those among them that lie in no archive need no restore, and only their event.

    :param again: ask for those, too, that came into the archive before, or whose event was sent.
    :raises PartsMissing: if the work has no part such as is meant.
    """
    needed = {part.part: part for part in status.parts if part.needed}
    names = chosen_parts(status.rid, [Part(status.rid, name) for name in needed], only, groups)
    meant = [part for name, part in needed.items() if name in names]
    return [
        part
        for part in meant
        if (part.state and is_to_be_asked(part.state, again=again))
        or (part.state is RestoreState.NOT_IN_GLACIER and (again or not (part.requested or part.synced)))
    ]
