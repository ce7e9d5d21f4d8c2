"""Inventories: the list of what a sync changed, as the archive's present tools read it.

What belongs here: an inventory's name and its text. What does not: what changed
(``ao_workflows.deep_copy.what_to_copy``), and where the file is kept (``ao_workflows.deep_copy.records``).

Source of the form: ``get_image_groups_from_inventory`` of ``archive_ops/DeepArchive.py`` in bdrc-util 1.0.15. Each line
is a path that begins with the RID; its third part is taken for a folder that may be an image group's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

_LEAST_PARTS = 3


def inventory_name(rid: str, synced: datetime, taken: Collection[str]) -> str:
    """Returns the name of a sync's inventory, which its bag is named after: ``W1-2025-03-02T101500-inventory``.

    :param synced: when the work was synced.
    :param taken: the names of the parts that were copied already: none of them is given again, since the newest version
        of an object hides what earlier ones have.
    """
    name = f"{rid}-{synced.astimezone(UTC):%Y-%m-%dT%H%M%S}-inventory"
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def inventory_text(rid: str, paths: Iterable[str]) -> str:
    """Returns the inventory of some files of a work, one a line.

    :param paths: the files' paths in the work's folder.
    """
    return "".join(f"{_line(rid, path)}\n" for path in paths)


def _line(rid: str, path: str) -> str:
    # Their reader fails at a line with less than three parts. A file at the top of the work has two: "." is the third.
    return f"{rid}/{path}" if path.count("/") >= _LEAST_PARTS - 2 else f"{rid}/./{path}"
