"""Receipts on their way through JSON: a whole one comes back, and half a one is none."""

from __future__ import annotations

import json

import pytest

from ao_workflows.machine.boot import boot_id
from ao_workflows.staging.receipts import Receipt

WHOLE = Receipt(
    stage="debagged_work",
    rid="W1",
    took={"md5": "0" * 32, "bytes": 7},
    left={"works": [{"rid": "W1", "files": 2}], "folder": "བསྟན"},
    run_id="run",
    boot="boot",
    at="2026-11-21T06:32:44+00:00",
)


def test_a_receipt_comes_back_as_it_was() -> None:
    """A receipt that differs from itself is never valid: every stage would be done again."""
    assert Receipt.parse(WHOLE.dump()) == WHOLE
    assert Receipt.parse(WHOLE.dump().encode()) == WHOLE


def test_no_beginning_of_a_receipt_is_one() -> None:
    """A power cut may leave any part of the file, also one that ends inside a character."""
    whole = WHOLE.dump().encode()
    assert [length for length in range(len(whole)) if Receipt.parse(whole[:length])] == []


@pytest.mark.parametrize(
    "text",
    [
        b"\0" * 300,
        b"\xff\xfe",
        "null",
        "[]",
        "7",
        "{}",
        json.dumps({"stage": "debagged_work"}),
        json.dumps(vars(WHOLE) | {"took": None}),
        json.dumps(vars(WHOLE) | {"left": "x"}),
        json.dumps(vars(WHOLE) | {"more": 1}),
        json.dumps(vars(WHOLE) | {"at": "yesterday"}),
        json.dumps(vars(WHOLE) | {"at": "2026-11-21T06:32:44"}),
        json.dumps(vars(WHOLE) | {"at": 7}),
        json.dumps(vars(WHOLE) | {"stage": "restored_message", "left": {}}),
        json.dumps(vars(WHOLE) | {"stage": "restored_message", "left": {"intake": "fpl", "event": {"key": "k"}}}),
        json.dumps(vars(WHOLE) | {"stage": "downloaded_bag", "left": {"crc64nvme": "abc="}}),
        "[" * 100_000,
    ],
)
def test_what_is_no_receipt_is_none(text: str | bytes) -> None:
    """The stage is then done again; an exception would stop the work until a person removes the file."""
    assert Receipt.parse(text) is None


def test_the_boot_stays_the_same_while_the_machine_runs() -> None:
    """Another boot each time would have each stage read all its bytes again."""
    assert boot_id() == boot_id() != ""
