"""Proving a zip's bags and works, or the bag in a folder: everything is read once, and compared with what is declared.

What belongs here: which bytes are hashed by which algorithms, and the result for each bag. What does not: reading the
bytes (``zip_pass``, ``folders``), and BagIt's rules (``declarations``, ``rules``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ao_workflows.bags.declarations import (
    Declared,
    Manifest,
    algorithms,
    is_declaration,
    manifests_among,
    read_declaration,
)
from ao_workflows.bags.entries import SIZES, PackedDigests
from ao_workflows.bags.first_few import FirstFew
from ao_workflows.bags.folders import read_folder
from ao_workflows.bags.layout import BAG_SUFFIX, PAYLOAD
from ao_workflows.bags.member_names import TWINS, twins
from ao_workflows.bags.memory import Memory
from ao_workflows.bags.rules import BagValidation, Digests, as_found, validate_bag
from ao_workflows.bags.unpacking import UnpackingPlan
from ao_workflows.bags.zip_directory import Member
from ao_workflows.bags.zip_pass import MemberContent, MemberTask, OpenZip, ZipPass, read_in_pieces
from ao_workflows.errors import Problem
from ao_workflows.fixity.trees import FileFixity
from ao_workflows.shown_names import shown

UNPROVEN_ALGORITHM = "sha256"
"""What files are hashed by that no manifest vouches for."""

_PER_ROOT = 8000
"""Bytes that a bag costs besides its files."""

_PER_DIGEST = 64
"""Bytes of one digest besides its own."""

ProgressListener = Callable[[int, int], None]
"""Is told bytes done and bytes in all."""


@dataclass(frozen=True)
class DebaggedWork:
    """One work: its RID, the files and bytes of payload that its manifests name, and the algorithms of their digests.

    ``tags`` is the folder in the work with the bag's own files; everything else is payload. It is empty if the work has
    none of these: its bag's payload has it in a folder, or no manifest came with it, and ``proven`` is false.
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
    problems: FirstFew[Problem] = field(default_factory=FirstFew)
    warnings: FirstFew[str] = field(default_factory=FirstFew)

    def told(self, name: str) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
        """Returns the problems and warnings, and of each how many were left out; ``name`` is what has these."""
        problems, warnings = [*self.problems], [*self.warnings]
        if self.problems.more:
            problems.append(Problem("structure", name, self.problems.more))
        if self.warnings.more:
            warnings.append(f"{name}: {self.warnings.more}")
        return tuple(problems), tuple(map(shown, warnings))


def prove_folder(
    folder: Path,
    threads: int,
    progress: ProgressListener | None,
    *,
    control_characters: bool = False,
    memory: Memory | None = None,
) -> BagsProof:
    """Reads the bag in a folder and validates it.

    :param control_characters: whether names may contain control characters.
    :raises StagingError: if a file cannot be read.
    :raises ZipRefused: if it needs more memory than it may.
    """
    memory = memory or Memory(folder)
    content = read_folder(folder, threads, progress, control_characters=control_characters, memory=memory)
    declared = content.declared
    validation = validate_bag("", declared, content.sizes, content.digests.get, content.has_payload_folder)
    work = DebaggedWork(
        folder.name.removesuffix(BAG_SUFFIX),
        validation.payload_files,
        validation.payload_bytes,
        algorithms(content.manifests, of_tags=False),
        proven=True,
        tags=folder.name,
    )
    proof = BagsProof([work])
    proof.problems += content.problems
    proof.problems += validation.problems
    proof.warnings += [f"{one} and {other}: {TWINS}" for one, other in twins(content.sizes)]
    proof.warnings += validation.warnings
    return proof


def prove_zip(
    source: OpenZip, plan: UnpackingPlan, threads: int, progress: ProgressListener | None, memory: Memory
) -> BagsProof:
    """Reads every planned member once, writes it where the plan says, and validates each bag.

    :raises ZipRefused: if a member is wrong in a way that damage does not explain, or more memory is needed than may
        be.
    :raises StagingError: if the disk refuses.
    """
    memory.take(len(plan.works) * _PER_ROOT)
    roots = _roots(plan)
    _count_digests(roots.values(), memory)
    tasks = _tasks(plan, roots)
    contents: list[MemberContent | None] = [None] * len(tasks)
    declaring = {number for root in roots.values() for path, number in root.numbers.items() if root.is_read_apart(path)}
    rest = [number for number in range(len(tasks)) if number not in declaring]
    total = sum(member.size for member in plan.members)
    before = sum(plan.members[number].size for number in declaring)
    tell = (lambda done: progress(before + done, total)) if progress else None
    with ZipPass(source, [tasks[number] for number in rest], threads) as under_way:
        # While the threads are at the payload.
        for root in roots.values():
            if root.is_bag:
                read = partial(_read_one, source, tasks, contents, root)
                root.declared = read_declaration(root.folder, root.numbers, read, memory)
        for number in declaring:
            if contents[number] is None:
                contents[number] = read_in_pieces(source, tasks[number], lambda _: None)
        for number, content in zip(rest, under_way.contents(tell), strict=True):
            contents[number] = content
    proof = BagsProof()
    proof.warnings += plan.warnings
    for root in roots.values():
        _validate_root(root, tasks, contents, proof)
    return proof


