"""Image groups inverted and turned back: where a file of a work lies in either structure, by its path alone.

What belongs here: the two paths of one file. What does not: which folder of a zip is a work or a group
(``ao_workflows.bags.payloads``), and which of the structures the archive has (``ao_workflows.archive.structure``).

A work has ``images/<RID>-<group>/…``. In a part it lies inverted, as ``<RID>-<group>/images/…``, and so it does in the
archive's second structure. The folder that has the groups may have any name, as ``archive`` has.
"""

from __future__ import annotations

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
