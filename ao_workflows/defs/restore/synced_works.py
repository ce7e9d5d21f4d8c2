"""The outcome of a sync in words: what became of all works of a zip together.

What belongs here: a work that is synced, the failure of those that are not, and what the web page shows about both.
What does not: syncing a work (``ao_workflows.defs.restore.syncing``).
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
    """A work that was synced and proven.

    ``place`` is its folder in the archive, ``log`` the script's log, empty if the script did not run, and ``web`` the
    prefix of its images on the web, or None if they do not go there. ``extra`` has the first of the ``extra_count``
    files that are in the archive and not in the bag. ``images`` is the number of images that were compared on the web,
    and ``by_size`` how many of them by size alone: S3 states no checksum of them, or the site asks for none.

    ``receipt`` is the receipt of its sync. It is None if the options keep the work out of the archive, which does not
    have it, as ``left_out`` then says; and if the archive's copy was only compared again and no receipt can be used.
    """

    place: str
    log: str
    web: str | None
    extra: tuple[str, ...]
    extra_count: int
    images: int
    receipt: Placed | None
    left_out: str = ""
    by_size: int = 0


def combined_failure(synced: Mapping[str, SyncedWork], failed: Mapping[str, AoError]) -> tuple[AoError, list[Problem]]:
    """Returns what went wrong as one error, and a problem for every file that differs.

    If the zip has several works, the paths of the files begin with the work's RID.

    :param synced: the works that were synced.
    :param failed: the error of each work that was not.
    """
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
    """Returns the remark that the web page and DRS must show about works that a person has left alone, if any."""
    left = "is left as it is" if len(works) == 1 else "are left as they are"
    return {"left alone": f"{', '.join(works)} {left} in the archive, by a person's word"} if works else {}


def proofs_shown(synced: Mapping[str, SyncedWork]) -> dict[str, Any]:
    """Returns metadata for the web page: where the works and their logs are, their images, and files beside them."""
    told: dict[str, Any] = paths_shown("archive", {work: done.place for work, done in synced.items()})
    told |= paths_shown("log", {work: done.log for work, done in synced.items() if done.log})
    if on_web := {work: done for work, done in synced.items() if done.web}:
        told["on the web"] = "\n".join(f"{done.images} images at {done.web}" for done in on_web.values())
    if beside := {work: done for work, done in synced.items() if done.extra_count}:
        told["files that only the archive has"] = sum(done.extra_count for done in beside.values())
        told["such as"] = "\n".join(f"{work}/{name}" for work, done in beside.items() for name in done.extra)
    return told


def read_back(synced: Mapping[str, SyncedWork], how: Depth) -> bool:
    """Whether all that was compared was compared by its bytes, and not by its size alone."""
    return how == "checksum" and not any(done.by_size for done in synced.values())


def proof_in_words(synced: Mapping[str, SyncedWork], files: int, how: Depth) -> str:
    """Returns one sentence that says what was compared, and how.

    :param files: how many files were compared.
    """
    images = sum(done.images for done in synced.values())
    extra = sum(done.extra_count for done in synced.values())
    by_size = sum(done.by_size for done in synced.values())
    on_web = f"; {images} images on the web too" if any(done.web for done in synced.values()) else ""
    if by_size and how == "checksum":
        on_web += f", {by_size} of them by size alone, since S3 states no checksum of them"
    besides = f"; the archive has {extra} files besides, which were left" if extra else ""
    alone = " alone, as [sync] verify in site.toml says" if how == "size" else ""
    return f"{files} files compared by {how}{alone}{on_web}{besides}"
