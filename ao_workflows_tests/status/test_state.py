"""What a work is at, by each mixture of traces."""

from __future__ import annotations

from typing import Any

import pytest

from ao_workflows.status.state import WorkState
from ao_workflows.works.stages import Stage
from ao_workflows_tests.status.test_standing import EVENT, HOUR, NOON, WHOLE, receipts_until, row_until, run, told


@pytest.mark.parametrize(
    ("evidence", "state", "stage"),
    [
        ({}, WorkState.UNKNOWN, ""),
        ({"row": row_until(Stage.RESTORE_REQUESTED, "")}, WorkState.ASKED, "restored_message"),
        ({"run": run("queued", event=EVENT)}, WorkState.QUEUED, "restored_message"),
        ({"run": run("queued", selected=("synced_archive",)), **WHOLE}, WorkState.QUEUED, "synced_archive"),
        ({"run": run("under way", stage="debagged_work")}, WorkState.UNDER_WAY, "debagged_work"),
        ({"receipts": receipts_until(Stage.DOWNLOADED_BAG), "lock": "held"}, WorkState.UNDER_WAY, "debagged_work"),
        ({"run": run("failed", stage="downloaded_bag")}, WorkState.FAILED, "downloaded_bag"),
        ({"run": run("failed", at=NOON - HOUR), **WHOLE}, WorkState.IN_ARCHIVE, ""),
        ({"row": row_until(Stage.DOWNLOADED_BAG, noted={"refused": "no"})}, WorkState.FAILED, "debagged_work"),
        ({"row": row_until(Stage.DOWNLOADED_BAG)}, WorkState.STOPPED, "debagged_work"),
        (
            {"run": run("canceled"), "receipts": receipts_until(Stage.DEBAGGED_WORK)},
            WorkState.STOPPED,
            "synced_archive",
        ),
        (
            {"run": run("succeeded"), "receipts": receipts_until(Stage.DOWNLOADED_BAG)},
            WorkState.STOPPED,
            "debagged_work",
        ),
    ],
)
def test_each_mixture_of_traces_comes_to_a_state_and_a_stage(
    evidence: dict[str, Any], state: WorkState, stage: str
) -> None:
    """Each of these a person meets: before, within and after a run, and where one source has nothing."""
    found = told(**evidence)
    assert (found.state, found.stage) == (state, stage)
