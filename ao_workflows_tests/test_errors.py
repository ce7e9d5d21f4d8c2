"""The errors' tree: as it is drawn for people, so it is."""

from __future__ import annotations

import re

from ao_workflows import errors
from ao_workflows.errors import AoError


def drawn() -> dict[str, tuple[str, str]]:
    """Each class of the drawing, with the one above it, and what stands behind it."""
    found: dict[str, tuple[str, str]] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.fullmatch(r"    ([│├└─ ]*)([A-Z]\w+)(.*)", line):
            depth = len(match[1])
            above = [each for each in above if each[0] < depth]
            found[match[2]] = (above[-1][1] if above else "Exception", match[3])
            above.append((depth, match[2]))
    return found


def classes(root: type[AoError]) -> dict[str, type[AoError]]:
    return {root.__name__: root} | {name: each for sub in root.__subclasses__() for name, each in classes(sub).items()}


def test_the_drawing_has_every_error_below_the_one_that_it_is_of() -> None:
    """Whoever catches one by the drawing would let another through."""
    assert {name: parent for name, (parent, _) in drawn().items()} == {
        name: each.__bases__[0].__name__
        for name, each in classes(AoError).items()
        if each.__module__ == errors.__name__
    }


def test_the_drawing_says_of_each_error_whether_it_may_mend_itself() -> None:
    """By it people judge whether a run is tried again, or waits for them."""
    for name, (_, said) in drawn().items():
        if "if all did" not in said:
            assert classes(AoError)[name].transient is ("transient" in said), name
