"""What a zip contains, by its names alone: bags, or plain works without a manifest, and which files belong to each.

What belongs here: which folder is a bag or a work, its RID, and what lies beside it. What does not: whether a bag is
valid (``rules``).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ao_workflows.bags.member_names import folders_of

BAG_SUFFIX = ".bag"
PAYLOAD = "data/"

DEEPEST = 100
"""As many levels a file may lie below its bag or work: what removes or copies a tree may go down by recursion."""

TOO_DEEP = f"it lies more than {DEEPEST} levels deep, and not every tool goes down so far; bag the work with fewer"

# As any tool wrote them: a name that came from DOS is in capitals.
_BAG_FILE = re.compile(r"bagit\.txt|bag-info\.txt|(tag)?manifest-(md5|sha|blake2)[a-z0-9_-]*\.txt", re.IGNORECASE)

_WORK_FOLDERS = frozenset({"archive", "sources", "images", "eBooks", "sync-inventory"})

_MACS_FOLDER = "__MACOSX/"
_LITTER_FOLDERS = frozenset({"__MACOSX", "@eaDir", ".AppleDouble", ".Spotlight-V100", ".fseventsd"})
_LITTER_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini", "icon\r"})
"""What desktops and network storage leave behind, none of it anybody's work; the files in small letters: Windows writes
them in several ways."""

_APPLEDOUBLE = "._"
"""How the names of files begin in which a Mac keeps what another file system cannot."""


@dataclass(frozen=True)
class ZipLayout:
    """A zip's bags, or its plain works: the name of each folder, with ``/`` at its end, and the RID that it would have.

    ``strays`` are the names that belong to none of them, except for ``litter``, which desktops and network storage
    leave behind. ``astray`` are bag files, such as bagit.txt and manifests, where they make no bag.
    """

    bags: Mapping[str, str]
    works: Mapping[str, str]
    strays: tuple[str, ...]
    litter: tuple[str, ...]
    astray: tuple[str, ...] = ()


def too_deep(path: str) -> bool:
    """Whether a path, relative to the folder of its bag or work, has more parts than are unpacked."""
    return path.removesuffix("/").count("/") >= DEEPEST


def recognise(names: Sequence[str], zip_name: str) -> ZipLayout:
    """Returns the layout of a zip with these names.

    Bags are folders at the zip's top whose name ends in ``.bag``, or that contain a ``bagit.txt``. A zip without bags
    may contain plain works: these are recognised by the folders in them, and lie at the top or one level below it. If
    the top itself has such folders, it is a work named after the zip. Where bag files lie elsewhere, a bag was meant.
    """
    # A Mac's zip has the folders once more, for what it keeps beside their files: they make no bag and no work.
    own = [name for name in names if _LITTER_FOLDERS.isdisjoint(name.split("/"))]
    folders = folders_of(own)
    tops = sorted(folder for folder in folders if "/" not in folder)
    listed = set(own)
    bags = {
        f"{top}/": top.removesuffix(BAG_SUFFIX)
        for top in tops
        if top.endswith(BAG_SUFFIX) or f"{top}/bagit.txt" in listed
    }
    works = {} if bags else works_among(folders, zip_name.removesuffix(".zip").removesuffix(BAG_SUFFIX))
    strays, litter = _beside(names, [*bags, *works])
    return ZipLayout(bags, works, strays, litter, tuple(_astray(own, bags, listed)))


def _astray(names: Sequence[str], bags: Mapping[str, str], listed: Container[str]) -> Iterator[str]:
    """The bag files that lie in no bag; what a whole bag has, in its payload above all, may be called as it likes."""
    whole = {root for root in bags if f"{root}bagit.txt" in listed}
    for name in names:
        # Of 200,000 names few are looked at closely.
        if name[-4:].lower() != ".txt":
            continue
        folder, slash, last = name.rpartition("/")
        root = name[: name.find("/") + 1]
        if root in whole or not _BAG_FILE.fullmatch(last):
            continue
        # A bag without bagit.txt is told what it lacks, save where its files lie one folder further down.
        if root in bags and (f"{folder}{slash}" == root or name.startswith(PAYLOAD, len(root))):
            continue
        yield name


def works_among(folders: set[str], own_name: str) -> dict[str, str]:
    """Returns the folders that are works, each with ``/`` at its end, and their names.

    A work has ``archive``, ``images`` and the like, or ``<its name>-I…`` folders that have them. The top itself is
    looked at first, and is then the only work; then what is in it, and one level below what is none.

    :param folders: as ``folders_of`` returns them, relative to the top.
    :param own_name: the name of the top itself.
    """
    inside: dict[str, set[str]] = {}
    for folder in folders:
        parent, _, name = folder.rpartition("/")
        inside.setdefault(parent, set()).add(name)

    def is_work(folder: str, name: str) -> bool:
        has, at = inside.get(folder, set()), f"{folder}/" if folder else ""
        groups = (group for group in has if group.startswith(f"{name}-I"))
        return bool(has & _WORK_FOLDERS) or any(inside.get(f"{at}{it}", set()) & _WORK_FOLDERS for it in groups)

    if is_work("", own_name):
        return {"": own_name}
    works: dict[str, str] = {}
    for top in sorted(inside.get("", ())):
        below = [(top, top)] if is_work(top, top) else [(f"{top}/{it}", it) for it in sorted(inside.get(top, ()))]
        works |= {f"{folder}/": name for folder, name in below if is_work(folder, name)}
    return works


def _beside(names: Iterable[str], roots: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names that lie in none of the roots and are no folder above one: strays, and what was left behind.

    A work at the zip's top has all that is there as its own, save what a Mac adds while it zips.
    """
    if "" in roots:
        return (), tuple(name for name in names if name.startswith(_MACS_FOLDER))
    tops = {root.partition("/")[0] for root in roots}
    # A root at the top owns all that is in its folder: no need to look at each name against each root.
    whole = {root.removesuffix("/") for root in roots if root.count("/") == 1}
    deeper = tuple(root for root in roots if root.count("/") > 1)
    strays: list[str] = []
    litter: list[str] = []
    for name in names:
        top, below, _ = name.partition("/")
        if top in whole and below:
            continue
        if top in tops and (name.startswith(deeper) or name == f"{top}/"):
            continue
        (litter if _is_litter(name) else strays).append(name)
    return tuple(strays), tuple(litter)


def _is_litter(name: str) -> bool:
    *folders, file = name.split("/")
    is_file = file.startswith(_APPLEDOUBLE) or file.lower() in _LITTER_FILES
    return is_file or not _LITTER_FOLDERS.isdisjoint(folders)
