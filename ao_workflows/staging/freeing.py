"""Freeing the scratch disk: which folders of a work are removed, and what could not be removed.

What belongs here: removing a work's zip and folders, and what its killed runs left half made. What does not: when that
may be done, and the work's lock, which the caller must hold (``ao_workflows.staging.staging``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ao_workflows.errors import StagingError
from ao_workflows.machine.disk import Removed, is_removal_name, removal_name, remove_tree
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.works.rids import rid_of_left_over


@dataclass(frozen=True)
class Freed:
    """What a run freed on the scratch disk at its end.

    ``rid`` is the RID of its work, empty if it freed nothing. ``stuck`` is the error if something of the work could not
    be removed.
    """

    rid: str = ""
    stuck: StagingError | None = None

    def shown(self) -> dict[str, str]:
        """Returns both fields as labelled texts for the web page."""
        shown = {"freed on the scratch disk": self.rid or "nothing"}
        return shown | ({"not freed": str(self.stuck)} if self.stuck else {})


def free(layout: StagingLayout, rid: str) -> int:
    """Removes a work's zip and folders, and returns the bytes freed.

    :raises StagingError: if something cannot be removed. What remains then has a hidden name and is in nobody's way,
        unless the disk refused even the renaming.
    """
    renamed, refused, freed = [], [], 0
    for folder in (layout.incoming(rid), layout.work(rid)):
        try:
            # Renamed first: half a work must not be where its receipt says that a whole one is.
            renamed.append(folder.rename(removal_name(folder)))
        except FileNotFoundError:
            continue
        except OSError as error:
            refused.append(error)
    for folder in renamed:
        try:
            freed += remove_tree(folder)
        except OSError as error:
            refused.append(error)
    if refused:
        raise _not_removed(Path(refused[0].filename), refused[0])
    return freed


def sweep(layout: StagingLayout, rid: str) -> Removed:
    """Removes what killed runs of the work left half unpacked, half removed or half written; the caller holds its lock.

    Returns how many files and folders of ``incoming`` and ``works`` were removed, their bytes, and a sentence for each
    that could not be. Half-written files beside receipts and downloads are removed too, but not counted.
    """
    left_over = layout.left_over(rid)
    count, size, stuck = 0, 0, []
    for parent in layout.may_have_left_overs():
        for path in _hidden(parent):
            if left_over.fullmatch(path.name):
                try:
                    size += remove_tree(path)
                    count += 1
                except OSError as error:
                    stuck.append(str(_not_removed(Path(error.filename or path), error)))
                    # Else a run would take it for a tree that is being unpacked, for which room was promised.
                    with suppress(OSError):
                        _ = is_removal_name(path.name) or path.rename(removal_name(path))
    for folder in (layout.receipt(rid, "any").parent, layout.incoming(rid)):
        for path in _hidden(folder):
            if path.name.endswith(".tmp"):
                with suppress(OSError):
                    path.unlink()
    return Removed(count, size, stuck=tuple(stuck))


def works_with_left_overs(layout: StagingLayout) -> list[str]:
    """Returns the RIDs of the works of which the disk has something half made, in order.

    What a run is making just now is among it: only the work's lock tells the two apart.
    """
    names = (path.name for parent in layout.may_have_left_overs() for path in _hidden(parent))
    return sorted({rid for rid in map(rid_of_left_over, names) if rid})


def works_there(layout: StagingLayout) -> list[str]:
    """Returns the RIDs of the works whose zip or folders are on the disk, in order."""
    names = (name for parent in layout.may_have_left_overs() for name in names_in(parent))
    return sorted({name for name in names if not name.startswith(".")})


def is_there(layout: StagingLayout, rid: str) -> bool:
    """Whether the disk has a work's zip or folders."""
    return os.path.lexists(layout.incoming(rid)) or os.path.lexists(layout.work(rid))


def _hidden(folder: Path) -> Iterator[Path]:
    return (folder / name for name in names_in(folder) if name.startswith("."))


def names_in(folder: Path) -> list[str]:
    """Returns the names in a folder; none if the folder is not there or cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _not_removed(path: Path, error: OSError) -> StagingError:
    return StagingError(
        path,
        f"cannot be removed: {error.strerror}. Nothing needs it: the work's next run and the nightly housekeeping try "
        "again, or remove it by hand",
    )
