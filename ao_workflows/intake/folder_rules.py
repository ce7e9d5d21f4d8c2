"""A folder intake's decisions: which files are taken, in which order, and when a file is complete.

What belongs here: those, as pure functions of what was seen, and the cursor that carries it from one tick to the next.
What does not: looking, claiming and launching (``folders``, ``ao_workflows.defs.sensors.folders``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ao_workflows.errors import RidError
from ao_workflows.events.dropped_files import SAVE, Claim
from ao_workflows.works.rids import rid_of_key

QUIET_SECONDS = 60.0
"""How long a file must have been unchanged if nobody can say whether it is still open for writing. An NFS client may
show a size and a time that are this old (its ``acregmax``).
"""

REMEMBERED = 1000
"""How many waiting files are watched for changes, the oldest first; the cursor is read and written with each tick."""

SHOWN = 10

Writers = Literal["none", "some", "unknown"]
"""Whether anybody has a file open for writing; unknown on a mount that another machine may write to."""


@dataclass(frozen=True)
class SeenFile:
    """A file in the folder as it was seen; times are in nanoseconds since 1970.

    ``trouble`` says why it cannot be claimed, if that is known already, as of a link or a folder.
    """

    name: str
    size: int = 0
    modified_ns: int = 0
    changed_ns: int = 0
    trouble: str | None = None

    @property
    def stamp(self) -> tuple[int, int, int]:
        """A value that differs after a write, a rename, or a copy over the file."""
        return self.size, self.modified_ns, self.changed_ns


@dataclass(frozen=True)
class SkippedFile:
    """A file that stays in the folder, with the reason."""

    name: str
    reason: str

    def __str__(self) -> str:
        # A file's name may be any bytes: control characters and half a letter must not get into the tick's message.
        return f"{self.name!r} {self.reason}"


def candidates(looks: Iterable[SeenFile]) -> tuple[list[SeenFile], list[SkippedFile]]:
    """Returns the files that are works' zips, the oldest first, and the files that stay in the folder, sorted
    by name.
    """
    wanted: list[SeenFile] = []
    left: list[SkippedFile] = []
    for look in looks:
        try:
            rid_of_key(look.name)
        except RidError as error:
            reason = "is no .zip" if not look.name.endswith(".zip") else f"names no work: {error.reason}"
            left.append(SkippedFile(look.name, reason))
            continue
        if look.trouble or not look.size:
            left.append(SkippedFile(look.name, look.trouble or "is empty"))
        else:
            wanted.append(look)
    wanted.sort(key=lambda look: (look.modified_ns, look.name))
    left.sort(key=lambda one: one.name)
    return wanted, left


@dataclass(frozen=True)
class Sighting:
    """A file's ``stamp``, and since when the file has had it, in seconds since 1970."""

    stamp: tuple[int, int, int]
    since: float


def why_not_yet(look: SeenFile, writers: Writers, before: Sighting | None, now: float) -> str | None:
    """Returns why a file is not complete, or None if it is.

    A file is complete if it is closed and unchanged. If nobody has it open, it counts as unchanged if an earlier tick
    saw it as it is now, or if its inode was changed after its last byte was written: a rename does that, and so does
    setting the times, which ``cp -p`` and the like do last. If nobody can say whether it is open, it must have been the
    same for ``QUIET_SECONDS``.

    :param before: the file as an earlier tick saw it; None if none did.
    :param now: in seconds since 1970.
    """
    if writers == "some":
        return "is still being written"
    same_since = before.since if before and before.stamp == look.stamp else None
    if writers == "none":
        if same_since is not None or look.changed_ns != look.modified_ns:
            return None
        return "was closed just now: the next tick takes it if it is unchanged"
    if same_since is not None and now - same_since >= QUIET_SECONDS:
        return None
    return f"may still be open elsewhere: it is taken when it has been unchanged for {QUIET_SECONDS:.0f} s"


@dataclass(frozen=True)
class FolderCursor:
    """What one tick passes to the next: the files that wait, by their names, and the names of the claims whose runs
    exist.
    """

    seen: Mapping[str, Sighting] = field(default_factory=dict)
    started: frozenset[str] = frozenset()

    def dump(self) -> str:
        """Returns the cursor as text."""
        return json.dumps(
            {
                "seen": {name: [*sighting.stamp, sighting.since] for name, sighting in self.seen.items()},
                "started": sorted(self.started),
            },
            separators=(",", ":"),
        )

    @classmethod
    def parse(cls, text: str | None) -> FolderCursor:
        """Reads a cursor from its text; returns an empty cursor if there is no text."""
        if not text:
            return cls()
        read = json.loads(text)
        seen = {
            name: Sighting((size, mtime, ctime), since) for name, (size, mtime, ctime, since) in read["seen"].items()
        }
        return cls(seen, frozenset(read["started"]))


def sightings(waiting: Sequence[SeenFile], before: Mapping[str, Sighting], now: float) -> dict[str, Sighting]:
    """Returns what to remember about the files that wait: at most ``REMEMBERED`` of them.

    :param waiting: the oldest first.
    :param before: what the last tick remembered.
    :param now: in seconds since 1970.
    """
    remembered = {}
    for look in waiting[:REMEMBERED]:
        known = before.get(look.name)
        remembered[look.name] = known if known and known.stamp == look.stamp else Sighting(look.stamp, now)
    return remembered


def of_this_intake(claims: Iterable[Claim], owners: Collection[str]) -> tuple[list[Claim], list[Claim]]:
    """Separates the claims of these owners, the oldest first, from those of others."""
    mine: list[Claim] = []
    others: list[Claim] = []
    for claim in sorted(claims, key=lambda claim: (claim.at, claim.token)):
        (mine if claim.owner in owners else others).append(claim)
    return mine, others


def skipped_in_words(left: Sequence[SkippedFile], others: int) -> str:
    """Returns, in words for the tick, which files stay in the folder and why; empty if none does.

    :param others: how many claimed files belong to other sites or intakes.
    """
    said = ""
    if left:
        more = f"; and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        said += f". Left in the folder: {'; '.join(map(str, left[:SHOWN]))}{more}"
    if others:
        said += (
            f". {SAVE}/ has {others} files that another site, or an intake of another name, has claimed: to have one "
            f"taken here, move it back into the folder, or give the intake that name in site.toml, formerly = […]"
        )
    return said
