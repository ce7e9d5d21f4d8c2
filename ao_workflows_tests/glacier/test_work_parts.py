"""Which parts of a work there are, which its newest state needs, and which a person means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ao_workflows.aws.listed import ListedObject
from ao_workflows.aws.objects import ObjectStorage
from ao_workflows.errors import PartsMissing
from ao_workflows.glacier.rules import ObjectAddress
from ao_workflows.glacier.work_parts import Only, WorkListing, chosen_parts, parts_listed
from ao_workflows.works.parts import Part

HOME = "Archive0/00/W1/"
DAY = timedelta(days=1)
START = datetime(2024, 5, 1, tzinfo=UTC)


def listing(*found: tuple[str, int], rid: str = "W1", layout: str = "either") -> WorkListing:
    """Of objects that were written so many days after the first."""
    listed = [
        (
            ObjectAddress("fpl", "b", key),
            ListedObject(key, 0 if key == HOME else 7, START + days * DAY, ObjectStorage("DEEP_ARCHIVE")),
        )
        for key, days in found
    ]
    return parts_listed(rid, listed, layout, ["*.bag.zip"])  # type: ignore[arg-type]


def needed(found: WorkListing) -> list[str]:
    return [known.part.name for known in found.parts if known.needed]


def test_the_newest_state_needs_each_group_all_else_and_each_later_change() -> None:
    """What was changed before the last complete copy is in that: restoring it would be paid for in vain."""
    found = listing(
        (f"{HOME}W1.bag.zip", 5),
        (f"{HOME}W1-I1.bag.zip", 0),
        (f"{HOME}W1-0886.bag.zip", 9),
        (f"{HOME}W1-2024-inventory.bag.zip", 3),
        (f"{HOME}W1-2025-inventory.bag.zip", 5),
        (f"{HOME}W1-2026-inventory.bag.zip", 8),
    )
    assert needed(found) == ["W1", "W1-0886", "W1-2025-inventory", "W1-2026-inventory", "W1-I1"]
    assert len(found.parts) == 6
    assert found.in_parts


def test_without_a_bag_of_all_else_each_change_is_needed() -> None:
    """The complete copy had image groups alone."""
    found = listing((f"{HOME}W1-2024-inventory.bag.zip", 3), (f"{HOME}W1-I1.bag.zip", 9))
    assert needed(found) == ["W1-2024-inventory", "W1-I1"]


def test_a_work_in_one_zip_is_in_no_parts() -> None:
    """It is asked for as ever, without a question."""
    assert not listing((f"{HOME}W1.bag.zip", 0), (f"{HOME}notes.txt", 0)).in_parts
    assert not listing().in_parts


def test_what_is_no_part_is_told_and_never_a_part() -> None:
    """It would be restored, paid for, and archived in a wrong place."""
    foreign = {"notes.txt", "W2-I1.bag.zip", "old/W1-I2.bag.zip", "W1-I3.zip", "W1 two.bag.zip"}
    found = listing((HOME, 0), (f"{HOME}W1-I1.bag.zip", 0), *((f"{HOME}{name}", 0) for name in foreign))
    assert [known.part.name for known in found.parts] == ["W1-I1"]
    assert set(found.foreign) == {f"{HOME}{name}" for name in foreign}
    assert "keys" in found.foreign[f"{HOME}W1-I3.zip"]


def test_in_a_folder_that_is_the_work_s_each_zip_is_a_part_where_the_site_says_so() -> None:
    """And nothing that lies below it."""
    found = listing((f"{HOME}corrections.bag.zip", 0), (f"{HOME}old/W1-I2.bag.zip", 0), layout="parts")
    assert [known.part for known in found.parts] == [Part("W1", "corrections")]
    assert set(found.foreign) == {f"{HOME}old/W1-I2.bag.zip"}


def test_other_works_of_one_folder_are_not_told() -> None:
    """Without a folder of its own, a work's prefix is that of ten others too."""
    found = listing(("bags/W1.bag.zip", 0), ("bags/W1-I1.bag.zip", 0), ("bags/W12.bag.zip", 0), ("bags/W1x.txt", 0))
    assert [known.part.name for known in found.parts] == ["W1", "W1-I1"]
    assert found.foreign == {}


@pytest.mark.parametrize("days", [(0, 9), (9, 0)])
def test_of_two_objects_of_one_part_the_newer_counts(days: tuple[int, int]) -> None:
    """The zips before 2024 lie where the archive counted its folders otherwise."""
    keys = ("Archive2/60/W60/W60.bag.zip", "Archive1/60/W60/W60.bag.zip")
    found = listing(*zip(keys, days, strict=True), rid="W60")
    newer, older = (keys[1], keys[0]) if days[1] else keys
    assert [known.listed.key for known in found.parts] == [newer]
    assert found.foreign == {older: f"{newer} is newer"}


PARTS = [Part("W1", name) for name in ("W1", "W1-I1PD1_1", "W1-0886", "W1-2025-inventory")]


@pytest.mark.parametrize(
    ("only", "groups", "chosen"),
    [
        (None, [], {"W1", "W1-I1PD1_1", "W1-0886", "W1-2025-inventory"}),
        ("images", [], {"W1-I1PD1_1", "W1-0886"}),
        ("rest", [], {"W1", "W1-2025-inventory"}),
        (None, ["I0886"], {"W1-0886"}),
        (None, ["0886", "W1-I1PD1_1"], {"W1-0886", "W1-I1PD1_1"}),
        (None, ["I1PD1_1"], {"W1-I1PD1_1"}),
        (None, ["W1-0886"], {"W1-0886"}),
    ],
)
def test_a_person_may_mean_some_of_the_parts(only: Only | None, groups: list[str], chosen: set[str]) -> None:
    """An image group of four digits is I0886 in the catalogue, and 0886 on disk."""
    assert chosen_parts("W1", PARTS, only, groups) == chosen


@pytest.mark.parametrize(
    ("parts", "only", "groups", "said"),
    [
        (PARTS, None, ["0886", "I9"], "no image group I9; it has W1-I1PD1_1, W1-0886"),
        (PARTS, None, ["W2-0886"], "no image group W2-0886"),
        (PARTS, None, ["W1-I0886"], "no image group W1-I0886"),
        (PARTS[:1], "images", [], "no part of images; it has W1"),
        ([], "images", [], "it lies in one zip: ask without --only"),
    ],
)
def test_a_part_that_is_not_there_is_told_with_those_that_are(
    parts: list[Part], only: Only | None, groups: list[str], said: str
) -> None:
    """A mistyped group would be asked for as nothing, and awaited for ever."""
    with pytest.raises(PartsMissing, match=said):
        chosen_parts("W1", parts, only, groups)
