"""What a person is told to do about a work."""

from __future__ import annotations

import pytest

from ao_workflows.events.dropped_files import Claim, event_of
from ao_workflows.status.state import WorkState
from ao_workflows.works.stages import Stage
from ao_workflows_tests.status.test_standing import EVENT, NOON, receipts_until, run, told


def test_a_refused_bag_is_not_to_be_tried_again_but_made_again() -> None:
    """A second run of a bad bag only costs time."""
    failed = run("failed", stage="debagged_work", reason="its sha512 differs", error="BagInvalid")
    found = told(run=failed, receipts=receipts_until(Stage.DOWNLOADED_BAG), report="/s/quarantine/works/W1/report.json")
    assert found.failure == "its sha512 differs"
    assert "made and uploaded again" in found.advice
    assert "/s/quarantine/works/W1/report.json" in found.advice
    assert "reprocess" not in found.advice


def test_of_a_refused_bag_from_a_folder_it_says_where_the_mended_one_goes_and_the_refused_one_is() -> None:
    """Nobody uploads to a folder, no event follows, and the refused zip stays in save/ until somebody removes it."""
    claim = Claim("W1", NOON, "0a1b2c3d", "4e5f6071", ".bag.zip")
    dropped = event_of(claim, "/mnt/drop", NOON.timestamp(), 7)
    failed = run("failed", stage="debagged_work", reason="its sha512 differs", error="BagInvalid", event=dropped)
    advice = told(run=failed).advice
    assert "put its zip into /mnt/drop," in advice
    assert f"remove the refused one, /mnt/drop/save/{claim.name}" in advice
    assert "uploaded" not in advice


def test_of_a_run_that_dagster_runs_again_by_itself_it_asks_nobody_to_do_so() -> None:
    """After a night that the machine was off, a person would redo by hand what goes on anyway."""
    failed = run("failed", stage="downloaded_bag", reason="Its run was interrupted", again=True, event=EVENT)
    found = told(run=failed)
    assert (found.state, found.failure) == (WorkState.FAILED, "Its run was interrupted")
    assert "again by itself" in found.advice
    assert "reprocess" not in found.advice


@pytest.mark.parametrize(
    ("stage", "zip_there", "tree_there", "command"),
    [
        ("synced_archive", True, True, "ao reprocess W1 --from synced_archive"),
        ("synced_archive", True, False, "ao reprocess W1 --from debagged_work"),
        ("synced_archive", False, False, "ao reprocess W1"),
        ("debagged_work", True, False, "ao reprocess W1 --from debagged_work"),
        ("debagged_work", False, False, "ao reprocess W1"),
        ("deep_copied", False, False, "ao reprocess W1 --from synced_archive"),
        ("restored_message", False, False, "ao reprocess W1 --from restored_message"),
    ],
)
def test_the_advice_starts_from_a_stage_whose_input_is_there(
    stage: str, zip_there: bool, tree_there: bool, command: str
) -> None:
    """A command that is refused is no help at night."""
    found = told(
        run=run("failed", stage=stage),
        receipts=receipts_until(Stage.RESTORED_MESSAGE),
        zip_there=zip_there,
        tree_there=tree_there,
    )
    assert found.advice == f"When the cause is gone: {command}"


def test_a_failed_work_without_a_stored_event_is_to_be_asked_for_again() -> None:
    """Nothing could download it: the event says which object it is."""
    assert told(run=run("failed", stage="downloaded_bag")).advice.endswith("ao restore request W1")


def test_nobody_is_sent_to_glacier_for_what_a_source_that_is_down_may_know() -> None:
    """Glacier is paid for each answer, and the work may lie in the archive."""
    advice = told(asked_drs=False, run=run("failed", stage="downloaded_bag")).advice
    assert advice == "Ask again when DRS can be asked: it may be done already."
