"""Names in a zip: how a member is named, and whether a folder can contain it and all the others.

What belongs here: reading a name from its bytes, what makes one unsafe, and which ones exclude each other. What does
not: what else the directory says of a member (``zip_directory``), and what the names mean (``layout``).
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Container, Iterable, Iterator
from itertools import chain

PART_LENGTH = 255
"""Bytes that Linux's file systems take as one name."""

PATH_LENGTH = 3072
"""Bytes that a name may have as a path. Linux takes 4,095, and what stands before it on the scratch disk and in the
archive needs some of them: a name that is unpacked must be one that can be read there, copied and proven.
"""

TWINS = "differ in case or in Unicode normalisation only; another file system may take one for the other"

_UNICODE_PATH = 0x7075
_UNICODE_PATH_HEAD = 5

_DRIVE = re.compile(r"[A-Za-z]:")
_ICON = "Icon\r"
"""The file in which a Mac keeps a folder's own icon."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def decode_name(raw: bytes, declared_utf8: bool, extra: dict[int, bytes]) -> str:
    """Returns a member's name from the bytes in its header.

    If the header does not say that the name is in UTF-8, the Info-ZIP Unicode Path field is used, provided that it
    belongs to these very bytes. Otherwise UTF-8 is tried, since many tools write it without saying so. What is not
    UTF-8 is CP437 (APPNOTE, appendix D).

    :raises UnicodeDecodeError: if the header says UTF-8 and the bytes are not.
    """
    if declared_utf8:
        return raw.decode("utf-8")
    field = extra.get(_UNICODE_PATH, b"")
    if field[:1] == b"\x01" and int.from_bytes(field[1:_UNICODE_PATH_HEAD], "little") == zlib.crc32(raw):
        return field[_UNICODE_PATH_HEAD:].decode("utf-8")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp437")


def without_dots(name: str) -> str:
    """Returns the name without its parts that are ``.``, each of which means the folder that it is in.

    Nothing is left of a name that means the zip's top itself.
    """
    if "./" not in name and not name.endswith("/.") and name != ".":
        return name
    parts = name.split("/")
    kept = [part for part in parts if part != "."]
    return "/".join([*kept, ""] if parts[-1] == "." else kept)


def control_character(name: str) -> bool:
    """Whether the name has a character that must not be printed as it is."""
    return _CONTROL.search(name) is not None


def why_unsafe(name: str, control_characters: bool = False) -> str | None:
    """Returns why a folder must not get this name from a zip, or None if it may. A folder's name ends in ``/``.

    :param control_characters: whether the site accepts names with control characters. A Mac's icon, a file whose name
        ends in one, is always accepted.
    """
    path = name.removesuffix("/")
    parts = path.split("/")
    if not path:
        reason = "it has no name"
    elif name.startswith("/"):
        reason = "its path is absolute"
    elif "\0" in name:
        reason = "its name has the control character NUL, which no file system takes"
    elif not control_characters and _CONTROL.search(name.removesuffix(_ICON) if _is_icon(name) else name):
        reason = "its name has a control character, and [debag] control_characters in site.toml does not allow them"
    elif "\\" in name:
        reason = "its name has a backslash"
    elif _DRIVE.match(name):
        reason = "its path begins with a drive letter"
    elif ".." in parts:
        reason = "its path has '..' in it"
    elif "" in parts:
        reason = "its path has an empty part"
    elif len(name) * 4 > PART_LENGTH and _too_long(path, parts):
        reason = f"its name is over {PART_LENGTH} bytes, or its path over {PATH_LENGTH}: it does not fit"
    else:
        reason = None
    return reason


def _is_icon(name: str) -> bool:
    return name == _ICON or name.endswith(f"/{_ICON}")


def _too_long(path: str, parts: list[str]) -> bool:
    return len(path.encode()) > PATH_LENGTH or any(len(part.encode()) > PART_LENGTH for part in parts)


def conflict(names: Iterable[str], folders: Container[str]) -> tuple[str, str] | None:
    """Returns the first name that cannot exist beside the others, with the reason; None if all can.

    :param folders: what ``folders_of`` returns for the names.
    """
    listed: set[str] = set()
    for name in names:
        if name in listed:
            return name, "two members have this name"
        listed.add(name)
    if both := sorted(name for name in listed if name in folders):
        return both[0], "it is both a file and a folder"
    return None


def folders_of(names: Iterable[str]) -> set[str]:
    """Returns every folder that the names have or imply, without the ``/`` at its end."""
    folders: set[str] = set()
    for name in names:
        parent = name.rpartition("/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    return folders


def twins(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Finds pairs of names that a file system may take for the same: they differ in case or Unicode normalisation only.

    Of two such folders only the folders themselves are named, not what is in them.
    """
    names = list(names)
    seen: dict[str, str] = {}
    for path in chain(sorted(folders_of(names)), (name for name in names if not name.endswith("/"))):
        twin = seen.setdefault(_folded(path), path)
        if twin != path and twin.rpartition("/")[0] == path.rpartition("/")[0]:
            yield twin, path


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
