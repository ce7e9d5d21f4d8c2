"""The plan of unpacking: to which work each member of a zip belongs, and where in the new tree it goes.

What belongs here: the plan, made of names alone. What does not: what the names mean in BagIt (``layout``), and carrying
the plan out (``debagging``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ao_workflows.bags.admission import Terms
from ao_workflows.bags.inverted import group_within, is_group, placed
from ao_workflows.bags.layout import BAG_SUFFIX, PAYLOAD, TOO_DEEP, ZipLayout, recognise, too_deep
from ao_workflows.bags.member_names import TWINS, conflict, folders_of, twins
from ao_workflows.bags.payloads import TWICE, FoundWork, folder_of, named, why_another_part, works_of_payload
from ao_workflows.bags.zip_directory import Member
from ao_workflows.errors import RidError, ZipRefused
from ao_workflows.works.parts import Part, part_named
from ao_workflows.works.rids import parse_rid


@dataclass(frozen=True)
class UnpackingPlan:
    """The members that are unpacked, in the order of the file, each with its root and its place in the new tree.

    A root is the folder of a bag or a plain work, with ``/`` at its end; ``works`` has the RIDs of the works in each.
    ``bags`` has the roots that are bags, each with the folder in the work that its tag files go to; it is empty if the
    payload has works in folders, since then the tag files are of none of them. A member that is read and not written
    has an empty place.
    """

    works: Mapping[str, tuple[str, ...]]
    bags: Mapping[str, str]
    members: list[Member]
    roots: list[str]
    targets: list[str]
    warnings: tuple[str, ...]

    @property
    def rids(self) -> list[str]:
        """The RIDs of all works."""
        return [rid for works in self.works.values() for rid in works]

    @property
    def unproven(self) -> list[str]:
        """The RIDs of the works that are in no bag."""
        return [rid for root, works in self.works.items() if root not in self.bags for rid in works]

    def folders(self) -> list[str]:
        """Every folder of the new tree, each after its parent."""
        return sorted(folders_of(self.targets))

    def payload(self) -> Iterator[str]:
        """Where each file of the works is put, without the bags' own files."""
        for member, root, target in zip(self.members, self.roots, self.targets, strict=True):
            if not member.is_folder and (root not in self.bags or member.name.startswith(PAYLOAD, len(root))):
                yield target


def plan_unpacking(zip_path: Path, members: list[Member], terms: Terms | None = None) -> UnpackingPlan:
    """Returns the plan for these members.

    :param terms: for which part of which work the zip was sent, and how the archive has that work's image groups;
        without them that follows from the zip's name.
    :raises ZipRefused: if the zip contains neither bags nor works, or something besides them, or a bag's files where
        they make no bag, or is not the part that it was sent as.
    """
    layout = recognise([member.name for member in members], zip_path.name)
    roots = {**layout.bags, **layout.works}
    if layout.astray:
        raise ZipRefused(zip_path, layout.astray[0], _astray_in_words(layout.astray))
    if not roots:
        raise ZipRefused(zip_path, None, "it holds no bag, which is a folder whose name ends in .bag, and no work")
    if layout.strays:
        more = f" (nor do {len(layout.strays) - 1} more)" if len(layout.strays) > 1 else ""
        raise ZipRefused(zip_path, layout.strays[0], f"it does not belong to {', '.join(sorted(roots))}{more}")
    warnings = [f"{name}: was left behind by a desktop or a network storage, and is left out" for name in layout.litter]
    warnings += [f"{one} and {other}: {TWINS}" for one, other in twins(member.name for member in members)]
    part = terms.part if terms else part_named(zip_path.name.removesuffix(".zip").removesuffix(BAG_SUFFIX))
    found = _found_in(layout, members, part)
    plan = UnpackingPlan(
        {root: tuple(dict.fromkeys(work.rid for work in works.values())) for root, works in found.items()},
        dict.fromkeys(layout.bags, "")
        | _tag_folders({root: each for root, each in layout.bags.items() if _keeps_tags(found[root], part)}, members),
        [],
        [],
        [],
        tuple(warnings),
    )
    left_out, turned = frozenset(layout.litter), False
    for member in members:
        root = None if member.name in left_out else _root_of(member.name, roots)
        if root is not None:
            path = member.name[len(root) :]
            if too_deep(path):
                raise ZipRefused(zip_path, member.name, TOO_DEEP)
            if group := _group_within(path, found[root], bagged=root in plan.bags):
                raise ZipRefused(zip_path, member.name, f"its image group has {group}/ in itself, {TWICE}")
            target = _target(path, found[root], plan.bags.get(root), bool(terms and terms.inverted))
            if target is None:
                raise ZipRefused(zip_path, member.name, f"it is beside the works {', '.join(plan.works[root])}")
            plan.members.append(member)
            plan.roots.append(root)
            plan.targets.append(target)
            turned = turned or not member.name.endswith(target.partition("/")[2])
    if turned and (both := conflict(plan.payload(), folders_of(plan.targets))):
        raise ZipRefused(zip_path, both[0], f"{both[1]} once its image groups are turned")
    if terms:
        bags = layout.bags.values()
        if reason := why_another_part(part, bags, plan.payload(), inverted=terms.inverted):
            raise ZipRefused(zip_path, None, reason)
    return plan


