"""Dropped files: a claim's name, which is its identity, and the event that a run is given."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from ao_workflows.events.dropped_files import Claim, DroppedFile, event_of, given_in, owner_of
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.intake.folder_rules import (
    of_this_intake,
)

AT = datetime(2026, 11, 21, 6, 32, 44, 1002, tzinfo=UTC)


CLAIM = Claim("W1NLM4712", AT, "0a1b2c3d", "4e5f6071", ".bag.zip")


@pytest.mark.parametrize("suffix", [".bag.zip", ".zip"])
@pytest.mark.parametrize("rid", ["W1NLM4712", "W1-a_b.c", "W" * 64])
def test_a_claims_name_says_all_of_it(rid: str, suffix: str) -> None:
    """It is all that is left of a claim after a crash."""
    claim = Claim.of(rid + suffix, AT, "0a1b2c3d", owner_of("an instance", "drop"))
    assert Claim.parse(claim.name) == claim
    assert (claim.original, claim.rid) == (rid + suffix, rid)
    assert len(claim.name) < 255


@pytest.mark.parametrize(
    "name",
    [
        "W1NLM4712.bag.zip",
        CLAIM.name.replace("W1NLM4712", "../../etc"),
        CLAIM.name.replace("W1NLM4712", "W..1"),
        CLAIM.name.replace("20261121", "20261321"),
        CLAIM.name + ".part",
        CLAIM.name.replace(".bag.zip", ""),
    ],
)
def test_no_other_name_is_a_claim(name: str) -> None:
    """The name comes from a run's config too, and what it names is removed in the end."""
    assert Claim.parse(name) is None


def test_an_events_identity_is_its_claims() -> None:
    """The same after a crash, though the file's size may be another; and another one for the next file."""
    one = event_of(CLAIM, "/mnt/drop", 1_000.0, 9)
    assert one.identity == event_of(CLAIM, "/mnt/drop", 2_000.0, 10).identity
    other = Claim("W1NLM4712", AT, "0a1b2c3e", "4e5f6071", ".bag.zip")
    assert one.identity != event_of(other, "/mnt/drop", 1_000.0, 9).identity
    assert one.source == f"/mnt/drop/save/{CLAIM.name}"


def test_the_claims_of_another_site_are_not_this_ones() -> None:
    """Two sites that share a folder must not do one file twice."""
    later = Claim("W1NLM4712", AT.replace(hour=7), "0a1b2c3d", "4e5f6071", ".bag.zip")
    foreign = Claim("W1NLM4712", AT, "0a1b2c3d", "ffffffff", ".zip")
    assert of_this_intake([later, foreign, CLAIM], {"4e5f6071"}) == ([CLAIM, later], [foreign])
    assert len({owner_of("a", "x"), owner_of("b", "x"), owner_of("a", "y")}) == 3


OBJECT = ObjectEvent("ObjectRestore:Completed", "2026-11-21T09:00:00Z", "r", "b", "W1.bag.zip", etag="e")


def test_a_run_s_config_has_the_event_that_was_given_and_no_other() -> None:
    """A run without one takes what is stored; one with a file must not ask S3 for it."""
    file = event_of(CLAIM, "/drop", 0.0, 5)
    assert given_in(asdict(OBJECT)) == OBJECT
    assert given_in(asdict(file)) == file
    assert given_in({"file": "", "key": ""}) is None
    assert given_in({}) is None


def test_what_another_version_put_into_a_config_is_left_out() -> None:
    """After a downgrade, or a retry of an older run, the run would fail before its first stage."""
    assert given_in(asdict(OBJECT) | {"of_tomorrow": 1}) == OBJECT
    of_yesterday = {name: value for name, value in asdict(OBJECT).items() if name != "restore_expires"}
    assert given_in(of_yesterday) == OBJECT


def test_a_file_s_time_that_is_no_date_is_told_in_words() -> None:
    """A file system may have any number there, and the work is as good."""
    event = event_of(CLAIM, "/drop", 1e20, 5)
    assert "which is no date" in event.modified
    assert isinstance(event, DroppedFile)
    assert event.source == f"/drop/save/{CLAIM.name}"
