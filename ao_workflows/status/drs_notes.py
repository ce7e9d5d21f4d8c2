"""What DRS has noted of a work besides the times of its stages: failures, and what is out of the common.

What belongs here: reading that out of a row. What does not: the row itself (``ao_workflows.drs.rows``).
"""

from __future__ import annotations

from datetime import datetime

from ao_workflows.drs.rows import DrsEntry, DrsRow
from ao_workflows.works.stages import Stage


def noted_failure(row: DrsRow | None) -> tuple[datetime | None, str] | None:
    """Returns the time and the text of the failure in a row, if the failure is the last that the row has of its
    restore; else None.
    """
    last = last_of_its_own(row) if row else None
    if last is None:
        return None
    said = last.data.get("refused") or last.data.get("failed")
    return (last.at, str(said)) if said and not last.stage else None


def last_of_its_own(row: DrsRow) -> DrsEntry | None:
    """Returns the last entry of the row that is about the row's own restore; None if there is none.

    Later entries about a delivery that waits for a person, about another work's zip that brought the work, or about the
    parts that it has, do not count: they have not mended what failed.
    """
    others = {"held", "brought_by", "known"}
    return next((entry for entry in reversed(row.entries) if not others & entry.data.keys()), None)


def noted_remarks(row: DrsRow | None) -> dict[str, str]:
    """Returns what was unusual about the work's last unpacking, as texts by their kind.

    The kinds are ``unproven``, that no manifest came with some works of the zip, and ``batch``, that the zip did not
    contain the work that it is named after.
    """
    entries = row.entries if row else ()
    last = next((entry for entry in reversed(entries) if entry.stage == Stage.DEBAGGED_WORK), None)
    return {kind: str(last.data[kind]) for kind in ("unproven", "batch") if kind in last.data} if last else {}
