"""Which works a bag's payload is, and which of its folders is an image group of one.

What belongs here: that decision, made of the names of folders, as the archive's own system makes it; and whether a zip
is the part that its name says. What does not: the folders by which a work is known (``layout``), and where a group's
files are put (``inverted``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ao_workflows.bags.inverted import is_group, lies_upright
from ao_workflows.bags.layout import works_among
from ao_workflows.bags.member_names import folders_of
from ao_workflows.works.parts import Part


@dataclass(frozen=True)
class FoundWork:
    """A folder that becomes the work ``rid``, or the image group ``group`` of it if that is not empty."""

    rid: str
    group: str = ""


def works_of_payload(names: Collection[str], bag: str, part: Part) -> dict[str, FoundWork]:
    """Returns the works in a bag's payload by their folders in it, each with ``/`` at its end.

    If the payload itself is a work, or nothing in it looks like one, it is the work that the bag is named after, and
    its folder is the empty one. So it is if there are files beside the works in it, unless one of these is the work
    that is expected: then what is beside it belongs nowhere.

    :param names: the payload's files and folders, relative to it.
    :param bag: the bag's name, without ``.bag``.
    :param part: the part that the zip is to be.
    """
    folders = folders_of(names)
    whole = named({"": bag}, part, names)
    works = named(works_among(folders, bag), part, names)
    expected = any(work.rid == part.rid for work in works.values())
    if not works:
        # A folder with a name that is expected is meant by it, though what it has may be nothing but config/.
        tops = sorted(folder for folder in folders if "/" not in folder)
        works = named({f"{top}/": top for top in tops if top == part.rid or is_group(part.rid, top)}, part, names)
    beside = any(name and not name.endswith("/") and folder_of(name, works) is None for name in names)
    return works if works and (expected or not beside) else whole


def named(found: Mapping[str, str], part: Part, names: Collection[str]) -> dict[str, FoundWork]:
    """Returns the works or groups that some folders are, by their names.

    The top, of a payload or a zip, may be named after a group and have it as the work has it: then it is the work's.

    :param names: what is in the top.
    """
    return {
        folder: FoundWork(name)
        if name == part.rid or not is_group(part.rid, name)
        else FoundWork(part.rid, "" if not folder and lies_upright(names, part.rid, name) else name)
        for folder, name in found.items()
    }


def folder_of(name: str, works: Mapping[str, FoundWork]) -> str | None:
    """Returns the folder, of those that are works, that a name in the payload lies in; None if it is in none."""
    if "" in works:
        return ""
    top = name[: name.find("/") + 1]
    if top in works:
        return top
    below = name[: name.find("/", len(top)) + 1]
    return below if below in works else None


def why_another_part(part: Part, bags: Iterable[str], targets: Iterable[str], *, inverted: bool) -> str | None:
    """Returns why a zip is not the part that its name says, or None if it may be.

    :param bags: the names of the zip's bags, without ``.bag``.
    :param targets: where its payload is put, as ``<RID>/<path>``.
    :param inverted: whether image groups are put there inverted.
    """
    for bag in bags:
        if bag != part.name and (not part.is_named_as_work or is_group(part.rid, bag)):
            return f"it was sent as {part}, and its bag is {bag}; {_WAY_OUT}"
    if group := part.group:
        for target in targets:
            rid, *folders = target.split("/", 3)
            if rid == part.rid and group not in folders[0 if inverted else 1 :][:1]:
                path = "/".join(folders)
                return (
                    f"it was sent as {part}, an image group, and holds {path}, which is not in that group; {_WAY_OUT}"
                )
    return None


_WAY_OUT = (
    "upload each part again under the name of what is in it, or, where the intake's zips are whole works, say so in "
    'site.toml: layout = "whole"'
)

TWICE = (
    "so nobody can say whether it lies inverted or as the work has it. Bag the group anew, all in one of the two: "
    "<group>/images/… or images/<group>/…"
)
