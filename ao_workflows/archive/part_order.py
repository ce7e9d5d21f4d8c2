"""The order of a work's parts: which of a part's files a newer part has written already, whatever came first.

What belongs here: that decision, from what each part's last sync noted. What does not: the notes' files
(``ao_workflows.archive.part_writes``).

A work's later changes lie in zips of their own, over what its earlier parts brought. Glacier restores them in any
order, so of two parts that bring one file, the one counts whose object was written later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property

from ao_workflows.machine.times import in_order
from ao_workflows.works.parts import Part


@dataclass(frozen=True)
class PartWrites:
    """What the last sync of a part wrote: ``files``, and all in ``folders``, as paths in the work; these end in ``/``.

    ``name`` is the part's, ``written`` when its object was written, in RFC 3339, and ``event`` its event's identity.
    ``is_change`` says that it has what a later sync changed, and is neither an image group nor named as the work.
    ``beside`` says that it is the zip of another work, which brought this one too.
    """

    name: str
    written: str
    event: str
    is_change: bool = False
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    beside: bool = False

    @cached_property
    def _paths(self) -> frozenset[str]:
        return frozenset(self.files) | frozenset(self.folders)

    def noted(self, path: str) -> str | None:
        """Returns how a file that the part wrote is noted: by its own path, or by that of a folder; else None."""
        ends = [at + 1 for at, letter in enumerate(path) if letter == "/"]
        return next((each for each in (path, *(path[:end] for end in ends)) if each in self._paths), None)

    def has(self, path: str) -> bool:
        """Whether the part wrote the file."""
        return self.noted(path) is not None

    def is_newer(self, other: PartWrites) -> bool:
        """Whether this part's files go over the other's. If both were written in one second, the change counts, and
        not what was there before.
        """
        return self.order > other.order

    @property
    def order(self) -> tuple[datetime, bool, str]:
        """What parts are ordered by: when they were written, in whole seconds, and whether they are changes."""
        return in_order(self.written).replace(microsecond=0), self.is_change, self.name

    def dump(self) -> str:
        """Returns the note as JSON."""
        return json.dumps({"version": 1, **asdict(self)}, ensure_ascii=False, indent=1)

    @classmethod
    def parse(cls, text: bytes) -> PartWrites:
        """Reads what ``dump`` returned.

        :raises ValueError: if the text is something else.
        """
        try:
            said = json.loads(text)
            found = cls(
                said["name"],
                said["written"],
                said["event"],
                said["is_change"],
                tuple(said["folders"]),
                tuple(said["files"]),
                said.get("beside") is True,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks {error}") from error
        if said.get("version") != 1 or not all(isinstance(each, str) for each in (*found.folders, *found.files)):
            raise ValueError("it is of another version")
        return found


def writes_of(part: Part, written: str, event: str, paths: Iterable[str], *, whole: bool = False) -> PartWrites:
    """Returns what a part writes with these files.

    An image group comes whole, so one that is a part of its own is noted as a folder.

    :param whole: whether the zip is all of the work: then each of the work's own folders is noted as one.
    """
    folders: dict[str, None] = {}
    files = []
    for path in paths:
        first, _, below = path.partition("/")
        second, deeper, _ = below.partition("/")
        of_group = Part(part.rid, first).group or Part(part.rid, second).group
        if whole and below:
            folders[f"{first}/"] = None
        elif deeper and of_group and (part.group or part.is_named_as_work):
            folders[f"{first}/{second}/"] = None
        else:
            files.append(path)
    is_change = not part.is_named_as_work and part.group is None
    return PartWrites(part.name, written, event, is_change, tuple(folders), tuple(files))


def superseded(
    this: PartWrites, others: Iterable[PartWrites], paths: Iterable[str], is_there: Callable[[str], bool]
) -> dict[str, str]:
    """Returns those of the files that a newer part has written, each with that part's name.

    A part is noted before it is written, and what it wrote may have been removed since. So only what the archive has
    counts: the file itself, or the folder of which all is noted, which may lack the file since the newer part does.

    :param is_there: says whether the archive has a file or folder, by its path in the work.
    """
    newer = [each for each in others if each.name != this.name and each.is_newer(this)]
    found = {}
    for path in paths if newer else ():
        for each in newer:
            noted = each.noted(path)
            if noted is not None and is_there(noted):
                found[path] = each.name
    return found
