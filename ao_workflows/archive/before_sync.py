"""Before a sync: what the archive has of the work already, and what the sync will change of that.

What belongs here: the comparison before the script runs, and which of the archive's files will be changed or removed.
What does not: keeping those (``replaced``), and the proof afterwards (``ao_workflows.defs.restore.syncing``).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ao_workflows.errors import Problem, ReplacedUnreadable
from ao_workflows.fixity.trees import FileFixity, compare_tree, files_beside


@dataclass(frozen=True)
class ArchivedCopy:
    """The archive's copy of a work, compared with what was bagged.

    ``there`` says whether the archive has anything at the work's place. ``problems`` has one entry for each file of the
    work that is missing or differs. ``marks`` has the marks of the files that were read and are right: see
    ``ao_workflows.fixity.trees.compare_tree``.
    """

    there: bool
    problems: tuple[Problem, ...] = ()
    marks: dict[str, bytes] = field(default_factory=dict)

    @property
    def changing(self) -> tuple[Problem, ...]:
        """The problems of files that the archive has and that differ, without files that a sync would only add."""
        return tuple(problem for problem in self.problems if problem.kind != "missing")


@dataclass(frozen=True)
class SyncChanges:
    """The archive's files that a sync will change, and those that it will remove, as paths relative to the work."""

    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def compare_copy(place: Path, files: Iterable[FileFixity]) -> ArchivedCopy:
    """Compares the archive's copy of a work with what was bagged, by checksum.

    Every file that the archive has is read, even if its size and time are as expected, and each file only once.

    :param place: the work's folder in the archive.
    """
    try:
        place.lstat()
    except FileNotFoundError:
        return ArchivedCopy(there=False)
    except OSError:
        pass  # The comparison reports it for each file.
    marks: dict[str, bytes] = {}
    # A file that keeps its mark is not read again after the sync, so it must be read from the disk itself here.
    each = ((file.path, file) for file in files)
    problems = compare_tree(place, each, "checksum", dropping_cache=True, marks=marks)
    return ArchivedCopy(there=True, problems=tuple(problems), marks=marks)


def changes_by_sync(place: Path, before: ArchivedCopy, bagged: Iterable[str], *, replace: bool) -> SyncChanges:
    """Returns which of the archive's files a sync will change or remove.

    :param place: the work's folder in the archive, and ``before`` its comparison with what was bagged.
    :param bagged: the paths of the work's files.
    :param replace: whether the sync also removes what is not among the ``bagged`` files.
    :raises ReplacedUnreadable: if a folder that would be removed cannot be read.
    """
    if not before.there:
        return SyncChanges()
    standing = [_standing(place, problem.path) for problem in before.changing]
    changed = dict.fromkeys(name for name in standing if name)
    beside = files_beside(place, set(bagged), strict=True) if replace else ()
    try:
        removed = tuple(name for name in beside if name not in changed)
    except OSError as error:
        raise ReplacedUnreadable(Path(error.filename or place), error.strerror or str(error)) from error
    return SyncChanges(tuple(changed), removed)


def _standing(place: Path, name: str) -> str:
    """Returns the path of what a sync replaces to put the file there; empty if there is nothing.

    That is the file itself, or a file or link where one of its folders should be. The folders are looked at from the
    top, since what lies behind a link is not in the work's folder.
    """
    for end in (*(at for at, character in enumerate(name) if character == "/"), len(name)):
        try:
            status = os.lstat(f"{place}/{name[:end]}")
        except OSError:
            return ""
        if not stat.S_ISDIR(status.st_mode):
            return name[:end]
    return ""
