"""Debagging and validating: a zip becomes the folders of its works, every byte proven, or is refused with all faults.

What belongs here: the two things that are done with a bag, ``debag`` and ``validate``, composed of the zip's reader
(``zip_pass``), the meaning of its names (``layout``) and BagIt's rules (``rules``). What does not: where in staging the
folders go, and what a run says about it.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from ao_workflows.bags.admission import Terms, another_name, no_manifest, why_refused
from ao_workflows.bags.first_few import FirstFew
from ao_workflows.bags.memory import Memory
from ao_workflows.bags.proof import BagsProof, DebaggedWork, ProgressListener, prove_folder, prove_zip
from ao_workflows.bags.unpacking import UnpackingPlan, check_rids, plan_unpacking
from ao_workflows.bags.zip_directory import ZipLimits, read_directory
from ao_workflows.bags.zip_pass import TWIN, OpenZip, modification_time
from ao_workflows.errors import BagInvalid, Problem, StagingError, ZipRefused
from ao_workflows.fixity.trees import FileFixity
from ao_workflows.machine.disk import disk_error
from ao_workflows.machine.new_trees import NewTree
from ao_workflows.shown_names import shown


@dataclass(frozen=True)
class DebaggedZip:
    """What a zip became: its works, the fixity of their files, warnings, the payload's bytes, and the seconds that it
    took.
    """

    works: tuple[DebaggedWork, ...]
    files: tuple[FileFixity, ...]
    warnings: tuple[str, ...]
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Validated:
    """The result of validating a bag, or a zip of bags: everything that is wrong, and what is merely unusual."""

    path: Path
    bags: tuple[str, ...]
    files: int
    bytes: int
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    seconds: float

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def debag(
    zip_path: Path,
    into: Path,
    *,
    terms: Terms | None = None,
    limits: ZipLimits | None = None,
    threads: int | None = None,
    time_zone: tzinfo | None = None,
    under_way: Path | None = None,
    progress: ProgressListener | None = None,
) -> DebaggedZip:
    """Unpacks a zip of bags, or of plain works, proves every file, and leaves each work in ``into/<RID>``.

    A bag's payload becomes the work; its manifests and tag files go to the folder ``<RID>.bag/`` in the work, or
    ``<RID>.bag.1/`` and so on if the payload has that name already. ``into`` appears in one rename, in place of what
    was there before, or not at all.

    :param terms: what is accepted from the zip; without them it may contain any work.
    :param time_zone: that of the local times in the zip; the machine's own if None.
    :param under_way: the folder that is renamed in the end; a hidden one beside ``into`` if None.
    :param progress: called with the bytes done and the bytes in all.
    :raises ZipRefused: if the file is not a zip, is not safe to unpack, or contains a work that is not accepted.
    :raises BagInvalid: with every problem, if a bag is not what its manifests say.
    :raises StagingError: if the disk refuses.
    """
    started = time.perf_counter()
    under_way = under_way or into.with_name(f".{into.name}.tmp")
    limits = limits or ZipLimits()
    memory = Memory(zip_path, limits.memory_mib)
    with _opened(zip_path) as descriptor:
        members = read_directory(zip_path, descriptor, limits, memory)
        plan = plan_unpacking(zip_path, members, terms)
        check_rids(zip_path, plan)
        works, unproven = plan.rids, plan.unproven
        if terms and (reason := why_refused(terms, works, unproven)):
            raise ZipRefused(zip_path, None, reason)
        with NewTree(under_way) as tree:
            _make_folders(tree, plan, zip_path)
            source = OpenZip(zip_path, descriptor, tree, time_zone)
            proof = prove_zip(source, plan, threads or _cores(), progress, memory)
            if proof.problems:
                raise BagInvalid(zip_path.name, proof.told(zip_path.name)[0])
            for work in proof.works:
                if not work.files:
                    raise ZipRefused(
                        zip_path, None, f"the work {work.rid} has no file in it: there is nothing to archive"
                    )
            tree.set_times(
                (target, modification_time(member, time_zone))
                for member, target in zip(plan.members, plan.targets, strict=True)
                if member.is_folder and target
            )
            tree.publish(into)
    said = [no_manifest(unproven)] if unproven else []
    if not terms and (other := another_name(zip_path.name, works)):
        said.append(other)
    return DebaggedZip(
        tuple(proof.works),
        tuple(proof.files),
        (*map(shown, said), *proof.told(zip_path.name)[1]),
        sum(work.bytes for work in proof.works),
        time.perf_counter() - started,
    )


def validate(
    path: Path,
    *,
    limits: ZipLimits | None = None,
    threads: int | None = None,
    progress: ProgressListener | None = None,
) -> Validated:
    """Validates the bag in a folder, or the bags in a zip, which is read and not unpacked.

    :param progress: called with the bytes done and the bytes in all.
    :raises StagingError: if the disk refuses.
    """
    started = time.perf_counter()
    limits = limits or ZipLimits()
    memory = Memory(path, limits.memory_mib)
    try:
        if path.is_dir():
            allowed = limits.control_characters
            proof = prove_folder(path, threads or _cores(), progress, control_characters=allowed, memory=memory)
        else:
            with _opened(path) as descriptor:
                plan = plan_unpacking(path, read_directory(path, descriptor, limits, memory))
                proof = prove_zip(OpenZip(path, descriptor), plan, threads or _cores(), progress, memory)
            if not plan.bags:
                reason = "it holds works and no bag: no manifest says what their bytes should be"
                proof.problems.append(Problem("structure", path.name, reason))
            if other := another_name(path.name, plan.rids):
                proof.warnings.append(other)
    except ZipRefused as error:
        proof = BagsProof(problems=FirstFew(error.problems))
    return Validated(
        path,
        tuple(work.rid for work in proof.works if work.proven),
        sum(work.files for work in proof.works),
        sum(work.bytes for work in proof.works),
        *proof.told(path.name),
        time.perf_counter() - started,
    )


@contextmanager
def _opened(zip_path: Path) -> Iterator[int]:
    """The zip's descriptor; what the disk refuses on the way is said of it."""
    try:
        # Not to wait for a writer, should the path be a pipe's.
        descriptor = os.open(zip_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise StagingError(zip_path, f"cannot be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ZipRefused(zip_path, None, "it is no file")
        yield descriptor
    except OSError as error:
        raise disk_error(Path(error.filename or zip_path), "is refused", error) from error
    finally:
        os.close(descriptor)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _make_folders(tree: NewTree, plan: UnpackingPlan, zip_path: Path) -> None:
    for folder in plan.folders():
        try:
            tree.make_folder(folder)
        except FileExistsError as error:
            raise ZipRefused(zip_path, folder, TWIN) from error
