"""Image groups inverted and turned back: where a file of a work lies in either structure, by its path alone.

What belongs here: the two paths of one file. What does not: which folder of a zip is a work or a group
(``ao_workflows.bags.payloads``), and which of the structures the archive has (``ao_workflows.archive.structure``).

A work has ``images/<RID>-<group>/…``. In a part it lies inverted, as ``<RID>-<group>/images/…``, and so it does in the
archive's second structure. The folder that has the groups may have any name, as ``archive`` has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from ao_workflows.works.parts import Part


@lru_cache(maxsize=4096)
def is_group(rid: str, folder: str) -> bool:
    """Whether a folder is named as one of the work's image groups: ``<RID>-I…`` or ``<RID>-<four digits>``."""
    return Part(rid, folder).group is not None


def placed(path: str, rid: str, group: str = "", *, inverted: bool = False) -> str:
    """Returns where a file of a work lies.

    :param path: relative to the work, or to the folder of the image group ``group`` if that is given. It may end in
        ``/``, as a folder's.
    :param inverted: whether image groups are to lie inverted; otherwise they are turned back.
    """
    if group:
        path = f"{group}/{path}"
    first, slash, below = path.partition("/")
    second, deeper, rest = below.partition("/")
    if not slash or not deeper:
        return path
    turn = is_group(rid, second) if inverted else is_group(rid, first)
    if not turn or (not inverted and is_group(rid, second)):
        return path
    return f"{second}/{first}/{rest}"


def group_within(path: str, rid: str, group: str = "") -> str | None:
    """Returns the image group's folder that an inverted group has within itself; None if it has none.

    ``W1-I1/images/W1-I1/1.jpg`` may be a page of the group that lies upright in it, or in a folder of the group.

    :param path: as for ``placed``, of a file.
    """
    first, *folders = (f"{group}/{path}" if group else path).split("/", 3)[:-1] or [""]
    return next((each for each in folders if is_group(rid, each)), None) if is_group(rid, first) else None


def lies_upright(paths: Iterable[str], rid: str, group: str) -> bool:
    """Whether all files are those of one image group as the work has them: ``images/<group>/…``, in no inverted one.

    :param paths: relative to the work, or to a folder that is named after the group.
    """
    files = [path.split("/") for path in paths if path and not path.endswith("/")]
    return bool(files) and all(_is_upright(file, rid, group) for file in files)


def _is_upright(file: Sequence[str], rid: str, group: str) -> bool:
    kind, *folders = file[:-1] or [""]
    return folders[:1] == [group] and not any(each == kind or is_group(rid, each) for each in folders[1:2])
