"""The records of what was copied: they outlast the run, and count only for their work and bucket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ao_workflows.deep_copy.records import CopiedObject, Records
from ao_workflows.deep_copy.what_to_copy import CopiedBefore, CopiedFile
from ao_workflows.errors import StagingError

FILE = CopiedFile("images/W1-I1/དཔེ།.jpg", 3, 7, {"sha512": "ab"})


def _records(folder: Path, rid: str = "W1", bucket: str = "deep") -> Records:
    return Records(folder, rid, bucket)


def _copied(part: str) -> CopiedObject:
    return CopiedObject(part, "deep", f"k/{part}", "v1", 10, "00ff", 1)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """What is not known to be copied is copied again, and paid for twice."""
    records = _records(tmp_path / "W1")
    assert records.before() == CopiedBefore()
    records.write_part(_copied("W1-I1"), [FILE])
    records.write_part(_copied("W1"), [])
    before = records.before()
    assert not before.complete
    assert before.parts["W1-I1"].files == {FILE.path: FILE}
    assert before.parts["W1-I1"].at < before.parts["W1"].at
    assert [copied.part for copied in records.untold()] == ["W1-I1", "W1"]
    records.write_told()
    assert records.before().complete
    assert records.untold() == []
    records.write_part(_copied("W1-I2"), [])
    assert records.untold() == [_copied("W1-I2")]


def test_those_of_another_bucket_or_work_do_not_count(tmp_path: Path) -> None:
    """After the bucket was changed, the new one would never have the whole work."""
    records = _records(tmp_path)
    records.write_part(_copied("W1"), [FILE])
    records.write_told()
    assert _records(tmp_path, bucket="other").before() == CopiedBefore()
    assert _records(tmp_path, rid="w1").before() == CopiedBefore()


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "is no record"), (json.dumps({"version": 2, "rid": "W1", "bucket": "deep"}), "of a newer release")],
)
def test_one_that_cannot_be_read_is_named(tmp_path: Path, text: str, why: str) -> None:
    """By half a record, what changed would be taken for what is there."""
    (tmp_path / "W1.part.jsonl").write_text(text)
    with pytest.raises(StagingError, match=why):
        _records(tmp_path).before()
