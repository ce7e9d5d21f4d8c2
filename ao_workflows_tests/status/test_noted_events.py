"""Events that were taken from a queue and whose run has not begun: noted, found, and removed once they are stored."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ao_workflows.errors import StagingError
from ao_workflows.events.message_parts import WantedRun
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.staging.staging import Staging
from ao_workflows.status import noted_events
from ao_workflows.status.noted_events import (
    check,
    forget,
    forget_done,
    forget_one,
    last_noted,
    later_config,
    note,
    works,
)

EARLY = ObjectEvent("ObjectRestore:Completed", "2026-11-21T09:00:00Z", "r", "b", "W1.bag.zip", etag="e")
LATE = replace(EARLY, time="2026-11-21T11:00:00Z")


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(root=str(tmp_path))


def noted(staging: Staging, *events: ObjectEvent, rid: str = "W1") -> None:
    assert note(staging, "fpl", [WantedRun(rid, event) for event in events]) == {}


def test_the_last_event_that_no_run_has_stored_is_found(staging: Staging) -> None:
    """After Dagster's database was put back, it is all that is left of the work."""
    noted(staging, LATE, EARLY)
    found = last_noted(staging, "W1", None)
    assert found
    assert (found.intake, found.event) == ("fpl", LATE)
    assert last_noted(staging, "W1", EARLY) == found
    assert last_noted(staging, "W1", LATE) is None
    assert last_noted(staging, "W2", None) is None


def test_a_note_that_is_just_being_made_is_left_out_where_that_is_asked(staging: Staging) -> None:
    """Its run is about to be made: it would be told as lost."""
    noted(staging, EARLY)
    now = datetime.now(UTC)
    assert last_noted(staging, "W1", None, now - timedelta(hours=1)) is None
    assert last_noted(staging, "W1", None, now + timedelta(hours=1))


def test_what_is_stored_takes_away_what_is_no_later_and_nothing_else(staging: Staging) -> None:
    """The note of a newer event is what its own run is waiting for."""
    noted(staging, EARLY, LATE)
    forget(staging, "W1", EARLY)
    found = last_noted(staging, "W1", None)
    assert found
    assert found.event == LATE
    forget(staging, "W1", LATE)
    assert not staging.layout.events("W1").exists()


def test_of_a_held_event_its_own_note_goes_alone(staging: Staging) -> None:
    """It is kept as held; one of the work's own object has nothing to do with it."""
    noted(staging, EARLY, LATE)
    forget_one(staging, "W1", LATE)
    found = last_noted(staging, "W1", None)
    assert found
    assert found.event == EARLY
    forget_one(staging, "W1", EARLY)
    assert works(staging, 10) == []


def test_a_note_goes_whose_event_was_done_on_another_host(staging: Staging) -> None:
    """That host has a scratch disk of its own, and nobody else would remove it."""
    noted(staging, EARLY)
    forget_done(staging, lambda _rid, _since: ["2026-11-21T08:00:00Z"])
    assert works(staging, 10) == ["W1"]
    forget_done(staging, lambda _rid, _since: ["2026-11-21T09:00:00Z"])
    assert works(staging, 10) == []


def test_works_with_notes_are_found_the_newest_first_and_no_more_than_asked_for(staging: Staging) -> None:
    """A look is bounded; what is half made is no work's."""
    for number, rid in enumerate(("W1", "W2", "W3")):
        noted(staging, EARLY, rid=rid)
        os.utime(staging.layout.events(rid), (number, number))
    check(staging, "fpl")
    assert works(staging, 2) == ["W3", "W2"]


def test_a_note_that_cannot_be_written_or_read_is_told(staging: Staging) -> None:
    """Its message must not be deleted; and a work whose note is unreadable is not one without a note."""
    staging.layout.events("W1").parent.mkdir(parents=True)
    staging.layout.events("W1").write_text("a file in its place")
    failures = note(staging, "fpl", [WantedRun("W1", EARLY), WantedRun("W2", EARLY)])
    assert list(failures) == [EARLY.identity]
    assert works(staging, 10)
    with pytest.raises(StagingError):
        last_noted(staging, "W1", None)
    (path,) = staging.layout.events("W2").iterdir()
    path.write_text("{")
    with pytest.raises(StagingError):
        last_noted(staging, "W2", None)


def test_the_later_of_a_note_and_a_run_s_event_is_what_is_done(staging: Staging) -> None:
    """The earlier one would be held behind the other, and nothing done."""
    noted(staging, LATE)
    note_of_late = last_noted(staging, "W1", None)
    config = {"ops": {"restored_message": {"config": {"intake": "drop", "time": EARLY.time}}}}
    found = later_config(note_of_late, config)
    assert found
    assert found["ops"]["restored_message"]["config"]["intake"] == "fpl"
    assert found["ops"]["restored_message"]["config"]["time"] == LATE.time
    config["ops"]["restored_message"]["config"]["time"] = LATE.time
    assert later_config(note_of_late, config) is config
    assert later_config(None, config) is config
    assert later_config(None, None) is None


def test_an_event_that_is_noted_already_keeps_its_time(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for again at each tick until its run is there: it would always look as if it had just come."""
    monkeypatch.setattr(noted_events, "now", lambda: "2026-11-21T10:00:00+00:00")
    noted(staging, EARLY)
    monkeypatch.undo()
    noted(staging, EARLY)
    found = last_noted(staging, "W1", None)
    assert found
    assert found.at == datetime(2026, 11, 21, 10, tzinfo=UTC)
