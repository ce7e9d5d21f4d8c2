"""In which structure the archive has a work."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.archive.structure import stores_inverted
from ao_workflows.errors import MixedStructure


@pytest.mark.parametrize(
    ("folders", "inverted"),
    [
        (["images/W1-I1", "archive/W1-I1", "sources/more"], False),
        (["archive/W1-0123"], False),
        (["W1-I1/images", "W1-I2/archive", "sources"], True),
        (["sources/catalogue", "images/pages", "W1-notes/images", "W2-I1/images"], None),
        (["W1-I1"], None),
        ([], None),
    ],
)
def test_the_groups_that_are_there_say_it(tmp_path: Path, folders: list[str], inverted: bool | None) -> None:
    """Guessed, the next group would be where the others are not."""
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    assert stores_inverted(tmp_path, "W1") is inverted


def test_a_work_that_is_not_there_has_none(tmp_path: Path) -> None:
    """The first part of a work finds nothing."""
    assert stores_inverted(tmp_path / "W1", "W1") is None


def test_a_work_in_both_is_named_with_a_group_of_each(tmp_path: Path) -> None:
    """A person must bring them together: whichever were chosen, the other half would be beside it."""
    for folder in ("images/W1-I1", "W1-I2/images"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(MixedStructure, match="has W1-I2/ and images/W1-I1/"):
        stores_inverted(tmp_path, "W1")
