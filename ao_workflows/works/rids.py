"""RIDs: which names can be a work's, and the RID that an object's key or a name on the scratch disk contains.

What belongs here: RIDs as plain text. What does not: where a work lies on the scratch disk
(``ao_workflows.staging.layout``) and in the archive (``ao_workflows.archive.places``).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ao_workflows.errors import RidError

RID_LENGTH = 64
"""The archive's MySQL indexes 64 characters of a name."""


_RID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def parse_rid(name: str) -> str:
    """Returns ``name`` if it can be a work's RID.

    A RID names a folder, a partition and a database row. So it has at most 64 characters: ASCII letters, digits, ``_``,
    ``-``, and single dots that are neither first nor last.

    :raises RidError: with the reason, if it cannot be one.
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
    """Returns the RID in an object's key: the last part of the key, without ``.bag.zip`` or ``.zip``.

    :raises RidError: if the key is not that of a zip, or its name cannot be a RID.
    """
    name = PurePosixPath(key).name
    for suffix in (".bag.zip", ".zip"):
        if name.endswith(suffix):
            return parse_rid(name.removesuffix(suffix))
    raise RidError(name, "the object is no .zip")


def bucket_number(rid: str) -> int:
    """Returns the number of a work's bucket in the archive: the RID's last two digits, or 0 if these are not digits."""
    last = rid[-2:]
    return int(last) if len(last) == 2 and last.isascii() and last.isdigit() else 0  # noqa: PLR2004


_LEFT_OVER = re.compile(rf"\.(?P<rid>{_RID.pattern}(\+{_RID.pattern})?)\.[^.]+\.tmp")


def rid_of_left_over(name: str) -> str | None:
    """Returns the RID in the name of a work's left-over file or folder (see ``StagingLayout.left_over``).

    Of a part, it returns the name under which the scratch disk keeps it.

    Returns None if the name is not of that form.
    """
    found = _LEFT_OVER.fullmatch(name)
    return found["rid"] if found else None
