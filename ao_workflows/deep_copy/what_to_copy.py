"""What to copy: the parts of a work that a deep copy makes, by what the archive has and what was copied before.

What belongs here: that decision, made from plain values. What does not: reading the archive's folder
(``ao_workflows.deep_copy.copying``) and the records (``ao_workflows.deep_copy.records``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ao_workflows.deep_copy.part_layout import part_of_file
from ao_workflows.works.parts import Part

Digests = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file as the archive has it: its path in the work's folder, size in bytes, and time of writing in ns."""

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file as a part has it: its path in the work's folder, size, time of writing, and digests in hex."""

    path: str
    size: int
    modified_ns: int
    digests: Digests


@dataclass(frozen=True, slots=True)
class FileToCopy:
    """A file that goes into a part: ``payload`` is its path in the bag's payload.

    ``digests`` are those that it must have, in hex; empty if nobody has proven it.
    """

    path: str
    payload: str
    size: int
    modified_ns: int
    digests: Digests


@dataclass(frozen=True)
class CopiedPart:
    """A part that was copied: its files by path. ``at`` orders the parts by the time at which they were copied."""

    name: str
    at: str
    files: Mapping[str, CopiedFile]


@dataclass(frozen=True)
class CopiedBefore:
    """What the bucket has of a work, by the records; ``complete`` if all of it was copied once."""

    complete: bool = False
    parts: Mapping[str, CopiedPart] = field(default_factory=dict)


@dataclass(frozen=True)
class PartToCopy:
    """A part to make: its name, and its files in the order of their payload paths."""

    name: str
    files: Sequence[FileToCopy]


@dataclass(frozen=True)
class CopyPlan:
    """What a deep copy does: ``parts`` to make, and the files that ``changed`` since the last, by their paths.

    ``gone`` are the parts that were copied and that the archive has nothing of any more; the bucket keeps them.
    ``missing`` are files that the last sync proved and that the archive does not have: there is nothing to copy then.
    """

    parts: Sequence[PartToCopy]
    changed: Sequence[str]
    gone: Sequence[str] = ()
    missing: Sequence[str] = ()


def plan_copy(
    rid: str, files: Iterable[ArchivedFile], proven: Mapping[str, Digests], before: CopiedBefore, inventory: str
) -> CopyPlan:
    """Returns what a deep copy makes.

    The first time it is every part. Later it is each image group of which a file changed or went, whole; and all other
    files that changed in one part, named after the inventory. If one of the others went, they all go again, since a
    part with changes cannot say that.

    A file is unchanged if its digest is the one that was copied. If the last sync did not prove it, it is if its size
    and its time of writing are: what is then read must still have the digest that was copied.

    :param files: every file that the archive has of the work.
    :param proven: the digests that the last sync proved, by path; turned round or not, as the files may be.
    :param inventory: the name of the part for what changed outside of image groups.
    """
    groups: dict[str, dict[str, FileToCopy]] = {}
    changed: list[str] = []
    others, copied_others = groups.setdefault(rid, {}), _others_before(rid, before)
    known = {part_of_file(rid, path): path for path in proven}
    for file in files:
        name, payload = part_of_file(rid, file.path)
        part = before.parts.get(name)
        last = copied_others.get(file.path) if name == rid else part.files.get(file.path) if part else None
        digests, is_same = _digests_of(file, proven.get(known.pop((name, payload), "")), last)
        groups.setdefault(name, {})[file.path] = FileToCopy(file.path, payload, file.size, file.modified_ns, digests)
        if not is_same:
            changed.append(file.path)
    if known:
        return CopyPlan((), (), missing=sorted(known.values()))
    news = set(changed)
    del groups[rid]
    parts = []
    for name, its in sorted(groups.items()):
        copied = before.parts.get(name)
        if copied is None or copied.files.keys() != its.keys() or not news.isdisjoint(its):
            parts.append(PartToCopy(name, _in_order(its.values())))
    of_others = [path for path in others if path in news]
    if copied_others.keys() - others.keys() or (of_others and not before.complete):
        if others:
            parts.append(PartToCopy(rid, _in_order(others.values())))
    elif of_others:
        parts.append(PartToCopy(inventory, _in_order(others[path] for path in of_others)))
    gone = [name for name in before.parts if Part(rid, name).group and name not in groups]
    gone += [rid] if copied_others and not others else []
    return CopyPlan(parts, sorted(changed), sorted(gone))


def _digests_of(file: ArchivedFile, proven: Digests | None, last: CopiedFile | None) -> tuple[Digests, bool]:
    """Returns the digests that a file must have, and whether it is what was copied last."""
    if proven:
        common = proven.keys() & last.digests.keys() if last else set()
        return proven, bool(last and common and all(last.digests[name] == proven[name] for name in common))
    if last and (last.size, last.modified_ns) == (file.size, file.modified_ns):
        return last.digests, True
    return {}, False


def _others_before(rid: str, before: CopiedBefore) -> Mapping[str, CopiedFile]:
    """Returns what the bucket has of the files in no image group: the last whole part, and the changes after it."""
    whole = before.parts.get(rid)
    found = dict(whole.files) if whole else {}
    for part in sorted(before.parts.values(), key=lambda part: part.at):
        if part.name != rid and not Part(rid, part.name).group and (whole is None or part.at > whole.at):
            found |= part.files
    return found


def _in_order(files: Iterable[FileToCopy]) -> Sequence[FileToCopy]:
    return sorted(files, key=lambda file: file.payload)
