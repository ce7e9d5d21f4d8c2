"""Parts in DRS: what a row says of each part of its work, and to which row a part's entry is written.

What belongs here: reading a row part by part, and the two decisions of a write that parts change. What does not: which
parts there are in the bucket (``ao_workflows.glacier``), and rows of works in one zip (``ao_workflows.drs.rows``).

One restore of a work is one row, be it in one zip or in many parts: the archive's other systems read
``sync_complete_on`` as the whole work's. An entry about a part has its name as ``part`` in its data, besides the stage
and the event that every entry has; an entry without ``part`` is about the zip that is named as the work. A request is
an entry of the stage ``restore_requested`` for each part, with the object's key as ``key``:

    {"stage": "restore_requested", "event": "", "part": "W1NLM4700-I1NLM4700_001", "key": "Archive0/00/W1NLM4700/…", …}
    {"stage": "downloaded_bag", "event": "ObjectRestore:Completed|…", "part": "W1NLM4700-I1NLM4700_001", …}

``restore_requested_on`` is the last request's time. Any other column is set when each part that the row knows, asked
for or come by itself, has that stage. A part that is asked for again while its row waits for others counts from there
anew. Which parts the newest state of the work needs, when Glacier was last asked, is an entry without a stage:

    {"stage": "", "event": "", "known": ["W1NLM4700", "W1NLM4700-I1NLM4700_001", …]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ao_workflows.drs.rows import DrsEntry, DrsRow, row_to_write
from ao_workflows.works.stages import Stage

_STAGES = {stage.value: stage for stage in Stage}


def part_of_entry(entry: DrsEntry, rid: str) -> str:
    """Returns the name of the part that an entry is about: the work's RID if it names none."""
    return str(entry.data.get("part") or rid)


def by_parts(row: DrsRow) -> dict[str, DrsRow]:
    """Returns the row as it is for each of its parts, by the part's name: with the part's entries and their times.

    A row that names no part has one, the zip that is named as the work, with the row's columns as they are.
    """
    return _by_entries(row) if _names_parts(row) else {row.rid: row}


def parts_of_rows(rows: Sequence[DrsRow]) -> dict[str, DrsRow]:
    """Returns of each part of a work the last that DRS has of it, by the part's name.

    :param rows: the work's rows, those updated last first.
    """
    found: dict[str, DrsRow] = {}
    for row in rows:
        for part, of_part in by_parts(row).items():
            found.setdefault(part, of_part)
    return found


def known_parts(rows: Sequence[DrsRow]) -> tuple[str, ...]:
    """Returns the names of the parts that the work needed when Glacier was last asked for some; none if it never was.

    :param rows: the work's rows, those updated last first.
    """
    for row in rows:
        for entry in reversed(row.entries):
            if isinstance(known := entry.data.get("known"), list):
                return tuple(map(str, known))
    return ()


def row_for(rid: str, rows: Sequence[DrsRow], stage: Stage | None, entry: DrsEntry) -> DrsRow | None:
    """Returns the row of a work that an entry belongs to; None if it begins a new row.

    Parts of one restore share a row. So an entry of a part whose event is in no row belongs to the row that waits for
    the part; else, if DRS has nothing of the part, to the last row while others are under way in it.
    An entry of a work in one zip goes where ``row_to_write`` has it.

    :param rows: the work's rows, those updated last first.
    """
    part = part_of_entry(entry, rid)
    known = [by_parts(row) for row in rows]
    if not rows or (part == rid and set(known[0]) == {rid}):
        return row_to_write(rows, stage, entry)
    for row in rows:
        if entry in row.entries or (entry.event and any(each.event == entry.event for each in row.entries)):
            return row
    last = rows[0]
    if stage is Stage.RESTORE_REQUESTED:
        return last if _takes_parts(last) else None
    if not entry.event:
        return last
    for row, parts in zip(rows, known, strict=True):
        if part in parts:
            # A part that was refused is sent anew, by another event: the row still waits for it.
            return row if Stage.SYNCED_ARCHIVE not in parts[part].times else None
    return last if _takes_parts(last) else None


def columns(rid: str, row: DrsRow | None, stage: Stage | None, entry: DrsEntry) -> dict[Stage, datetime]:
    """Returns which columns an entry sets in its row, and with what: none while another part lacks the stage.

    :param row: the row as it was before; None for a new one.
    """
    if stage is None or entry.at is None:
        return {}
    part = part_of_entry(entry, rid)
    others = [of for name, of in _by_entries(row).items() if name != part] if row else []
    if not others or stage is Stage.RESTORE_REQUESTED:
        return {stage: entry.at}
    if any(stage not in of.times for of in others):
        return {}
    return {stage: max(entry.at, *(of.times[stage] for of in others))}


def _names_parts(row: DrsRow) -> bool:
    return any(entry.data.get("part") for entry in row.entries)


def _by_entries(row: DrsRow) -> dict[str, DrsRow]:
    """The row for each part of which it has an entry with a stage. What other systems request names no part."""
    entries: dict[str, list[DrsEntry]] = {}
    times: dict[str, dict[Stage, datetime]] = {}
    for entry in row.entries:
        part, stage = part_of_entry(entry, row.rid), _STAGES.get(entry.stage)
        before = times.get(part, {})
        if stage is Stage.RESTORE_REQUESTED:
            entries[part], times[part] = [], {}
        elif stage is Stage.RESTORED_MESSAGE and _is_sent_anew(entry, entries.get(part, ()), before):
            # Sent anew, since it was refused or its run failed: what was done of the delivery before counts no more.
            times[part] = {done: at for done, at in before.items() if done is Stage.RESTORE_REQUESTED}
            entries[part] = [each for each in entries[part] if each.stage == Stage.RESTORE_REQUESTED]
        entries.setdefault(part, []).append(entry)
        if stage and entry.at:
            times.setdefault(part, {})[stage] = entry.at
    return {part: replace(row, times=done, entries=tuple(entries[part])) for part, done in times.items()}


def _is_sent_anew(entry: DrsEntry, before: Sequence[DrsEntry], done: Mapping[Stage, datetime]) -> bool:
    """Whether an event is another one than the part's last, which has not brought it into the archive."""
    events = [each.event for each in before if each.event]
    return bool(events) and events[-1] != entry.event and Stage.SYNCED_ARCHIVE not in done


def _takes_parts(row: DrsRow) -> bool:
    """Whether one more part belongs into a row: it is not synced, and has no work in one zip under way."""
    return Stage.SYNCED_ARCHIVE not in row.times and (_names_parts(row) or _awaits(row))


def _awaits(row: DrsRow) -> bool:
    return row.stage in (None, Stage.RESTORE_REQUESTED)
