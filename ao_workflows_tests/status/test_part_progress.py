"""How far the parts of a work are, by DRS alone."""

from __future__ import annotations

from datetime import UTC, datetime

from ao_workflows.drs.rows import DrsEntry, DrsRow
from ao_workflows.status.part_progress import PartProgress, part_progress, progress_in_words, progress_table
from ao_workflows.works.stages import Stage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
KNOWN = DrsEntry(NOON, "", "", {"known": ["W1", "W1-I1", "W1-I2", "W1-I3"]})


def entry(stage: Stage, part: str) -> DrsEntry:
    return DrsEntry(NOON, stage.value, "", {"part": part})


def row(*entries: DrsEntry) -> DrsRow:
    return DrsRow(1, "W1", {}, entries, NOON, NOON)


def test_parts_that_were_known_and_not_asked_for_are_told_too() -> None:
    """A work of which the image groups alone were asked for is not whole."""
    asked = [entry(Stage.RESTORE_REQUESTED, name) for name in ("W1-I1", "W1-I2")]
    found = part_progress([row(*asked, KNOWN, entry(Stage.SYNCED_ARCHIVE, "W1-I2"))])
    assert [(part.name, part.stage) for part in found] == [
        ("W1", None),
        ("W1-I1", Stage.RESTORE_REQUESTED),
        ("W1-I2", Stage.SYNCED_ARCHIVE),
        ("W1-I3", None),
    ]
    assert progress_in_words(found) == "4 parts: 1 in the archive, 1 asked for, 2 not asked for"


def test_a_work_in_one_zip_has_no_parts() -> None:
    """Nothing is to be said of it but what is said of every work."""
    whole = DrsRow(1, "W1", {Stage.SYNCED_ARCHIVE: NOON}, (), NOON, NOON)
    assert part_progress([whole]) == part_progress([]) == []


def test_the_page_has_a_line_for_each_part() -> None:
    """Which one is missing is what an archivist asks."""
    assert progress_table([PartProgress("W1-I1", Stage.DEBAGGED_WORK, NOON), PartProgress("a|b")]).splitlines()[2:] == [
        "| W1-I1 | unpacked | 2026-11-21 12:00 UTC |",
        "| a\\|b | not asked for |  |",
    ]
