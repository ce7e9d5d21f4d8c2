"""Admission: which works of a zip are let in, once it is known what it holds.

What belongs here: whose work a zip must hold, what becomes of one that no manifest vouches for, or that holds nothing;
as rules on RIDs and counts. What does not: what is in the zip (``layout``), and whether it is what its manifests
say (``rules``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from ao_workflows.errors import RidError
from ao_workflows.works.rids import rid_of_key

Unproven = Literal["warn", "refuse"]
"""What becomes of a work that no manifest came with."""


@dataclass(frozen=True)
class Terms:
    """What a zip is taken on: ``rid`` is the work that was asked for.

    ``batches`` says that a zip of several works need not hold that one.
    """

    rid: str
    batches: bool = False
    unproven: Unproven = "warn"


def why_refused(terms: Terms, works: Collection[str], unproven: Collection[str]) -> str | None:
    """Why a zip that holds these works, some of them ``unproven``, is not taken; or None."""
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
    """A warning, for a person who unpacks by hand, where a zip is not named after a work in it."""
    try:
        rid = rid_of_key(zip_name)
    except RidError:
        return None
    if rid in works:
        return None
    return f"{zip_name}: holds {_counted(works)}: {_some(works)}; as the zip of {rid} it is refused"


def no_manifest(works: Iterable[str]) -> str:
    """The words for works that are taken as they are."""
    return f"no manifest came with {', '.join(works)}: nothing of it is proven"


def without_its_own(rid: str, works: Collection[str]) -> str:
    """The words for a batch that was taken."""
    return f"{rid} itself did not come: its zip brought {_some(works)}"


def _counted(works: Collection[str]) -> str:
    return "another work" if len(works) == 1 else f"{len(works)} others"


_SHOWN = 5


def _some(works: Collection[str]) -> str:
    names = sorted(works)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
