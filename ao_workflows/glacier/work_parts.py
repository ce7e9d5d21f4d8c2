"""The parts of a work, by what lies in its folder of the bucket: which there are, which are needed, which are meant.

What belongs here: decisions about a listing as plain values. What does not: the listing itself
(``ao_workflows.glacier.client``), and how far each part is (``ao_workflows.glacier.part_states``).

The newest state of a work is in the bag of each image group, which a change makes anew whole; in the bag that is named
as the work, which has everything else; and in each bag of later changes. One that is older than the bag named as the
work is not needed: that was made of all that there was. What is the later of two is by S3's LastModified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal

from ao_workflows.aws.listed import ListedObject
from ao_workflows.errors import PartsMissing, RidError
from ao_workflows.glacier.rules import ObjectAddress
from ao_workflows.works.parts import Layout, Part, group_in_catalogue, part_of_key

Only = Literal["images", "rest"]
"""Of a work in parts: its image groups alone, or everything else alone."""


@dataclass(frozen=True)
class KnownPart:
    """A part that lies in the bucket. ``needed`` says whether the newest state of the work needs it."""

    part: Part
    address: ObjectAddress
    listed: ListedObject
    needed: bool = True


@dataclass(frozen=True)
class WorkListing:
    """What lies where a work's parts belong: the parts, by name, and for each other key why it is none."""

    parts: tuple[KnownPart, ...] = ()
    foreign: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_parts(self) -> bool:
        """Whether the work lies in more than the zip that is named as the work."""
        return any(not known.part.is_named_as_work for known in self.parts)


def parts_listed(
    rid: str,
    listed: Iterable[tuple[ObjectAddress, ListedObject]],
    layout: Layout,
    patterns: Sequence[str],
) -> WorkListing:
    """Returns the parts of a work among the objects that were listed for it. Of two with one name the newer counts.

    :param patterns: the keys of which an event starts a run; a restored object of another key would never come.
    """
    newest: dict[str, KnownPart] = {}
    foreign: dict[str, str] = {}
    for address, each in listed:
        if each.is_folder:
            continue
        key, mine = each.key, f"/{rid}/" in f"/{each.key}"
        if mine and PurePosixPath(key).parent.name != rid:
            foreign[key] = "it lies in a folder of its own"
            continue
        try:
            part = part_of_key(key, layout)
        except RidError as error:
            if mine:
                foreign[key] = error.reason
            continue
        if part.rid != rid:
            if mine:
                foreign[key] = "it is named as no part of the work"
        elif not any(fnmatchcase(key, pattern) for pattern in patterns):
            foreign[key] = "no run starts for it: `keys` of the intake do not match it"
        else:
            known, other = KnownPart(part, address, each), newest.get(part.name)
            older = min(known, other, key=_written) if other else None
            newest[part.name] = max(other, known, key=_written) if other else known
            if older:
                foreign[older.listed.key] = f"{newest[part.name].listed.key} is newer"
    whole = newest.get(rid)
    parts = [_as_needed(known, whole) for _, known in sorted(newest.items())]
    return WorkListing(tuple(parts), foreign)


def _written(known: KnownPart) -> datetime:
    return known.listed.modified


def _as_needed(known: KnownPart, whole: KnownPart | None) -> KnownPart:
    changes = known.part.group is None and not known.part.is_named_as_work
    needless = changes and whole is not None and _written(known) < _written(whole)
    return replace(known, needed=not needless)


def chosen_parts(rid: str, parts: Sequence[Part], only: Only | None, groups: Sequence[str]) -> set[str]:
    """Returns the names of those parts that a person means.

    :param only: image groups alone, or all else alone; None for both.
    :param groups: image groups by the name of their folder, or by either name that the catalogue and the disk have for
        them: ``W22084-0886``, ``0886`` or ``I0886``. Without any, all.
    :raises PartsMissing: if there are none, or no such group.
    """
    there = [part for part in parts if part.group]
    if missing := [name for name in groups if not any(_is_called(part, name) for part in there)]:
        raise PartsMissing(rid, f"no image group {', '.join(missing)}", [part.name for part in there])
    if groups:
        return {part.name for part in there if any(_is_called(part, name) for name in groups)}
    found = {part.name for part in parts if only is None or (part.group is not None) == (only == "images")}
    if not found:
        raise PartsMissing(rid, f"no part of {only}", [part.name for part in parts])
    return found


def _is_called(part: Part, name: str) -> bool:
    if name.startswith(f"{part.rid}-"):
        return part.name == name
    return "-" not in name and group_in_catalogue(part.name) == group_in_catalogue(name)
