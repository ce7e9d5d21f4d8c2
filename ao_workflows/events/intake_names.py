"""Which of the site's intakes a name means that was written down long ago, in a run's config, a receipt, a message.

What belongs here: that decision, of plain values, and the words where there is none. What does not: the settings
(``ao_workflows.site.sections``), and what is done by way of the intake.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FormerName:
    """A name that cannot be given to an intake as a former one, and why."""

    intake: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"intake.{self.intake}.formerly: {self.name!r} {self.reason}"


def clash(formerly: Mapping[str, Iterable[str]]) -> FormerName | None:
    """The first of the former names, by their intakes' names of today, that could mean two intakes."""
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
    """The intake of today that ``name`` means: by its name, by a former one, else the one that is ``alike``.

    ``formerly`` has the intakes of today by their former names; ``alike`` those that have what the name's intake had,
    such as its bucket and region. Of several alike none is meant. A name may have been given to another intake since:
    it means that one only where no single other is alike.
    """
    by_name = name if name in known else formerly.get(name)
    if by_name in alike or len(alike) != 1:
        return by_name
    return next(iter(alike))


def not_meant(known: Collection[str]) -> str:
    """Why a name means no intake, and the way out."""
    there = ", ".join(sorted(known)) or "none"
    return (
        f"is not in site.toml, whose intakes are: {there}. If it was renamed, give the intake in site.toml its old "
        f'name beside the new one, formerly = ["…"]; if it was taken out, put it back'
    )
