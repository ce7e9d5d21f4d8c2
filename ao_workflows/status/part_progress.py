"""How far each part of a work is by DRS alone: known when Glacier was asked, asked for, restored, in the archive.

What belongs here: that reading, in words and as a table for a page. What does not: what lies in the bucket now, and how
far Glacier is (``ao_workflows.glacier.part_states``), and what DRS's entries mean (``ao_workflows.drs.parts``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ao_workflows.drs.parts import known_parts, parts_of_rows
from ao_workflows.drs.rows import DrsRow
from ao_workflows.shown_names import shown
from ao_workflows.works.stages import Stage

_IN_WORDS: dict[Stage | None, str] = {
    None: "not asked for",
    Stage.RESTORE_REQUESTED: "asked for",
    Stage.RESTORED_MESSAGE: "restored",
    Stage.DOWNLOADED_BAG: "downloaded",
    Stage.DEBAGGED_WORK: "unpacked",
    Stage.SYNCED_ARCHIVE: "in the archive",
}


@dataclass(frozen=True)
class PartProgress:
    """A part of a work, the furthest stage that it has reached, and when; None if nobody has asked for it."""

    name: str
    stage: Stage | None = None
    at: datetime | None = None

    @property
    def in_words(self) -> str:
        """How far the part is."""
        return _IN_WORDS[self.stage]


def part_progress(rows: Sequence[DrsRow]) -> list[PartProgress]:
    """Returns how far each part of a work is, by name; nothing if the work never came in parts.

    :param rows: all of the work's rows, those updated last first.
    """
    noted, known = parts_of_rows(rows), known_parts(rows)
    if not known and all(name == row.rid for name, row in noted.items()):
        return []
    found = []
    for name in sorted(noted.keys() | set(known)):
        row = noted.get(name)
        stage = row.stage if row else None
        found.append(PartProgress(name, stage, row.times.get(stage) if row and stage else None))
    return found


def progress_in_words(parts: Sequence[PartProgress]) -> str:
    """Returns one line: how many parts there are, and how many are how far, the furthest first."""
    counts = Counter(part.stage for part in parts)
    far = [stage for stage in [*reversed(Stage), None] if counts[stage]]
    said = ", ".join(f"{counts[stage]} {_IN_WORDS[stage]}" for stage in far)
    return f"{len(parts)} {'part' if len(parts) == 1 else 'parts'}: {said}"


def progress_table(parts: Sequence[PartProgress]) -> str:
    """Returns a table in Markdown with a line for each part."""
    lines = ["| part | is | since |", "| --- | --- | --- |"]
    for part in parts:
        since = f"{part.at:%Y-%m-%d %H:%M} UTC" if part.at else ""
        name = shown(part.name).replace("|", "\\|")
        lines.append(f"| {name} | {part.in_words} | {since} |")
    return "\n".join(lines)