def _count_digests(roots: Iterable[_Root], memory: Memory) -> None:
    for root in roots:
        by = algorithms(root.manifests, of_tags=True) if root.is_bag else (UNPROVEN_ALGORITHM,)
        memory.take(len(root.numbers) * sum(SIZES[name] + _PER_DIGEST for name in by))


def _read_one(
    source: OpenZip,
    tasks: Sequence[MemberTask],
    contents: list[MemberContent | None],
    root: _Root,
    path: str,
    take: Callable[[bytes], object],
) -> None:
    """Does the task of one of the files that say what the bag is, and passes its bytes on."""
    number = root.numbers[path]
    contents[number] = read_in_pieces(source, tasks[number], take)


@dataclass
class _Root:
    """A bag or a plain work of the zip: ``numbers`` has its files' places in the plan, by path relative to it.

    ``rids`` has its works. ``tags`` is the folder that a bag's tag files go to, empty if they go nowhere; None for a
    plain work.
    """

    folder: str
    rids: tuple[str, ...]
    tags: str | None
    numbers: dict[str, int] = field(default_factory=dict)
    has_payload_folder: bool = False
    manifests: tuple[Manifest, ...] = ()
    declared: Declared = field(default_factory=Declared)

    @property
    def is_bag(self) -> bool:
        return self.tags is not None

    def is_read_apart(self, path: str) -> bool:
        return self.is_bag and is_declaration(path)


def _roots(plan: UnpackingPlan) -> dict[str, _Root]:
    roots = {folder: _Root(folder, rids, plan.bags.get(folder)) for folder, rids in plan.works.items()}
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
            MemberTask(
                member, () if member.is_folder else by[folder][is_tag], None if member.is_folder else target or None
            )
        )
    return tasks


def _validate_root(
    root: _Root, tasks: Sequence[MemberTask], contents: Sequence[MemberContent | None], proof: BagsProof
) -> None:
    def found(path: str) -> Digests | None:
        task, content = tasks[root.numbers[path]], contents[root.numbers[path]]
        if content is None or content.damage:
            return None
        return PackedDigests(task.algorithms, content.digests)

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
    listed = dict(_listed(root, tasks, sizes, validation))
    counts = dict.fromkeys(root.rids, (0, 0))
    for path, file in listed.items():
        if not root.is_bag or path.startswith(PAYLOAD):
            count, size = counts[file.work]
            counts[file.work] = count + 1, size + file.size
    if len(root.rids) == 1:
        # What the manifests name counts, even if the plan has left some of it out.
        counts = {root.rids[0]: (validation.payload_files, validation.payload_bytes)}
    proof.works += [DebaggedWork(rid, *counts[rid], by, root.is_bag, tags) for rid in root.rids]
    proof.files += listed.values()
    proof.problems += [
        Problem("structure", f"{root.folder}{path}", "it is proven, and has no place in the work's folder")
        for path in validation.digests
        if path not in listed and (tags or not root.is_bag or path.startswith(PAYLOAD))
    ]


def _listed(
    root: _Root, tasks: Sequence[MemberTask], sizes: Mapping[str, int], validation: BagValidation
) -> Iterator[tuple[str, FileFixity]]:
    """Every file that is written, with the digests that the manifests give, or were found where they give none."""
    for path, number in root.numbers.items():
        target = tasks[number].target
        digests = validation.vouched.get(path) or validation.digests.get(path)
        if target is not None and digests is not None:
            rid, _, place = target.partition("/")
            yield path, FileFixity(rid, place, sizes[path], digests)


def _damages(member: Member, content: MemberContent | None) -> Iterator[Problem]:
    if content is None:
        return
    if content.damage:
        yield Problem("checksum", member.name, content.damage)
    elif content.crc is not None:
        reason = "its CRC is not the one in the zip"
        yield Problem("checksum", member.name, reason, "crc32", f"{member.crc:08x}", f"{content.crc:08x}")
