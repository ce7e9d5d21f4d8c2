"""In which structure the archive has a work: its image groups in ``images/``, or inverted, each with its ``images/``.

What belongs here: finding that out. What does not: where a file lies in either (``ao_workflows.bags.inverted``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ao_workflows.errors import MixedStructure
from ao_workflows.works.parts import Part


def stores_inverted(place: Path, rid: str) -> bool | None:
    """Whether the archive has the work's image groups inverted; None if it has none of the work's.

    :param place: the work's folder in the archive.
    :raises MixedStructure: if it has some in the one structure, and some in the other.
    """
    tops = set(_folders(place))
    inverted = sorted(top for top in tops if Part(rid, top).group and next(_folders(place / top), None))
    upright = [f"{top}/{it}" for top in sorted(tops.difference(inverted)) for it in _folders(place / top)]
    upright = [path for path in upright if Part(rid, path.partition("/")[2]).group]
    if inverted and upright:
        raise MixedStructure(rid, place, inverted[0], upright[0])
    return bool(inverted) if inverted or upright else None


def _folders(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return
