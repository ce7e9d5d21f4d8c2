"""Parts: a work that lies in several zips, by their names and keys.

What belongs here: whose part a key is, what the part has, and the name under which the scratch disk keeps it. What does
not: how a part's bag is laid out (``ao_workflows.bags``).

Source of the rules: ``deep-archive`` of the index's bdrc-util 1.0.15 (``archive_ops/DeepArchive.py``, which names the
zips, and ``util_lib/GetFromBUDA.py``, which names image groups on disk).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from ao_workflows.errors import RidError
from ao_workflows.works.rids import parse_rid, rid_of_key

Layout = Literal["whole", "parts", "either"]
"""How an intake's objects are named: each zip a work of its own; each a part of the work that its folder is named
after; or either, as the name says."""

_GROUP = re.compile(r"(?P<rid>[A-Za-z0-9_.]+)-(?P<group>I\w+|\d{4})", re.ASCII)

_JOINT = "+"
"""Stands between the work and the part in a name on the scratch disk; no RID has it."""


@dataclass(frozen=True)
class Part:
    """A zip of a work: ``name`` is that of its object without ``.bag.zip``, and ``rid`` the work's.

    The part that is named as the work has everything that is in no image group, or is the whole work in one zip. One
    named after an image group has that group. Any other has what a later sync changed.
    """

    rid: str
    name: str

    @property
    def is_named_as_work(self) -> bool:
        """Whether the zip is named as its work, so that it may be all of it."""
        return self.name == self.rid

    @property
    def group(self) -> str | None:
        """The folder of the part's image group, such as ``W1NLM4700-I1NLM4700_001``; None if it is for no group."""
        found = _GROUP.fullmatch(self.name)
        return self.name if found and found["rid"] == self.rid else None

    @property
    def staged(self) -> str:
        """The name under which the scratch disk keeps the part: the RID, or ``W1NLM4700+W1NLM4700-I1NLM4700_001``."""
        return self.rid if self.is_named_as_work else f"{self.rid}{_JOINT}{self.name}"

    @property
    def redo(self) -> str:
        """The arguments of ``ao reprocess`` that name the part."""
        return self.rid if self.is_named_as_work else f"{self.rid} --part {self.name}"

    def __str__(self) -> str:
        return self.rid if self.is_named_as_work else f"{self.name} of {self.rid}"


def part_of_key(key: str, layout: Layout = "either") -> Part:
    """Returns whose part an object is, by its key.

    Under ``parts`` the folder names the work: ``Archive0/00/W1NLM4700/W1NLM4700-2025-03-02-inventory.bag.zip``. Under
    ``whole`` each zip is a work. Under ``either`` a zip is a part of the work whose folder it is in if its name begins
    with that RID and ``-``; and without that folder, if it is named after an image group.

    :raises RidError: if the key is not that of a zip, or a name in it cannot be a RID.
    """
    name, folder = rid_of_key(key), PurePosixPath(key).parent.name
    if layout == "whole":
        return Part(name, name)
    if layout == "parts":
        if not folder:
            raise RidError(name, 'it is in no folder, and under layout = "parts" the folder names the work')
        return Part(parse_rid(folder), name)
    if folder == name or (folder and name.startswith(f"{folder}-")):
        return Part(parse_rid(folder), name)
    return part_named(name)


def part_named(name: str) -> Part:
    """Returns the part that a zip or a bag of this name is, if nothing but its name is known."""
    found = _GROUP.fullmatch(name)
    return Part(found["rid"], name) if found else Part(name, name)


def part_called(rid: str, name: str) -> Part:
    """Returns the part of a work that a person means: by its own name, or by its image group's, in either of these."""
    return Part(rid, name if name == rid or name.startswith(f"{rid}-") else f"{rid}-{group_on_disk(name)}")


def staged_parts(names: Iterable[str], rid: str) -> list[Part]:
    """Returns the parts of a work, of those names that the scratch disk has, in order."""
    return [part_staged_as(name) for name in sorted(names) if name == rid or name.startswith(f"{rid}{_JOINT}")]


def work_of(staged: str) -> str:
    """Returns the work of a name that the scratch disk has; it may be no RID, if a person made what is named so."""
    return staged.partition(_JOINT)[0]


def part_staged_as(staged: str) -> Part:
    """Returns the part that the scratch disk keeps under this name.

    :raises RidError: if it is no such name.
    """
    rid, joint, name = staged.partition(_JOINT)
    return Part(parse_rid(rid), parse_rid(name) if joint else rid)


def group_on_disk(group: str) -> str:
    """Returns an image group's name on disk by that in the catalogue: ``0123`` for ``I0123``, else the same name."""
    return group[1:] if re.fullmatch(r"I[0-9]{4}", group) else group


def group_in_catalogue(folder: str) -> str:
    """Returns an image group's name in the catalogue by that of its folder: ``I0123`` for ``W1PD1-0123``."""
    group = folder.rpartition("-")[2]
    return f"I{group}" if re.fullmatch(r"[0-9]{4}", group) else group
