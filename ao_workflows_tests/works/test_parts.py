"""Whose part a key is."""

from __future__ import annotations

import pytest

from ao_workflows.errors import RidError
from ao_workflows.works.parts import (
    Part,
    group_in_catalogue,
    group_on_disk,
    part_called,
    part_named,
    part_of_key,
    part_staged_as,
    staged_parts,
    work_of,
)
from ao_workflows.works.rids import rid_of_left_over

HOME = "Archive0/00/W1NLM4700"


@pytest.mark.parametrize(
    ("key", "layout", "expected"),
    [
        (f"{HOME}/W1NLM4700.bag.zip", "either", Part("W1NLM4700", "W1NLM4700")),
        (f"{HOME}/W1NLM4700-I1NLM4700_001.bag.zip", "either", Part("W1NLM4700", "W1NLM4700-I1NLM4700_001")),
        (f"{HOME}/W1NLM4700-2025-inventory.bag.zip", "either", Part("W1NLM4700", "W1NLM4700-2025-inventory")),
        (f"{HOME}/another.bag.zip", "either", Part("another", "another")),
        (f"{HOME}/another.bag.zip", "parts", Part("W1NLM4700", "another")),
        (f"{HOME}/W1NLM4700-I1NLM4700_001.bag.zip", "whole", Part(*["W1NLM4700-I1NLM4700_001"] * 2)),
        ("W1NLM4700-I1NLM4700_001.bag.zip", "either", Part("W1NLM4700", "W1NLM4700-I1NLM4700_001")),
        ("W22084-0886.bag.zip", "either", Part("W22084", "W22084-0886")),
        ("W22084-08867.bag.zip", "either", Part("W22084-08867", "W22084-08867")),
        ("W1NLM4700-2025-inventory.bag.zip", "either", Part(*["W1NLM4700-2025-inventory"] * 2)),
    ],
)
def test_whose_part_a_key_is(key: str, layout: str, expected: Part) -> None:
    """The folder says it where the layout says so, else the name as far as it can."""
    assert part_of_key(key, layout) == expected  # type: ignore[arg-type]


def test_a_part_without_a_folder_is_refused_where_the_folder_must_say_it() -> None:
    """The name could be anybody's."""
    with pytest.raises(RidError, match="in no folder"):
        part_of_key("W1NLM4700.bag.zip", "parts")


@pytest.mark.parametrize("part", [Part("W1", "W1"), Part("W1", "W1-I2"), Part("W1", "another")])
def test_the_scratch_disk_s_name_says_which_part_it_is(part: Part) -> None:
    """It is read back from the folder's name alone."""
    assert part_staged_as(part.staged) == part
    assert ("+" in part.staged) == (not part.is_named_as_work)


@pytest.mark.parametrize("name", ["", "W1+", "+W1", "W1+a+b", "W1+../W2"])
def test_no_other_name_is_a_part_s(name: str) -> None:
    """A folder that somebody made by hand is nobody's part."""
    with pytest.raises(RidError):
        part_staged_as(name)


def test_image_groups_are_named_on_disk_as_the_archive_s_tool_names_them() -> None:
    """Those of four digits have no I on disk."""
    assert [group_on_disk(name) for name in ("I0886", "I1PD1234", "I08867", "0886")] == [
        "0886",
        "I1PD1234",
        "I08867",
        "0886",
    ]
    folders = ("W22084-0886", "W1NLM4700-I1NLM4700_001", "0886")
    assert [group_in_catalogue(folder) for folder in folders] == ["I0886", "I1NLM4700_001", "I0886"]


def test_only_a_part_of_its_own_work_s_group_has_a_group() -> None:
    """What a sync changed has none, and a zip in another work's folder neither."""
    groups = [Part("W1", name).group for name in ("W1-I1_1", "W1-0886", "W1", "W1-2025-inventory", "W2-I1")]
    assert groups == ["W1-I1_1", "W1-0886", None, None, None]


def test_a_part_is_meant_by_its_zip_or_by_its_group_in_either_of_its_names() -> None:
    """A person has the catalogue's name of a group, or that of its folder, and seldom the zip's."""
    for name in ("W1PD1-0886", "I0886", "0886"):
        assert part_called("W1PD1", name) == Part("W1PD1", "W1PD1-0886")
    assert part_called("W1", "W1") == Part("W1", "W1")
    assert part_called("W1", "I1_001").redo == "W1 --part W1-I1_001"
    assert part_named("W1-I1_001") == Part("W1", "W1-I1_001")
    assert part_named("W1-notes") == Part("W1-notes", "W1-notes")


def test_of_the_names_on_the_disk_a_works_parts_are_found() -> None:
    """Another work whose name begins alike has parts of its own."""
    names = ["W1+W1-I2", "W10", "W1", "W10+W10-I1", "W1-x"]
    assert staged_parts(names, "W1") == [Part("W1", "W1"), Part("W1", "W1-I2")]
    assert [work_of(name) for name in names] == ["W1", "W10", "W1", "W10", "W1-x"]


def test_what_a_killed_run_left_of_a_part_is_known_as_the_parts() -> None:
    """Taken for nobody's, it would stay on the scratch disk for ever."""
    assert rid_of_left_over(".W1+W1-I2.4f.tmp") == "W1+W1-I2"
    assert rid_of_left_over(".W1.4f.tmp") == "W1"
    assert rid_of_left_over(".W1+.4f.tmp") is None
