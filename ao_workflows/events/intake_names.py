"""Former names of intakes: which of today's intakes is meant by a name that was written down long ago.

Such names are in the config of runs, in receipts and in messages. What belongs here: that decision, on plain values.
What does not: the settings (``ao_workflows.site.sections``), and what is then done with the intake.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FormerName:
    """A former name that cannot be given to an intake, with the reason; as text, it is a mistake in site.toml."""

    intake: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"intake.{self.intake}.formerly: {self.name!r} {self.reason}"


def clash(formerly: Mapping[str, Iterable[str]]) -> FormerName | None:
    """Returns the first former name that could mean two intakes; None if there is none.

    :param formerly: the former names of each intake, by its present name.
    """
    taken: dict[str, str] = {}
    for intake, names in formerly.items():
        for name in names:
            if name in formerly:
                reason = "is its name today" if name == intake else "is the name of another intake today"
                return FormerName(intake, name, reason)
            if other := taken.get(name):
                reason = "is there twice" if other == intake else f"is claimed by the intake {other} too"
                return FormerName(intake, name, reason)
            taken[name] = intake
    return None


def meant_by(name: str, known: Collection[str], formerly: Mapping[str, str], alike: Collection[str] = ()) -> str | None:
    """Returns the present name of the intake that ``name`` means, or None if it means none.

    A name means the intake that has it, or had it. But the name may have been given to another intake since: if exactly
    one intake is ``alike``, that one is meant.

    :param known: the present names of the intakes.
    :param formerly: the present names by the former ones.
    :param alike: the intakes that have today what the named one had, such as its bucket and region.
    """
    by_name = name if name in known else formerly.get(name)
    if by_name in alike or len(alike) != 1:
        return by_name
    return next(iter(alike))


def not_meant(known: Collection[str]) -> str:
    """Returns the end of an error message about a name that means no intake, with what a person can do about it."""
    there = ", ".join(sorted(known)) or "none"
    return (
        f"is not in site.toml, whose intakes are: {there}. If it was renamed, give the intake in site.toml its old "
        f'name beside the new one, formerly = ["…"]; if it was taken out, put it back'
    )
