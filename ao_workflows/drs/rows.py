"""The meaning of DRS's rows: how far a restore has come, and to which row an entry is written.

What belongs here: a row and the entries of its ``user_data`` as values, and the decision to which of a work's rows an
entry belongs. What does not: the table and its database (``ao_workflows.drs.client``).

A restore is one row. It is distinguished from the next restore of the same work by its event, which each of our entries
names; the archive's own systems neither write the event nor need it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ao_workflows.machine.times import moment
from ao_workflows.works.stages import Stage


@dataclass(frozen=True)
class DrsEntry:
    """One entry of ``user_data``.

    ``stage`` is an asset's name; it is empty for a note that completes no stage, such as that of a failure. ``event``
    is the restore event's identity. What the archive's own systems write has neither. ``at`` is None if the text is not
    a time.
    """

    at: datetime | None
    stage: str
    event: str
    data: Mapping[str, object]


@dataclass(frozen=True)
class DrsRow:
    """One row: how far one restore of a work has come. Times are in UTC, in whole seconds."""

    row: int
    rid: str
    times: Mapping[Stage, datetime]
    entries: tuple[DrsEntry, ...]
    created: datetime | None
    updated: datetime | None

    @property
    def stage(self) -> Stage | None:
        """The furthest stage that was done."""
        return next((stage for stage in reversed(Stage) if stage in self.times), None)

    @property
    def event(self) -> str:
        """The identity of the restore event that the row belongs to; empty if this platform has written nothing into
        the row.
        """
        return next((entry.event for entry in self.entries if entry.event), "")


def stored_entry(stage: Stage | None, at: datetime, data: Mapping[str, object], event: str) -> dict[str, object]:
    """Returns an entry as it is stored: its ``time_stamp``, and its ``user_data`` with ``stage`` and ``event`` in it.

    A value that JSON has no form for, such as a path, is stored as text. Half a surrogate pair, which a file's name may
    contain and MySQL's JSON refuses, is stored as a question mark.
    """
    ours = {**data, "stage": stage.value if stage else "", "event": event}
    text = json.dumps(ours, default=str, ensure_ascii=False, allow_nan=False)
    return {
        "time_stamp": at.astimezone(UTC).isoformat(),
        "user_data": json.loads(text.encode("utf-8", "replace")),
    }


def stored_list(stored: object) -> list[object]:
    """Returns what ``user_data`` contains as a list; anything else becomes the list's first item."""
    value = stored
    # SQLite keeps a bare number as a number
    if isinstance(stored, str):
        try:
            value = json.loads(stored)
        except (ValueError, RecursionError):
            value = stored or None
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def entry_of(item: object) -> DrsEntry:
    """Reads one item of ``user_data``, whoever wrote it. One that is no mapping is in the entry's data as ``value``."""
    if not (isinstance(item, dict) and "user_data" in item):
        return DrsEntry(None, "", "", _mapping(item))
    data = _mapping(item["user_data"])
    return DrsEntry(
        at=moment(item.get("time_stamp")),
        stage=str(data.pop("stage", "") or ""),
        event=str(data.pop("event", "") or ""),
        data=data,
    )


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {"value": value}


def row_to_write(rows: Sequence[DrsRow], stage: Stage | None, entry: DrsEntry) -> DrsRow | None:
    """Returns the row of a work that an entry belongs to; None if it begins a new row.

    It is the row that has the entry already, since a commit whose answer was lost is tried again; else the row with the
    entry's event. A row without an event was begun by a request, or by the archive's own systems: the one that was
    updated last is taken for the same restore, unless it has reached the entry's stage already. An entry without an
    event goes to the row that was updated last; but a request begins a new row once the last restore has come.

    :param rows: the work's rows, those updated last first.
    """
    for row in rows:
        if entry in row.entries or (entry.event and row.event == entry.event):
            return row
    if not rows:
        return None
    last = rows[0]
    stages = list(Stage)
    if stage is Stage.RESTORE_REQUESTED:
        ahead = stages[1:]
    elif entry.event:
        ahead = stages[stages.index(stage or Stage.RESTORED_MESSAGE) :]
    else:
        ahead = []
    another = (entry.event and last.event) or any(done in last.times for done in ahead)
    return None if another else last
