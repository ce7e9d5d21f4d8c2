"""What DRS has noted of a work, read out of its row."""

from __future__ import annotations

import pytest

from ao_workflows.drs.rows import DrsEntry, DrsRow
from ao_workflows.status.drs_notes import last_of_its_own, noted_failure, noted_remarks
from ao_workflows.works.stages import Stage
from ao_workflows_tests.status.test_standing import HOUR, NOON


def row(*notes: tuple[str, dict[str, object]]) -> DrsRow:
    """A row with these entries, a minute apart: each of a stage, or of none, with what was noted."""
    entries = [DrsEntry(NOON + minute * HOUR / 60, stage, "event", data) for minute, (stage, data) in enumerate(notes)]
    return DrsRow(1, "W1", {}, tuple(entries), NOON, NOON)


@pytest.mark.parametrize("kind", ["refused", "failed"])
def test_a_failure_is_the_last_thing_that_was_noted(kind: str) -> None:
    """A work that failed while no run is known any more must not look like one that stopped."""
    assert noted_failure(row((Stage.DOWNLOADED_BAG, {}), ("", {kind: "a digest differs"}))) == (
        NOON + HOUR / 60,
        "a digest differs",
    )


def test_a_stage_that_was_done_since_has_mended_it() -> None:
    """A work that was redone would be shown as failed for ever."""
    assert noted_failure(row(("", {"failed": "no room"}), (Stage.DEBAGGED_WORK, {}))) is None
    assert noted_failure(row()) is None
    assert noted_failure(None) is None


@pytest.mark.parametrize("other", ["held", "brought_by"])
def test_a_delivery_that_was_held_and_another_works_zip_have_mended_nothing(other: str) -> None:
    """They are noted in the row of the work, and are not of its restore."""
    noted = row(("", {"refused": "a digest differs"}), ("", {other: "W2"}))
    assert noted_failure(noted) == (NOON, "a digest differs")
    found = last_of_its_own(noted)
    assert found is not None
    assert found.data == {"refused": "a digest differs"}


def test_what_is_out_of_the_common_is_that_of_the_last_unpacking() -> None:
    """A bag that was made again, with its manifest, is not unproven any more."""
    first = (Stage.DEBAGGED_WORK, {"unproven": "no manifest", "files": 7})
    assert noted_remarks(row(first, ("", {"failed": "x"}))) == {"unproven": "no manifest"}
    assert noted_remarks(row(first, (Stage.DEBAGGED_WORK, {"batch": "of W2"}))) == {"batch": "of W2"}
    assert noted_remarks(row((Stage.SYNCED_ARCHIVE, {"unproven": "x"}))) == {}
    assert noted_remarks(None) == {}
