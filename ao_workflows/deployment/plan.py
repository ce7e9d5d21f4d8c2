"""The plan of a deployment's folder: what is to be in it, and what an update may change there.

What belongs here: deciding, from what is wanted, what is there and what was put there last time; choosing sections of
secret files; which secret belongs to production. What does not: reading and writing files
(``ao_workflows.deployment.folder``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

_SECTION = re.compile(r"\s*\[\s*([^\]]+?)\s*\]")
_ENV_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")


class Change(Enum):
    """What happens to one file; the value is what a person reads."""

    NEW = "new"
    SAME = "same"
    UPDATED = "updated"
    KEPT = "kept: edited here"
    """An operator edited it, and what is wanted is what it was."""
    CONFLICT = "KEPT: edited here"
    """An operator edited it, and something else is wanted now: the new text is put beside it."""
    REPLACED = "replaced"
    """It was edited here, and is overwritten because that was asked for."""


@dataclass(frozen=True)
class WantedFile:
    """A file that is to be in the folder: its path there, its content, its mode.

    ``ours_to_merge`` says that the content was made from the file that is there, so that an edit of it is in it
    already.
    """

    path: str
    content: bytes
    mode: int = 0o644
    ours_to_merge: bool = False


@dataclass(frozen=True)
class PlannedFile:
    """One file, and what happens to it."""

    wanted: WantedFile
    change: Change

    @property
    def beside(self) -> str:
        """The path for the new text of a file that stays as it was edited."""
        return f"{self.wanted.path}.new"


def digest_of(content: bytes) -> str:
    """Returns the digest by which a file's content is recognised at the next deployment."""
    return hashlib.sha256(content).hexdigest()


def plan_files(
    wanted: Collection[WantedFile], found: Mapping[str, bytes], recorded: Mapping[str, str], replace: Collection[str]
) -> list[PlannedFile]:
    """Returns what happens to each wanted file.

    :param found: what is there now, by path.
    :param recorded: the digest of what was put there last time, by path.
    :param replace: the paths that are overwritten even if they were edited.
    """
    return [PlannedFile(each, _change(each, found.get(each.path), recorded.get(each.path), replace)) for each in wanted]


def _change(wanted: WantedFile, found: bytes | None, recorded: str | None, replace: Collection[str]) -> Change:
    if found is None:
        return Change.NEW
    if found == wanted.content:
        return Change.SAME
    if wanted.ours_to_merge or digest_of(found) == recorded:
        return Change.UPDATED
    if wanted.path in replace:
        return Change.REPLACED
    return Change.KEPT if digest_of(wanted.content) == recorded else Change.CONFLICT


def merge_env(found: str | None, defaults: Mapping[str, str], given: Mapping[str, str]) -> tuple[str, list[str]]:
    """Returns the text of ``.env``, and sentences about it.

    What is in ``found`` stays, with comments and an operator's own lines, except for the values ``given`` now. Of
    ``defaults``, those are added whose names are missing.
    """
    lines, names, said = [], set(), []
    for line in (found or "").splitlines():
        if match := _ENV_LINE.fullmatch(line):
            name, value = match.groups()
            names.add(name)
            if name in given and given[name] != value:
                said.append(f"{name}: {value or 'empty'} becomes {given[name]}")
                line = f"{name}={given[name]}"  # noqa: PLW2901 - the line as it is to be
            elif name in defaults and name not in given and defaults[name] != value:
                said.append(f"{name}: {value or 'empty'} is kept; the default is {defaults[name]}")
        lines.append(line)
    for name, value in {**defaults, **given}.items():
        if name not in names:
            lines.append(f"{name}={value}")
            if found is not None:
                said.append(f"{name}={value} is added")
    return "".join(f"{line}\n" for line in lines), said


def sections_of(text: str) -> list[str]:
    """Returns the names of an ini file's sections, in their order."""
    return [match[1] for line in text.splitlines() if (match := _SECTION.match(line))]


def only_sections(text: str, names: Collection[str]) -> str:
    """Returns the ini file with these sections only, each as it is there, line by line."""
    taken: list[str] = []
    inside = False
    for line in text.splitlines():
        if match := _SECTION.match(line):
            inside = match[1] in names
        if inside:
            taken.append(line)
    return "".join(f"{line}\n" for line in taken)


def of_production(sections: Collection[str], production: Collection[str]) -> Iterator[str]:
    """Finds the sections that belong to production: those with such a name, and those that production's intakes use."""
    return (
        name for name in sections if name in production or re.match(r"(?i)(.*[-_. ])?prod(uction)?([-_. ].*)?$", name)
    )
