"""The tag by which a run is for a part of its work."""

from __future__ import annotations

import pytest

from ao_workflows.errors import RidError
from ao_workflows.works.part_tags import PART, is_run_of, part_of_run, tags_of
from ao_workflows.works.parts import Part

GROUP = Part("W1", "W1-I1")


@pytest.mark.parametrize("part", [GROUP, Part("W1", "W1")])
def test_a_run_is_for_the_part_that_it_was_tagged_with(part: Part) -> None:
    """A retry has only its tags: it must not bring another part than the run that died."""
    assert part_of_run("W1", tags_of(part)) == part


def test_a_run_of_a_whole_work_needs_no_tag() -> None:
    """The runs of earlier releases have none, and are still those of their works."""
    assert tags_of(Part("W1", "W1")) == {}
    assert part_of_run("W1", {"ao/intake": "fpl"}) == Part("W1", "W1")


def test_a_runs_part_is_told_from_the_works_other_parts() -> None:
    """What failed with one part is not to be told of another."""
    assert is_run_of(GROUP, {PART: "W1-I1"})
    assert not is_run_of(GROUP, {PART: "W1-I2"})
    assert not is_run_of(GROUP, {})
    assert not is_run_of(GROUP, {PART: "../W1"})


def test_a_name_that_leads_elsewhere_is_refused() -> None:
    """A person types tags in the web page; one becomes a path on the scratch disk."""
    with pytest.raises(RidError):
        part_of_run("W1", {PART: "../W2"})
