"""A work's receipts on the scratch disk: read together, and what cannot be used is named and in nobody's way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ao_workflows.errors import ReceiptRefused, StagingError
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipt_files import read_placed, read_receipts, write_receipt
from ao_workflows.staging.receipts import Held, Origin, Placed
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.receipts import EVENT, receipts_until

HELD = Held(rid="W1", run_id="run", intake="fpl", event=EVENT, error="OtherObject", why="it is another")
WHOLE = Receipts(**vars(receipts_until(Stage.SYNCED_ARCHIVE)) | {"held": HELD})


@pytest.fixture
def layout(tmp_path: Path) -> StagingLayout:
    layout = StagingLayout(tmp_path)
    for receipt in (*WHOLE.by_stage().values(), HELD):
        write_receipt(layout, receipt)
    return layout


def placed(work: str) -> Placed:
    origin = Origin(EVENT.identity, "abc=", 7)
    return Placed(
        rid="W1", run_id="run", work=work, origin=origin, options=(), environment={}, place="/mnt", log="", web=None
    )


def test_a_work_s_receipts_are_read_together(layout: StagingLayout) -> None:
    """And none of another work's."""
    assert read_receipts(layout, "W1") == WHOLE
    assert read_receipts(layout, "W2") == Receipts()


def test_the_receipt_of_another_work_is_named_and_not_used(layout: StagingLayout) -> None:
    """Copied or restored into the wrong folder, it would speak of files that are not there, and nobody would know."""
    foreign = layout.receipt("W2", "synced_archive")
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(layout.receipt("W1", "synced_archive").read_bytes())
    found = read_receipts(layout, "W2")
    assert found.synced is None
    assert [str(foreign) in str(each) and "of the work 'W1'" in str(each) for each in found.refused] == [True]


def test_on_a_disk_that_folds_case_the_other_work_s_receipt_is_no_fault(layout: StagingLayout) -> None:
    """There `w1` and `W1` have one folder, and the file is as it should be: it is only not this work's."""
    layout.receipt("w1", "synced_archive").parent.mkdir(parents=True, exist_ok=True)
    layout.receipt("w1", "synced_archive").write_bytes(layout.receipt("W1", "synced_archive").read_bytes())
    assert read_receipts(layout, "w1") == Receipts()


@pytest.mark.parametrize("name", ["restored_message", "downloaded_bag", "debagged_work", "synced_archive", "held"])
@pytest.mark.parametrize("spoilt", [b"", b"{", b"[]", b"\0" * 99, b"\xff", b'{"version": 99}'])
def test_one_that_cannot_be_used_is_named_and_the_others_are_read(
    layout: StagingLayout, name: str, spoilt: bytes
) -> None:
    """A person finds the file by its name, and its stage does its work again: nothing waits for that person."""
    path = layout.receipt("W1", name)
    path.write_bytes(spoilt)
    found = read_receipts(layout, "W1")
    (refused,) = found.refused
    assert isinstance(refused, ReceiptRefused)
    assert refused.path == path
    assert str(path) in str(refused)
    assert "ao reprocess W1" in str(refused)
    assert len(found.by_stage()) + (found.held is not None) == 4
    assert path.read_bytes() == spoilt, "a newer release may still need it"


def test_one_that_cannot_be_used_is_replaced_by_the_next(layout: StagingLayout) -> None:
    """The stage has done its work again, and would do so each time."""
    assert WHOLE.downloaded
    layout.receipt("W1", "downloaded_bag").write_text('{"version": 99}')
    write_receipt(layout, WHOLE.downloaded)
    assert read_receipts(layout, "W1") == WHOLE


def test_a_folder_in_a_receipt_s_place_is_said_and_not_taken_for_none(layout: StagingLayout) -> None:
    """What cannot be read cannot be replaced either: a person must look."""
    path = layout.receipt("W1", "downloaded_bag")
    path.unlink()
    path.mkdir()
    with pytest.raises(StagingError, match=f"{path}: cannot be read: Is a directory") as caught:
        read_receipts(layout, "W1")
    assert not isinstance(caught.value, ReceiptRefused)


def test_a_receipt_under_another_s_name_is_not_taken_for_it(layout: StagingLayout) -> None:
    """Somebody copied a folder of receipts."""
    path = layout.receipt("W1", "debagged_work")
    path.write_bytes(layout.receipt("W1", "downloaded_bag").read_bytes())
    (refused,) = read_receipts(layout, "W1").refused
    assert refused.fault == "it says that it is of the stage 'downloaded_bag'"


def test_each_work_of_a_zip_has_a_receipt_of_its_own(layout: StagingLayout) -> None:
    """Whatever it is called: a work may be called as a file's ending is."""
    for work in ("W1", "json", "W2.json"):
        assert read_placed(layout, "W1", work) is None
        write_receipt(layout, placed(work))
    assert [read_placed(layout, "W1", work) for work in ("W1", "json", "W2.json")] == [
        placed("W1"),
        placed("json"),
        placed("W2.json"),
    ]
    assert read_receipts(layout, "W1") == WHOLE
    path = layout.receipt("W1", placed("W1").name)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"place": 7}))
    with pytest.raises(ReceiptRefused, match=r"place: must be a valid string \(is: '7'\)"):
        read_placed(layout, "W1", "W1")
