"""What a work is at, by each mixture of traces."""

from __future__ import annotations

from typing import Any

import pytest

from ao_workflows.status.state import State
from ao_workflows.works.stages import Stage
from ao_workflows_tests.status.test_standing import EVENT, HOUR, NOON, WHOLE, receipts_until, row_until, run, told


@pytest.mark.parametrize(
    ("evidence", "state", "stage"),
    [
        ({}, State.UNKNOWN, ""),
        ({"row": row_until(Stage.RESTORE_REQUESTED, "")}, State.ASKED, "restored_message"),
        ({"run": run("queued", event=EVENT)}, State.QUEUED, "restored_message"),
        ({"run": run("queued", selected=("synced_archive",)), **WHOLE}, State.QUEUED, "synced_archive"),
        ({"run": run("under way", stage="debagged_work")}, State.UNDER_WAY, "debagged_work"),
        ({"receipts": receipts_until(Stage.DOWNLOADED_BAG), "lock": "held"}, State.UNDER_WAY, "debagged_work"),
        ({"run": run("failed", stage="downloaded_bag")}, State.FAILED, "downloaded_bag"),
        ({"run": run("failed", at=NOON - HOUR), **WHOLE}, State.IN_ARCHIVE, ""),
        ({"row": row_until(Stage.DOWNLOADED_BAG, noted={"refused": "no"})}, State.FAILED, "debagged_work"),
        ({"row": row_until(Stage.DOWNLOADED_BAG)}, State.STOPPED, "debagged_work"),
        ({"run": run("canceled"), "receipts": receipts_until(Stage.DEBAGGED_WORK)}, State.STOPPED, "synced_archive"),
        ({"run": run("succeeded"), "receipts": receipts_until(Stage.DOWNLOADED_BAG)}, State.STOPPED, "debagged_work"),
    ],
)
def test_each_mixture_of_traces_comes_to_a_state_and_a_stage(
    evidence: dict[str, Any], state: State, stage: str
) -> None:
    """Each of these a person meets: before, within and after a run, and where one source has nothing."""
    found = told(**evidence)
    assert (found.state, found.stage) == (state, stage)
