"""The outcome of a sync in words: what became of all works of a zip together.

What belongs here: a work that is done, the failure of those that are not, and what the web page shows of both. What
does not: syncing a work (``ao_workflows.defs.restore.syncing``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ao_workflows.defs.restore.stage import paths_shown
from ao_workflows.errors import AoError, CopyMismatch, Problem, WorksNotSynced
from ao_workflows.fixity.trees import Depth
from ao_workflows.staging.receipts import Placed


@dataclass(frozen=True)
class SyncedWork:
    """A work that was synced and proven: its ``place``, the script's ``log``, and its images' prefix on the ``web``.

    ``extra`` has the first of the ``extra_count`` files that the archive holds and the bag does not; ``images`` counts
    those that were found on the web. ``receipt`` is None where the options kept the work out of the archive, which
    does not hold it; ``left_out`` says so.
    """

    place: str
    log: str
    web: str | None
    extra: tuple[str, ...]
    extra_count: int
    images: int
    receipt: Placed | None
    left_out: str = ""


def combined_failure(synced: Mapping[str, SyncedWork], failed: Mapping[str, AoError]) -> tuple[AoError, list[Problem]]:
    """What went wrong, as one error, and every file that differs, under its work's name where there are several."""
    several = len(synced) + len(failed) > 1
    problems = [
        replace(problem, path=f"{work}/{problem.path}") if several else problem
        for work, error in failed.items()
        if isinstance(error, CopyMismatch)
        for problem in error.problems
    ]
    error = WorksNotSynced(failed, list(synced)) if several else next(iter(failed.values()))
    return error, problems


def left_alone_shown(works: Sequence[str]) -> dict[str, str]:
    """What the web page and DRS must say of the works that a person has left alone; nothing where there is none."""
    left = "is left as it is" if len(works) == 1 else "are left as they are"
    return {"left alone": f"{', '.join(works)} {left} in the archive, by a person's word"} if works else {}


def proofs_shown(synced: Mapping[str, SyncedWork]) -> dict[str, Any]:
    """What was found beside the works, and where, for the web page."""
    told: dict[str, Any] = paths_shown("archive", {work: done.place for work, done in synced.items()})
    told |= paths_shown("log", {work: done.log for work, done in synced.items() if done.log})
    if on_web := {work: done for work, done in synced.items() if done.web}:
        told["on the web"] = "\n".join(f"{done.images} images at {done.web}" for done in on_web.values())
    if beside := {work: done for work, done in synced.items() if done.extra_count}:
        told["files that only the archive has"] = sum(done.extra_count for done in beside.values())
        told["such as"] = "\n".join(f"{work}/{name}" for work, done in beside.items() for name in done.extra)
    return told


def proof_in_words(synced: Mapping[str, SyncedWork], files: int, how: Depth) -> str:
    """The proof in one sentence."""
    images = sum(done.images for done in synced.values())
    extra = sum(done.extra_count for done in synced.values())
    on_web = f"; {images} images on the web too" if any(done.web for done in synced.values()) else ""
    besides = f"; the archive has {extra} files besides, which were left" if extra else ""
    return f"{files} files compared by {how}{on_web}{besides}"
