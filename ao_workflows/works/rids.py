"""RIDs: what may be the name of a work, and the number in it that its places go by.

What belongs here: names, as pure functions of plain values. What does not: a work's place in the archive and on the web
(``ao_workflows.archive.places``), and on the scratch disk (``ao_workflows.staging.layout``).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ao_workflows.errors import RidError

RID_LENGTH = 64
"""The archive's MySQL indexes 64 characters of a name."""


_RID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def parse_rid(name: str) -> str:
    """``name`` itself, if it can be a work's RID.

    A RID names a folder, a partition and a database row, so it is ASCII letters, digits, ``_``, ``-`` and single
    inner dots, at most 64 of them.

    :raises RidError: with the reason, if it cannot.
    """
    if not name:
        raise RidError(name, "it is empty")
    if len(name) > RID_LENGTH:
        raise RidError(name, f"it has {len(name)} characters, more than {RID_LENGTH}")
    if not _RID.fullmatch(name):
        raise RidError(name, "it begins with an ASCII letter or digit, and has only such, '_', '-' and '.' after it")
    if ".." in name or name.endswith("."):
        raise RidError(name, "dots stand single and inside")
    return name


def rid_of_key(key: str) -> str:
    """The RID that an object's key names: its last part without ``.bag.zip`` or ``.zip``.

    :raises RidError: if the key names no zip, or its name cannot be a RID.
    """
    name = PurePosixPath(key).name
    for suffix in (".bag.zip", ".zip"):
        if name.endswith(suffix):
            return parse_rid(name.removesuffix(suffix))
    raise RidError(name, "the object is no .zip")


def bucket_number(rid: str) -> int:
    """The number of the archive's bucket: the RID's last two digits, or 0 where they are no digits."""
    last = rid[-2:]
    return int(last) if len(last) == 2 and last.isascii() and last.isdigit() else 0  # noqa: PLR2004


_LEFT_OVER = re.compile(rf"\.(?P<rid>{_RID.pattern})\.[^.]+\.tmp")


def rid_of_left_over(name: str) -> str | None:
    """The work whose left-over (see ``StagingLayout.left_over``) has that name, if it is one's."""
    found = _LEFT_OVER.fullmatch(name)
    return found["rid"] if found else None
