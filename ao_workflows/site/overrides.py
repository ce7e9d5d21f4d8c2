"""Overrides: variables that were meant to be one, and are none by their spelling.

What belongs here: telling those from the variables that have another purpose. What does not: reading an override
(``ao_workflows.site.sections``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

PREFIX = "AO_"
_ALIKE = 0.8
"""One underscore instead of two is that near. What compose, the tests or a person's shell have is near to nothing."""


def misspelt(variables: Iterable[str], settings: Collection[str]) -> Iterator[str]:
    """A sentence for each of the ``variables`` that would be ignored; ``settings`` are keys such as ``staging.root``.

    With two underscores it can be nothing but an override. With one it may be anything, so it is only if one is near.
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
    """A sentence for each of the ``variables`` that names an intake by a former name; ``intakes`` is as in site.toml.

    It would override nothing, and its site would work with another queue than it was to.
    """
    for name, intake in intakes.items():
        former = intake.get("formerly")
        for old in former if isinstance(former, list) else ():
            start = f"{PREFIX}INTAKE__{old}__".upper()
            for variable in sorted(variables):
                if variable.upper().startswith(start):
                    meant = f"{PREFIX}INTAKE__{name.upper()}__{variable[len(start) :]}"
                    yield f"{variable}: the intake {old} is called {name} now; is {meant} meant?"
