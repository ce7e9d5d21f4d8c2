"""Misspelt overrides: variables of the environment that were meant to set a setting, and do not.

What belongs here: distinguishing them from variables that have another purpose. What does not: reading an override
(``ao_workflows.site.loading``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

PREFIX = "AO_"
_ALIKE = 0.8
"""How similar a variable must be to an override. One with one underscore instead of two is this similar; the variables
of compose, of the tests or of a person's shell are not.
"""


def misspelt(variables: Iterable[str], settings: Collection[str]) -> Iterator[str]:
    """Finds those of the ``variables`` that would be ignored, and yields a sentence for each.

    A variable with two underscores can only be an override. One with a single underscore may be anything, so it counts
    only if it resembles a setting.

    :param settings: the keys of site.toml, such as ``staging.root``.
    """
    names = {PREFIX + key.upper().replace(".", "__") for key in settings}
    sections = {key.partition(".")[0].upper() for key in settings}
    for variable in sorted(variables):
        name = variable.upper()
        if not name.startswith(PREFIX):
            continue
        first, parts, rest = name.removeprefix(PREFIX).partition("__")
        if first in sections:
            continue  # what follows the section's name is checked with the rest of it
        near = get_close_matches(name, names, 1, _ALIKE)
        if not near and parts:
            near = [f"{PREFIX}{section}__{rest}" for section in get_close_matches(first, sections, 1)]
        if near:
            yield f"{variable}: overrides no setting; is {near[0]} meant?"
        elif parts:
            yield f"{variable}: overrides no setting; there is no section {first.lower()}"


def renamed(variables: Iterable[str], intakes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yields a sentence for each of the ``variables`` that names an intake by a former name.

    Such a variable would override nothing, and the site would use another queue than it should.

    :param intakes: the section of each intake in site.toml, by the intake's name.
    """
    for name, intake in intakes.items():
        former = intake.get("formerly")
        for old in former if isinstance(former, list) else ():
            start = f"{PREFIX}INTAKE__{old}__".upper()
            for variable in sorted(variables):
                if variable.upper().startswith(start):
                    meant = f"{PREFIX}INTAKE__{name.upper()}__{variable[len(start) :]}"
                    yield f"{variable}: the intake {old} is called {name} now; is {meant} meant?"
