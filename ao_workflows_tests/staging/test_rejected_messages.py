"""Messages that cannot be used: kept whole, listed, and removed only when a person says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ao_workflows.errors import StagingError
from ao_workflows.staging.rejected_messages import keep, kept_messages, remove
from ao_workflows.staging.staging import Staging


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(root=str(tmp_path / "staging"))


@pytest.mark.parametrize("body", ["", "{", '{"a": "བསྟན"}\r\n\0', "\ud800 lone"])
def test_a_message_that_cannot_be_used_is_kept_whole(staging: Staging, body: str) -> None:
    """It is deleted from the queue next: what is not here is nowhere."""
    path = keep(staging, "fpl", "FplReady", "22b80b92-fdea", body, "it is no JSON")
    kept = json.loads(path.read_bytes())
    assert kept["body"] == body
    assert (kept["queue"], kept["message_id"], kept["reason"]) == ("FplReady", "22b80b92-fdea", "it is no JSON")
    assert path.name == "22b80b92-fdea.json"
    assert [(each.intake, each.body) for each in kept_messages(staging)] == [("fpl", body)]


@pytest.mark.parametrize("message_id", ["../../../escaped", "/etc/escaped", "", "a" * 300])
def test_a_message_is_kept_in_its_folder_whatever_its_id(staging: Staging, message_id: str) -> None:
    """The id comes from outside, and names a file."""
    path = keep(staging, "fpl", "FplReady", message_id, "body", "reason")
    assert path.resolve().parent == staging.layout.rejected_messages().resolve()
    assert json.loads(path.read_text())["message_id"] == message_id


def test_what_is_kept_is_listed_until_it_is_removed(staging: Staging) -> None:
    """A list that forgets one is where a work gets lost."""
    assert kept_messages(staging) == []
    for message_id in ("b", "../a"):
        keep(staging, "fpl", "FplReady", message_id, "body", "reason")
    assert {each.message_id for each in kept_messages(staging)} == {"b", "../a"}
    remove(staging, "../a")
    remove(staging, "../a")
    assert [each.message_id for each in kept_messages(staging)] == ["b"]


def test_a_file_that_is_no_kept_message_is_named(staging: Staging) -> None:
    """What a disk garbled must not look like nothing."""
    path = keep(staging, "fpl", "FplReady", "a", "body", "reason")
    path.write_text("garbled")
    with pytest.raises(StagingError, match=f"{path}: is no kept message"):
        kept_messages(staging)
