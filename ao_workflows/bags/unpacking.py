"""The plan of unpacking: to which work each member of a zip belongs, and where in the new tree it goes.

What belongs here: the plan, made of names alone. What does not: what the names mean in BagIt (``layout``), and carrying
the plan out (``debagging``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ao_workflows.bags.layout import BAG_SUFFIX, PAYLOAD, TOO_DEEP, recognise, too_deep
from ao_workflows.bags.member_names import TWINS, folders_of, twins
from ao_workflows.bags.zip_directory import Member
from ao_workflows.errors import RidError, ZipRefused
from ao_workflows.works.rids import parse_rid


@dataclass(frozen=True)
class UnpackingPlan:
    """The members that are unpacked, in the order of the file, each with its root and its place in the new tree.

    A root is the folder of a bag or a plain work, with ``/`` at its end; ``rids`` has the RID of each. ``bags`` has the
    roots that are bags, each with the folder in the work that its tag files go to.
    """

    rids: Mapping[str, str]
    bags: Mapping[str, str]
    members: list[Member]
    roots: list[str]
    targets: list[str]
    warnings: tuple[str, ...]

    def folders(self) -> list[str]:
        """Every folder of the new tree, each after its parent."""
        return sorted(folders_of(self.targets))


def plan_unpacking(zip_path: Path, members: list[Member]) -> UnpackingPlan:
    """Returns the plan for these members.

    :raises ZipRefused: if the zip contains neither bags nor works, or something besides them, or a bag's files where
        they make no bag.
    """
    layout = recognise([member.name for member in members], zip_path.name)
    rids = {**layout.bags, **layout.works}
    if layout.astray:
        raise ZipRefused(zip_path, layout.astray[0], _astray_in_words(layout.astray))
    if not rids:
        raise ZipRefused(zip_path, None, "it holds no bag, which is a folder whose name ends in .bag, and no work")
    if layout.strays:
        more = f" (nor do {len(layout.strays) - 1} more)" if len(layout.strays) > 1 else ""
        roots = ", ".join(sorted(rids))
        raise ZipRefused(zip_path, layout.strays[0], f"it does not belong to {roots}{more}")
    warnings = [f"{name}: was left behind by a desktop or a network storage, and is left out" for name in layout.litter]
    warnings += [f"{one} and {other}: {TWINS}" for one, other in twins(member.name for member in members)]
    plan = UnpackingPlan(rids, _tag_folders(layout.bags, members), [], [], [], tuple(warnings))
    left_out = frozenset(layout.litter)
    for member in members:
        root = None if member.name in left_out else _root_of(member.name, rids)
        if root is not None:
            path = member.name[len(root) :]
            if too_deep(path):
                raise ZipRefused(zip_path, member.name, TOO_DEEP)
            plan.members.append(member)
            plan.roots.append(root)
            plan.targets.append(_target(path, rids[root], plan.bags.get(root)))
    return plan


def check_rids(zip_path: Path, plan: UnpackingPlan) -> None:
    """Refuses a zip with a folder whose name cannot be a RID, or with two folders of one RID.

    :raises ZipRefused: naming the folder.
    """
    seen: set[str] = set()
    for root, rid in plan.rids.items():
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


def _target(name: str, rid: str, tag_folder: str | None) -> str:
    """Where in the tree a member goes, its name being relative to its root; plain works have no tag folder."""
    if tag_folder is None:
        return f"{rid}/{name}"
    if name.startswith(PAYLOAD):
        return f"{rid}/{name.removeprefix(PAYLOAD)}"
    return f"{rid}/{tag_folder}/{name}"


def _astray_in_words(astray: Sequence[str]) -> str:
    folder, slash, _ = astray[0].rpartition("/")
    where = f"in {folder}/" if slash else "at the zip's top"
    return (
        f"bag files lie {where}, so a bag is meant, and there they make none: a bag is a folder at the zip's top with "
        f"bagit.txt, the manifests and {PAYLOAD} in it. Zip that folder, or make a bag of the work anew"
    )
