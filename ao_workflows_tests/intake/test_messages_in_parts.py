"""Messages with more records than there was room for: kept until all of their events have runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ao_workflows.errors import StagingError
from ao_workflows.events.message_parts import WantedRun
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.intake.messages_in_parts import keep, of_queue, remove
from ao_workflows.staging.staging import Staging


def wanted(*rids: str) -> tuple[WantedRun, ...]:
    return tuple(
        WantedRun(rid, ObjectEvent("ObjectRestore:Completed", "2026-11-21T09:00:00Z", "r", "b", f"{rid}.bag.zip"))
        for rid in rids
    )


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(root=str(tmp_path))


def test_the_events_come_back_in_their_order_the_oldest_message_first(staging: Staging) -> None:
    """They are asked for in the order in which they came, whatever the names of their files are."""
    for number, message in enumerate(("zebra", "ape")):
        path = keep(staging, "q", "r", message, wanted("W2", "W1"))
        os.utime(path, (number, number))
    assert list(of_queue(staging, "q", "r").items()) == [("zebra", wanted("W2", "W1")), ("ape", wanted("W2", "W1"))]


def test_a_queue_has_its_own_messages_only_whatever_its_intake_is_called(staging: Staging) -> None:
    """Two queues of one name, in two regions, are two: one's events would be asked for by the other's sensor."""
    keep(staging, "q", "r", "1", wanted("W1"))
    assert of_queue(staging, "q", "elsewhere") == of_queue(staging, "other", "r") == {}


@pytest.mark.parametrize("text", [b"", b"{}", b'{"message_id": "1", "events": [{"rid": "W1"}]}', b"\xff"])
def test_what_cannot_be_read_is_left_out_and_hides_no_other(staging: Staging, text: bytes) -> None:
    """Its message comes again; the others' events wait for nobody."""
    keep(staging, "q", "r", "1", wanted("W1")).write_bytes(text)
    keep(staging, "q", "r", "2", wanted("W2"))
    assert list(of_queue(staging, "q", "r")) == ["2"]


def test_a_message_that_is_done_is_removed_once_and_again(staging: Staging) -> None:
    """A tick that dies after the removal is done again."""
    keep(staging, "q", "r", "1", wanted("W1"))
    keep(staging, "q", "r", "2", wanted("W2"))
    remove(staging, "q", "r", "1")
    remove(staging, "q", "r", "1")
    assert list(of_queue(staging, "q", "r")) == ["2"]


def test_a_disk_that_refuses_is_told_and_nothing_is_taken_for_kept(staging: Staging, tmp_path: Path) -> None:
    """The message would be deleted for it."""
    folder = staging.layout.messages_in_parts()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file in its place")
    with pytest.raises(StagingError):
        keep(staging, "q", "r", "1", wanted("W1"))
    with pytest.raises(StagingError):
        remove(staging, "q", "r", "1")
