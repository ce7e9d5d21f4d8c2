"""Which row an entry belongs to, and what ``user_data`` may hold."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ao_workflows.drs.rows import DrsEntry, DrsRow, entry_of, row_to_write, stored_entry, stored_list
from ao_workflows.works.stages import Stage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _row(number: int, *done: Stage, event: str = "") -> DrsRow:
    entries = (DrsEntry(NOON, "", event, {}),) if event else ()
    return DrsRow(number, "W1", dict.fromkeys(done, NOON), entries, NOON, NOON)


def _chosen(rows: list[DrsRow], stage: Stage | None, event: str = "") -> int | None:
    row = row_to_write(rows, stage, DrsEntry(NOON, stage or "", event, {"n": 1}))
    return row.row if row else None


@pytest.mark.parametrize(
    ("rows", "stage", "event", "chosen"),
    [
        ([], Stage.DOWNLOADED_BAG, "e", None),
        ([_row(2, event="f"), _row(1, event="e")], Stage.SYNCED_ARCHIVE, "e", 1),
        ([_row(2, event="f"), _row(1, event="e")], Stage.SYNCED_ARCHIVE, "g", None),
        ([_row(2, event="f"), _row(1, event="e")], Stage.SYNCED_ARCHIVE, "", 2),
        ([_row(2), _row(1)], Stage.RESTORED_MESSAGE, "e", 2),
        ([_row(1, Stage.RESTORE_REQUESTED)], None, "e", 1),
        ([_row(1, Stage.RESTORED_MESSAGE)], None, "e", None),
        ([_row(1, Stage.RESTORED_MESSAGE)], Stage.RESTORED_MESSAGE, "e", None),
        ([_row(1, Stage.DOWNLOADED_BAG)], Stage.DEBAGGED_WORK, "e", 1),
        ([_row(1, Stage.SYNCED_ARCHIVE)], Stage.DEBAGGED_WORK, "e", None),
        ([_row(1, Stage.RESTORE_REQUESTED)], Stage.RESTORE_REQUESTED, "", 1),
        ([_row(1, Stage.SYNCED_ARCHIVE)], Stage.RESTORE_REQUESTED, "", None),
    ],
)
def test_an_entry_goes_to_the_row_of_its_restore(
    rows: list[DrsRow], stage: Stage | None, event: str, chosen: int | None
) -> None:
    """In another restore's row it would overwrite when that one was done."""
    assert _chosen(rows, stage, event) == chosen


def test_an_entry_that_is_there_goes_where_it_is() -> None:
    """A request that is tried again after its answer was lost must not begin one more row."""
    entry = entry_of(stored_entry(Stage.RESTORE_REQUESTED, NOON, {"tier": "Bulk"}, ""))
    old = DrsRow(1, "W1", {Stage.SYNCED_ARCHIVE: NOON}, (entry,), NOON, NOON)
    assert row_to_write([old], Stage.RESTORE_REQUESTED, entry) is old


@pytest.mark.parametrize(
    ("stored", "items"),
    [(None, []), ("", []), ("null", []), ("[1, 2]", [1, 2]), ('{"a": 1}', [{"a": 1}]), ("[1, 2", ["[1, 2"]), (7, [7])],
)
def test_nothing_in_user_data_is_lost(stored: object, items: list[object]) -> None:
    """What was stored badly is still somebody's record."""
    assert stored_list(stored) == items


@pytest.mark.parametrize("item", [7, "text", None, {}, {"time_stamp": "soon", "user_data": 7}, {"user_data": {}}])
def test_an_item_of_any_form_is_read(item: object) -> None:
    """One odd row must not end `ao status` for all works."""
    entry = entry_of(item)
    assert (entry.at, entry.stage, entry.event) == (None, "", "")


def test_what_is_no_number_of_json_is_refused() -> None:
    """MySQL refuses NaN, and SQLite's readers differ: it must fail in the test of its writer."""
    with pytest.raises(ValueError, match="JSON"):
        stored_entry(None, NOON, {"rate": float("nan")}, "")