def _found_in(layout: ZipLayout, members: Sequence[Member], part: Part) -> dict[str, dict[str, FoundWork]]:
    """Returns for each root the folders in it that are works or image groups, as paths in its payload."""
    names = [member.name for member in members if layout.works and member.name not in layout.litter]
    found = {root: {"": named({root: name}, part, names)[root]} for root, name in layout.works.items()}
    for root, bag in layout.bags.items():
        payload = f"{root}{PAYLOAD}"
        names = [member.name[len(payload) :] for member in members if member.name.startswith(payload)]
        found[root] = works_of_payload(names, bag, part)
    return found


def check_rids(zip_path: Path, plan: UnpackingPlan) -> None:
    """Refuses a zip with a folder whose name cannot be a RID, or with two folders of one RID.

    :raises ZipRefused: naming the folder.
    """
    seen: set[str] = set()
    for root, works in plan.works.items():
        for rid in works:
            try:
                parse_rid(rid)
            except RidError as error:
                raise ZipRefused(zip_path, root or None, str(error)) from error
            if rid in seen:
                raise ZipRefused(zip_path, root, f"it is the second folder that would become the work {rid}")
            seen.add(rid)


def _root_of(name: str, roots: Mapping[str, str]) -> str | None:
    top = name[: name.find("/") + 1]
    if top in roots:
        return top
    below = name[: name.find("/", len(top)) + 1]
    if below in roots:
        return below
    return "" if "" in roots else None


def _tag_folders(bags: Mapping[str, str], members: Sequence[Member]) -> dict[str, str]:
    """The folder in its work that each bag's tag files go to: ``<RID>.bag``, or the first free of ``<RID>.bag.1`` on.

    What a payload is called means nothing (RFC 8493, 2.1.2), so what it has under such a name stays. That is an earlier
    bag's tag files, as a rule, in a work that was bagged again from the archive.
    """
    taken: dict[str, set[str]] = {root: set() for root in bags}
    wanted = {root: f"{root}{PAYLOAD}{rid}{BAG_SUFFIX}".casefold() for root, rid in bags.items()}
    for member in members:
        name = member.name
        root = name[: name.find("/") + 1]
        near = wanted.get(root)
        # Alike but for case: on some file systems they are one.
        if near and name[: len(near)].casefold() == near and name.startswith(PAYLOAD, len(root)):
            taken[root].add(name[len(root) + len(PAYLOAD) :].partition("/")[0].casefold())
    return {
        root: next(name for name in _numbered(f"{rid}{BAG_SUFFIX}") if name.casefold() not in taken[root])
        for root, rid in bags.items()
    }


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(1):
        yield f"{name}.{number}"


def _target(name: str, works: Mapping[str, FoundWork], tag_folder: str | None, inverted: bool) -> str | None:
    """Where in the tree a member goes, its name being relative to its root; plain works have no tag folder.

    The place is empty for what is not written, and None for what belongs to none of the works.
    """
    if tag_folder is not None:
        if not name.startswith(PAYLOAD):
            return f"{works[''].rid}/{tag_folder}/{name}" if tag_folder else ""
        name = name.removeprefix(PAYLOAD)
    folder = folder_of(name, works)
    if folder is None:
        return "" if name.endswith("/") or not name else None
    work, path = works[folder], name[len(folder) :]
    path = placed(path, work.rid, work.group, inverted=inverted)
    if path.endswith("/") and (inverted or is_group(work.rid, path[:-1])):
        # The folders of files that are turned are made for these.
        return ""
    return f"{work.rid}/{path}"


def _keeps_tags(works: Mapping[str, FoundWork], part: Part) -> bool:
    """Whether a bag's own files go with the work: its payload is the work, and not one image group of it."""
    return "" in works and part.group is None


def _group_within(name: str, works: Mapping[str, FoundWork], *, bagged: bool) -> str | None:
    """The image group that a file's own has in itself, where that lies inverted; the name is relative to its root."""
    if bagged and not name.startswith(PAYLOAD):
        return None
    name = name.removeprefix(PAYLOAD) if bagged else name
    folder = folder_of(name, works)
    if folder is None or name.endswith("/"):
        return None
    return group_within(name[len(folder) :], works[folder].rid, works[folder].group)


def _astray_in_words(astray: Sequence[str]) -> str:
    folder, slash, _ = astray[0].rpartition("/")
    where = f"in {folder}/" if slash else "at the zip's top"
    return (
        f"bag files lie {where}, so a bag is meant, and there they make none: a bag is a folder at the zip's top with "
        f"bagit.txt, the manifests and {PAYLOAD} in it. Zip that folder, or make a bag of the work anew"
    )
