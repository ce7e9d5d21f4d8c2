"""The tag of a run that says for which part of its work it is; a run without it is for the part named as the work.

What belongs here: the tag, from a part and back. What does not: what a part is (``ao_workflows.works.parts``).
"""

from __future__ import annotations

from collections.abc import Mapping

from ao_workflows.errors import RidError
from ao_workflows.works.parts import Part
from ao_workflows.works.rids import parse_rid

PART = "ao/part"
"""The part's name. Dagster gives a retry the tags of the run that it repeats, so it is for the same part."""


def tags_of(part: Part) -> dict[str, str]:
    """Returns the tags that a run for the part needs; none for the part that is named as its work."""
    return {} if part.is_named_as_work else {PART: part.name}


def part_of_run(rid: str, tags: Mapping[str, str]) -> Part:
    """Returns the part that a run is for.

    :param rid: the run's partition.
    :param tags: all tags of the run.
    :raises RidError: if the tag's value cannot be a part's name; a person may have typed it.
    """
    return Part(rid, parse_rid(tags[PART])) if tags.get(PART) else Part(rid, rid)


def is_run_of(part: Part, tags: Mapping[str, str]) -> bool:
    """Whether a run of the part's work, by its tags, is for this very part."""
    try:
        return part_of_run(part.rid, tags) == part
    except RidError:
        return False
