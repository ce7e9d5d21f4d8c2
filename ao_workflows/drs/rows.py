"""What a row of DRS means: how far a restore has come, and which row an entry is written to.

What belongs here: the entries of ``user_data``, and the decision which of a work's rows an entry belongs to. What
does not: the table and its database (``ao_workflows.drs.client``).

A restore is one row. It is told from the next restore of the same work by its event, which every entry of
ours names; the archive's own systems neither write nor miss it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ao_workflows.machine.times import moment
from ao_workflows.works.stages import Stage


@dataclass(frozen=True)
class Entry:
    """One thing noted in ``user_data``. What the archive's own systems write has neither event nor stage.

    ``stage`` is an asset's name, or empty for a note, such as a failure's, that completes none. ``at`` is
    None where the text is no time.
    """

    at: datetime | None
    stage: str
    event: str
    data: Mapping[str, object]


@dataclass(frozen=True)
class Progress:
    """One row: how far one restore of a work has come. Every time is aware, in UTC, in whole seconds."""

    row: int
    rid: str
    times: Mapping[Stage, datetime]
    entries: tuple[Entry, ...]
    created: datetime | None
    updated: datetime | None

    @property
    def stage(self) -> Stage | None:
        """The furthest stage that was done."""
        return next((stage for stage in reversed(Stage) if stage in self.times), None)

    @property
    def event(self) -> str:
        """The restore event that the row belongs to; empty for a row that none of ours has reached."""
        return next((entry.event for entry in self.entries if entry.event), "")


def stored_entry(stage: Stage | None, at: datetime, data: Mapping[str, object], event: str) -> dict[str, object]:
    """An entry as ``user_data`` stores it: its ``time_stamp``, and ``user_data`` with ``stage`` and ``event``.

    What JSON has no form for, such as a path, is stored as its text; half a surrogate pair, which a file's
    name may hold and MySQL's JSON refuses, as a question mark.
    """
    ours = {**data, "stage": stage.value if stage else "", "event": event}
    text = json.dumps(ours, default=str, ensure_ascii=False, allow_nan=False)
    return {
        "time_stamp": at.astimezone(UTC).isoformat(),
        "user_data": json.loads(text.encode("utf-8", "replace")),
    }


def stored_list(stored: object) -> list[object]:
    """What ``user_data`` holds, as a list to add to; what is no list becomes its first item."""
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


def entry_of(item: object) -> Entry:
    """One item of ``user_data``, whoever wrote it; what is no mapping is found under ``value``."""
    if not (isinstance(item, dict) and "user_data" in item):
        return Entry(None, "", "", _mapping(item))
    data = _mapping(item["user_data"])
    return Entry(
        at=moment(item.get("time_stamp")),
        stage=str(data.pop("stage", "") or ""),
        event=str(data.pop("event", "") or ""),
        data=data,
    )


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {"value": value}


def row_to_write(rows: Sequence[Progress], stage: Stage | None, entry: Entry) -> Progress | None:
    """Which of a work's rows, those updated last first, an entry belongs to; None if it begins another one.

    It is the row that has the entry already (a commit whose answer was lost is tried again), else the row of
    its event. A row that knows no event was begun by a request or by the archive's own systems; the one
    updated last is taken as the same restore as long as it has not come as far as the entry's stage. An entry
    without an event goes to the row that was updated last, save that a request begins another row once the
    last restore has come.
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
