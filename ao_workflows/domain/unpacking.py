"""What becomes of each member of a zip: which work it belongs to, and where in the new tree it goes.

What belongs here: the plan, made of names alone. What does not: what the names are in BagIt (``bag_layout``), and
carrying the plan out (``bags``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ao_workflows.domain.bag_layout import BAG_SUFFIX, PAYLOAD, recognise
from ao_workflows.domain.errors import RidError, ZipRefused
from ao_workflows.domain.member_names import TWINS, folders_of, twins
from ao_workflows.domain.works import parse_rid
from ao_workflows.domain.zip_directory import Member


@dataclass(frozen=True)
class Plan:
    """The members that are taken, in the order of the file, each with its root and its place in the new tree.

    A root is the folder of a bag or a plain work, with ``/`` at its end; ``rids`` has the RID of each, ``bags``
    those roots that are bags. ``targets`` is None where a member is read and not written.
    """

    rids: Mapping[str, str]
    bags: frozenset[str]
    members: list[Member]
    roots: list[str]
    targets: list[str | None]
    warnings: tuple[str, ...]

    def folders(self) -> list[str]:
        """Every folder of the new tree, each behind its parent."""
        return sorted(folders_of(target for target in self.targets if target))


def plan_unpacking(zip_path: Path, members: list[Member]) -> Plan:
    """What becomes of each member.

    :raises ZipRefused: if the zip holds neither bags nor works, or something besides.
    """
    layout = recognise([member.name for member in members], zip_path.name)
    rids = {**layout.bags, **layout.works}
    if not rids:
        raise ZipRefused(zip_path, None, "it holds no bag, which is a folder whose name ends in .bag, and no work")
    if layout.strays:
        more = f" (nor do {len(layout.strays) - 1} more)" if len(layout.strays) > 1 else ""
        roots = ", ".join(sorted(rids))
        raise ZipRefused(zip_path, layout.strays[0], f"it does not belong to {roots}{more}")
    warnings = [f"{name}: was left behind by a desktop or a network storage, and is left out" for name in layout.litter]
    warnings += [f"{one} and {other}: {TWINS}" for one, other in twins(member.name for member in members)]
    plan = Plan(rids, frozenset(layout.bags), [], [], [], tuple(warnings))
    for member in members:
        root = _root_of(member.name, rids)
        if root is not None:
            plan.members.append(member)
            plan.roots.append(root)
            plan.targets.append(_target(member.name[len(root) :], rids[root], root in layout.bags))
    return plan


def check_rids(zip_path: Path, plan: Plan) -> None:
    """Refuses a zip whose folders are no works' names, or the same one's.

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


def _target(name: str, rid: str, is_bag: bool) -> str | None:
    """Where in the tree a member goes, its name being relative to its root."""
    if not is_bag:
        return f"{rid}/{name}"
    declared = f"{rid}{BAG_SUFFIX}"
    if not name.startswith(PAYLOAD):
        return f"{rid}/{declared}/{name}"
    name = name.removeprefix(PAYLOAD)
    # The folder of an earlier bag gives way to this one's.
    return None if name == declared or name.startswith(f"{declared}/") else f"{rid}/{name}"
