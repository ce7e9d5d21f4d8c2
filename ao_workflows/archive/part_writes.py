"""What each part of a work has written, noted on the share that has the work: one small file a part.

What belongs here: reading and writing those files, and a tree without some of its files. What does not: which part goes
over which (``ao_workflows.archive.part_order``). The caller holds the lock of the work's place.
"""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

from ao_workflows.archive.part_order import PartWrites
from ao_workflows.archive.shares import parts_folder
from ao_workflows.errors import StagingError
from ao_workflows.machine.disk import disk_error
from ao_workflows.machine.files import write_whole


def read_writes(parent: Path, rid: str) -> list[PartWrites]:
    """Returns what the parts of a work have written, in the order of their names.

    :param parent: the path of the archive's shares without their digit.
    :raises StagingError: if a note cannot be read: without it an older part could go over a newer one.
    """
    folder = parts_folder(parent, rid)
    found = []
    try:
        for path in sorted(folder.glob("*.json")):
            found.append(PartWrites.parse(path.read_bytes()))
    except OSError as error:
        raise StagingError(folder, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        reason = f"is not what was noted of a part ({error}). Remove it, then reprocess the part that it is named after"
        raise StagingError(path, reason) from error
    return found


def note_writes(parent: Path, rid: str, writes: PartWrites) -> None:
    """Notes what a part is about to write, in place of what its sync before noted; it is on the disk then.

    :raises StagingError: if it cannot be written.
    """
    write_whole(parts_folder(parent, rid) / f"{writes.name}.json", writes.dump(), flush=True)


def forget_writes(parent: Path, rid: str) -> None:
    """Removes what was noted of a work that the archive has no more.

    :raises StagingError: if it cannot be removed.
    """
    for path in parts_folder(parent, rid).glob("*.json"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(path, "cannot be removed", error) from error


def linked_without(tree: Path, left_out: Container[str], into: Path) -> Path:
    """Makes a second tree of hard links without some of the files, and returns it.

    :param left_out: paths in the tree.
    :raises StagingError: if the disk refuses.
    """
    try:
        for folder, _, names in os.walk(tree):
            below = Path(folder).relative_to(tree)
            for name in names:
                if (below / name).as_posix() not in left_out:
                    (into / below).mkdir(parents=True, exist_ok=True)
                    os.link(Path(folder, name), into / below / name, follow_symlinks=False)
    except OSError as error:
        raise disk_error(into, "cannot be made", error) from error
    return into
