"""Which dropped files may be taken, in which order, and when each is complete."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ao_workflows.events.dropped_files import Claim
from ao_workflows.intake.folder_rules import (
    QUIET_SECONDS,
    REMEMBERED,
    FolderCursor,
    SeenFile,
    Sighting,
    SkippedFile,
    Writers,
    candidates,
    sightings,
    skipped_in_words,
    why_not_yet,
)

AT = datetime(2026, 11, 21, 6, 32, 44, 1002, tzinfo=UTC)
CLAIM = Claim("W1NLM4712", AT, "0a1b2c3d", "4e5f6071", ".bag.zip")
WRITTEN = SeenFile("W1NLM4712.bag.zip", 9, 1_000, 1_000)
RENAMED = SeenFile("W1NLM4712.bag.zip", 9, 1_000, 2_000)


def test_works_zips_come_oldest_first_and_everything_else_is_left_with_its_reason() -> None:
    """A file that nobody takes and nobody names is a work that is lost."""
    looks = [
        SeenFile("W2.zip", 1, 20),
        SeenFile("W1.bag.zip", 1, 30),
        SeenFile("W0.bag.zip", 1, 10),
        SeenFile("notes.txt", 1),
        SeenFile("W 3.zip", 1),
        SeenFile("W4.zip", 0),
        SeenFile("W5.zip", 1, trouble="is a folder"),
        SeenFile("W6.ZIP", 1),
        SeenFile(".zip", 1),
    ]
    wanted, left = candidates(looks)
    assert [look.name for look in wanted] == ["W0.bag.zip", "W2.zip", "W1.bag.zip"]
    reasons = {one.name: one.reason for one in left}
    assert reasons.keys() == {"notes.txt", "W 3.zip", "W4.zip", "W5.zip", "W6.ZIP", ".zip"}
    assert reasons["notes.txt"] == reasons["W6.ZIP"] == "is no .zip"
    assert "names no work" in reasons["W 3.zip"]
    assert (reasons["W4.zip"], reasons["W5.zip"]) == ("is empty", "is a folder")


SEEN = Sighting(WRITTEN.stamp, 100.0)


@pytest.mark.parametrize(
    ("look", "writers", "before", "now", "complete"),
    [
        (WRITTEN, "some", SEEN, 1e6, False),
        (RENAMED, "some", None, 1e6, False),
        (WRITTEN, "none", None, 101.0, False),
        (WRITTEN, "none", SEEN, 101.0, True),
        (WRITTEN, "none", Sighting((8, 1_000, 1_000), 1.0), 101.0, False),
        (RENAMED, "none", None, 101.0, True),
        (WRITTEN, "unknown", SEEN, 100 + QUIET_SECONDS - 1, False),
        (WRITTEN, "unknown", SEEN, 100 + QUIET_SECONDS, True),
        (RENAMED, "unknown", None, 1e6, False),
        (RENAMED, "unknown", SEEN, 1e6, False),
    ],
)
def test_a_file_is_complete_when_it_is_closed_and_unchanged(
    look: SeenFile, writers: Writers, before: Sighting | None, now: float, complete: bool
) -> None:
    """Half a zip that is taken is a work refused, and a person called."""
    assert (why_not_yet(look, writers, before, now) is None) == complete


def test_the_cursor_remembers_since_when_each_waiting_file_is_as_it_is() -> None:
    """Or a file on a mount would never have been unchanged for long enough."""
    before = {
        "W1.zip": Sighting((1, 2, 3), 5.0),
        "W2.zip": Sighting((1, 2, 3), 5.0),
        "gone.zip": Sighting((1, 1, 1), 1),
    }
    now = sightings([SeenFile("W1.zip", 1, 2, 3), SeenFile("W2.zip", 9, 2, 3)], before, 60.0)
    assert now == {"W1.zip": Sighting((1, 2, 3), 5.0), "W2.zip": Sighting((9, 2, 3), 60.0)}
    cursor = FolderCursor(now, frozenset({CLAIM.name}))
    assert FolderCursor.parse(cursor.dump()) == cursor
    assert FolderCursor.parse(None) == FolderCursor()
    many = [SeenFile(f"W{number}.zip", 1) for number in range(REMEMBERED + 5)]
    assert len(sightings(many, {}, 0)) == REMEMBERED


def test_what_is_left_is_told_shortly_and_safely() -> None:
    """A thousand files would fill the tick; a name of half a letter would break its storing."""
    said = skipped_in_words([SkippedFile(f"\udcff\n{number}", "is no .zip") for number in range(12)], 3)
    said.encode()
    assert "\n" not in said
    assert "and 2 more" in said
    assert "3 files that another site" in said
    assert skipped_in_words([], 0) == ""
