"""Proving a zip's bags and works, or the bag in a folder: everything is read once, and compared with what is declared.

What belongs here: which bytes are hashed by which algorithms, and the result for each bag. What does not: reading the
bytes (``zip_pass``, ``folders``), and BagIt's rules (``declarations``, ``rules``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ao_workflows.bags.declarations import (
    Declared,
    Manifest,
    algorithms,
    is_declaration,
    manifests_among,
    read_declaration,
)
from ao_workflows.bags.folders import read_folder
from ao_workflows.bags.layout import BAG_SUFFIX, PAYLOAD
from ao_workflows.bags.member_names import TWINS, twins
from ao_workflows.bags.rules import BagValidation, Digests, as_found, validate_bag
from ao_workflows.bags.unpacking import UnpackingPlan
from ao_workflows.bags.zip_directory import Member
from ao_workflows.bags.zip_pass import MemberContent, MemberTask, OpenZip, ZipPass, read_whole
from ao_workflows.errors import Problem, ZipRefused
from ao_workflows.fixity.trees import FileFixity

UNPROVEN_ALGORITHM = "sha256"
"""What files are hashed by that no manifest vouches for."""

_DECLARATION_BYTES = 1 << 29
"""As many bytes of manifests and the like are held in memory: those of some three million files."""

ProgressListener = Callable[[int, int], None]
"""Is told bytes done and bytes in all."""


@dataclass(frozen=True)
class DebaggedWork:
    """One work: its RID, the files and bytes of payload that its manifests name, and the algorithms of their digests.

    ``tags`` is the folder in the work with the bag's own files; everything else is payload. If no manifest says what
    the bytes should be, ``tags`` is empty and ``proven`` is false.
    """

    rid: str
    files: int
    bytes: int
    algorithms: tuple[str, ...]
    proven: bool
    tags: str


@dataclass
class BagsProof:
    """The result for all bags or works that were read; ``files`` are those that were written."""

    works: list[DebaggedWork] = field(default_factory=list)
    files: list[FileFixity] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def prove_folder(
    folder: Path, threads: int, progress: ProgressListener | None, *, control_characters: bool = False
) -> BagsProof:
    """Reads the bag in a folder and validates it.

    :param control_characters: whether names may contain control characters.
    :raises StagingError: if a file cannot be read.
    """
    content = read_folder(folder, threads, progress, control_characters=control_characters)
    declared = read_declaration("", content.declarations)
    validation = validate_bag("", declared, content.sizes, content.digests.get, content.has_payload_folder)
    work = DebaggedWork(
        folder.name.removesuffix(BAG_SUFFIX),
        validation.payload_files,
        validation.payload_bytes,
        algorithms(content.manifests, of_tags=False),
        proven=True,
        tags=folder.name,
    )
    warnings = [f"{one} and {other}: {TWINS}" for one, other in twins(content.sizes)]
    return BagsProof([work], [], content.problems + validation.problems, warnings + validation.warnings)


def prove_zip(source: OpenZip, plan: UnpackingPlan, threads: int, progress: ProgressListener | None) -> BagsProof:
    """Reads every planned member once, writes it where the plan says, and validates each bag.

    :raises ZipRefused: if a member is wrong in a way that damage does not explain.
    :raises StagingError: if the disk refuses.
    """
    roots = _roots(plan)
    tasks = _tasks(plan, roots)
    contents: list[MemberContent | None] = [None] * len(tasks)
    _read_declarations(source, tasks, contents, roots.values())
    rest = [number for number, content in enumerate(contents) if content is None]
    total = sum(member.size for member in plan.members)
    before = total - sum(plan.members[number].size for number in rest)
    tell = (lambda done: progress(before + done, total)) if progress else None
    with ZipPass(source, [tasks[number] for number in rest], threads) as under_way:
        # While the threads are at the payload.
        for root in roots.values():
            root.declared = read_declaration(root.folder, root.declarations)
            root.declarations.clear()
        for number, content in zip(rest, under_way.contents(tell), strict=True):
            contents[number] = content
    proof = BagsProof(warnings=[*plan.warnings])
    for root in roots.values():
        _validate_root(root, tasks, contents, proof)
    return proof


@dataclass
class _Root:
    """A bag or a plain work of the zip: ``numbers`` has its files' places in the plan, by path relative to it.

    ``tags`` is the folder that a bag's tag files go to; None for a plain work.
    """

    folder: str
    rid: str
    tags: str | None
    numbers: dict[str, int] = field(default_factory=dict)
    has_payload_folder: bool = False
    manifests: tuple[Manifest, ...] = ()
    declarations: dict[str, bytes] = field(default_factory=dict)
    declared: Declared = field(default_factory=Declared)

    @property
    def is_bag(self) -> bool:
        return self.tags is not None


def _roots(plan: UnpackingPlan) -> dict[str, _Root]:
    roots = {folder: _Root(folder, rid, plan.bags.get(folder)) for folder, rid in plan.rids.items()}
    for number, (member, folder) in enumerate(zip(plan.members, plan.roots, strict=True)):
        root, path = roots[folder], member.name[len(folder) :]
        root.has_payload_folder = root.has_payload_folder or path.startswith(PAYLOAD)
        if not member.is_folder:
            root.numbers[path] = number
    for root in roots.values():
        root.manifests = manifests_among(root.numbers) if root.is_bag else ()
    return roots


def _tasks(plan: UnpackingPlan, roots: dict[str, _Root]) -> list[MemberTask]:
    by = {
        folder: (algorithms(root.manifests, of_tags=False), algorithms(root.manifests, of_tags=True))
        if root.is_bag
        else ((UNPROVEN_ALGORITHM,),) * 2
        for folder, root in roots.items()
    }
    tasks = []
    for member, folder, target in zip(plan.members, plan.roots, plan.targets, strict=True):
        is_tag = not member.name.startswith(PAYLOAD, len(folder))
        tasks.append(
            MemberTask(member, () if member.is_folder else by[folder][is_tag], None if member.is_folder else target)
        )
    return tasks


def _read_declarations(
    source: OpenZip, tasks: Sequence[MemberTask], contents: list[MemberContent | None], roots: Iterable[_Root]
) -> None:
    """Does the tasks of the files that say what the bags are, and keeps their bytes."""
    held = 0
    for root in roots:
        for path, number in root.numbers.items():
            if not root.is_bag or not is_declaration(path):
                continue
            held += tasks[number].member.size
            if held > _DECLARATION_BYTES:
                reason = f"the bags' manifests and the like are more than {_DECLARATION_BYTES} bytes"
                raise ZipRefused(source.path, tasks[number].member.name, reason)
            contents[number], root.declarations[path] = read_whole(source, tasks[number])


def _validate_root(
    root: _Root, tasks: Sequence[MemberTask], contents: Sequence[MemberContent | None], proof: BagsProof
) -> None:
    def found(path: str) -> Digests | None:
        task, content = tasks[root.numbers[path]], contents[root.numbers[path]]
        if content is None or content.damage:
            return None
        return {name: digest.hex() for name, digest in zip(task.algorithms, content.digests, strict=True)}

    for number in root.numbers.values():
        proof.problems += _damages(tasks[number].member, contents[number])
    sizes = {path: tasks[number].member.size for path, number in root.numbers.items()}
    validation = (
        validate_bag(root.folder, root.declared, sizes, found, root.has_payload_folder)
        if root.is_bag
        else as_found(sizes, found)
    )
    proof.problems += validation.problems
    proof.warnings += validation.warnings
    by = algorithms(root.manifests, of_tags=False) if root.is_bag else (UNPROVEN_ALGORITHM,)
    tags = root.tags or ""
    proof.works.append(
        DebaggedWork(root.rid, validation.payload_files, validation.payload_bytes, by, root.is_bag, tags)
    )
    listed = dict(_listed(root, tasks, sizes, validation))
    proof.files += listed.values()
    proof.problems += [
        Problem("structure", f"{root.folder}{path}", "it is proven, and has no place in the work's folder")
        for path in validation.digests
        if path not in listed
    ]


def _listed(
    root: _Root, tasks: Sequence[MemberTask], sizes: Mapping[str, int], validation: BagValidation
) -> Iterator[tuple[str, FileFixity]]:
    """Every file that is written, with the digests that the manifests give, or were found where they give none."""
    for path, number in root.numbers.items():
        target = tasks[number].target
        digests = validation.vouched.get(path) or validation.digests.get(path)
        if target is not None and digests is not None:
            yield path, FileFixity(root.rid, target[len(root.rid) + 1 :], sizes[path], digests)


def _damages(member: Member, content: MemberContent | None) -> Iterator[Problem]:
    if content is None:
        return
    if content.damage:
        yield Problem("checksum", member.name, content.damage)
    elif content.crc is not None:
        reason = "its CRC is not the one in the zip"
        yield Problem("checksum", member.name, reason, "crc32", f"{member.crc:08x}", f"{content.crc:08x}")
