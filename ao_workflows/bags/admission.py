"""Admission: which works are accepted from a zip, once it is known what the zip contains.

What belongs here: rules on RIDs and counts: whose work a zip must contain, and what happens to one without a manifest,
or to a zip with nothing in it. What does not: what is in the zip (``layout``), and whether it is what its manifests say
(``rules``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from ao_workflows.errors import RidError
from ao_workflows.works.parts import Part, part_named
from ao_workflows.works.rids import rid_of_key

Unproven = Literal["warn", "refuse"]
"""What becomes of a work that no manifest came with."""


@dataclass(frozen=True)
class Terms:
    """What is accepted from a zip that was delivered for the work ``rid``.

    ``batches`` allows a zip of several works that does not contain ``rid``; ``unproven`` says what happens to a work
    without a manifest. ``name`` is that of the part that the zip was sent as, empty if it is the work's own.
    ``inverted`` says that the archive has the work's image groups inverted, so that they are to come out so.
    """

    rid: str
    batches: bool = False
    unproven: Unproven = "warn"
    name: str = ""
    inverted: bool = False

    @property
    def part(self) -> Part:
        """The part of the work that the zip was sent as."""
        return Part(self.rid, self.name or self.rid)


def why_refused(terms: Terms, works: Collection[str], unproven: Collection[str]) -> str | None:
    """Returns why a zip is refused, or None if it is accepted.

    :param works: the RIDs of the works in the zip, of which the ``unproven`` have no manifest.
    """
    part = terms.part
    if not part.is_named_as_work and set(works) != {part.rid}:
        return f"it was sent as {part} and holds {_some(works)}; send each work, and each part, under its own name"
    if terms.rid not in works and not (terms.batches and len(works) > 1):
        return _another_work(terms.rid, works)
    if unproven and terms.unproven == "refuse":
        return f'{no_manifest(unproven)}, and this site says [debag] unproven = "refuse"; make a bag of it'
    return None


def _another_work(rid: str, works: Collection[str]) -> str:
    holds = f"it was sent as {rid} and holds {_counted(works)}: {_some(works)}"
    if twin := next((work for work in works if work.casefold() == rid.casefold()), None):
        return f"{holds}; {twin} and {rid} differ in case, and are two works"
    if len(works) == 1:
        return f"{holds}; send each work under its own name"
    return f"{holds}; where its intake is meant for such zips, site.toml says batches = true of it"


def another_name(zip_name: str, works: Collection[str]) -> str | None:
    """Returns a warning for a person who unpacks by hand, if the zip is not named after a work in it; else None."""
    try:
        rid = rid_of_key(zip_name)
    except RidError:
        return None
    if rid in works or part_named(rid).rid in works:
        return None
    return f"{zip_name}: holds {_counted(works)}: {_some(works)}; as the zip of {rid} it is refused"


def no_manifest(works: Iterable[str]) -> str:
    """Returns the words for works that are accepted as they are, without a manifest."""
    return f"no manifest came with {', '.join(works)}: nothing of it is proven"


def without_its_own(rid: str, works: Collection[str]) -> str:
    """Returns the words for a batch that was accepted though it does not contain the work ``rid``."""
    return f"{rid} itself did not come: its zip brought {_some(works)}"


def _counted(works: Collection[str]) -> str:
    return "another work" if len(works) == 1 else f"{len(works)} others"


_SHOWN = 5


def _some(works: Collection[str]) -> str:
    names = sorted(works)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
