"""Dropped files: a zip that a person put into a folder, from its claim to the event that a run is given.

What belongs here: the name under which a claimed file is kept, and the event as a value. What does not: which file may
be claimed (``ao_workflows.intake.folder_rules``), and all access to files (``ao_workflows.intake.folders``).

A file is claimed by one rename into ``save/``, under a name that no other claim has. From then on, that name is the
file's identity: whoever finds the file there, after whatever crash, knows whose it is and asks for the same run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from ao_workflows.errors import RidError
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.machine.times import moment_of_seconds
from ao_workflows.works.rids import parse_rid, rid_of_key

SAVE = "save"
"""The folder inside the intake's folder that keeps the claimed files until their works are synced."""

_STAMP = "%Y%m%dT%H%M%S.%fZ"
_CLAIM = re.compile(
    r"(?P<rid>[^~/]+)~(?P<at>\d{8}T\d{6}\.\d{6}Z)-(?P<token>[0-9a-f]{8})-(?P<owner>[0-9a-f]{8})(?P<suffix>(?:\.bag)?\.zip)",
    re.ASCII,
)


@dataclass(frozen=True)
class Claim:
    """The claim on a dropped file: its work, when and by which intake it was claimed, and a random token.

    The claim is the file's ``name`` in ``save/``, such as
    ``W1NLM4712~20261121T063244.001002Z-0a1b2c3d-4e5f6071.bag.zip``. A RID has no ``~`` in it. ``owner`` is what
    ``owner_of`` returns; ``suffix`` is ``.zip`` or ``.bag.zip``.
    """

    rid: str
    at: datetime
    token: str
    owner: str
    suffix: str

    @property
    def name(self) -> str:
        """The name under which the claimed file is kept in ``save/``."""
        return f"{self.rid}~{self.at.astimezone(UTC).strftime(_STAMP)}-{self.token}-{self.owner}{self.suffix}"

    @property
    def original(self) -> str:
        """The name that the file had when it was dropped."""
        return self.rid + self.suffix

    @classmethod
    def of(cls, file: str, at: datetime, token: str, owner: str) -> Claim:
        """Makes the claim for a file.

        :param file: the file's name as it was dropped.
        :param owner: who claims it: see ``owner_of``.
        :raises RidError: if the name is not that of a work's zip.
        """
        rid = rid_of_key(file)
        return cls(rid, at, token, owner, file.removeprefix(rid))

    @classmethod
    def parse(cls, name: str) -> Claim | None:
        """Reads a claim from a file's name in ``save/``; returns None if it is not the name of a claimed file."""
        found = _CLAIM.fullmatch(name)
        if not found:
            return None
        try:
            rid = parse_rid(found["rid"])
            at = datetime.strptime(found["at"], _STAMP).replace(tzinfo=UTC)
        except (RidError, ValueError):
            return None
        claim = cls(rid, at, found["token"], found["owner"], found["suffix"])
        # A year below 1000 is written with fewer digits than it was read with: that would name another file.
        return claim if claim.name == name else None


def owner_of(instance: str, intake: str) -> str:
    """Returns eight hex digits that stand for one intake of one Dagster instance.

    Two sites may share a folder, and each must know its own claims.
    """
    return hashlib.sha256(f"{instance}/{intake}".encode()).hexdigest()[:8]


@dataclass(frozen=True)
class DroppedFile:
    """The event that a file was dropped and claimed: it is for a folder intake what a restore event is for a queue.

    ``file`` is the file's name in ``save/``. ``folder`` is for people to read: the program looks for the file where the
    intake's settings say. ``time`` is that of the claim, in RFC 3339; ``modified`` is the file's own, in RFC 3339, or
    in words if it is no date; ``size`` is in bytes.
    """

    file: str
    folder: str
    time: str
    modified: str
    size: int

    @property
    def name(self) -> str:
        """The event's name, as S3's events have one."""
        return "FileDropped"

    @property
    def identity(self) -> str:
        """A text that is the same each time this claim is found, and different for every other file, even for one of
        the same name and content.
        """
        return f"{self.name}|{self.file}"

    @property
    def source(self) -> str:
        """The file's path, for people to read."""
        return f"{self.folder}/{SAVE}/{self.file}"


def event_of(claim: Claim, folder: str, modified: float, size: int) -> DroppedFile:
    """Returns the event for a claimed file.

    :param folder: the folder that the file was dropped into.
    :param modified: the file's modification time, in seconds since 1970.
    :param size: in bytes.
    """
    at = moment_of_seconds(modified)
    return DroppedFile(
        file=claim.name,
        folder=folder,
        time=claim.at.isoformat(),
        modified=at.isoformat(timespec="seconds") if at else f"{modified:.0f} s after 1970, which is no date",
        size=size,
    )


WorkEvent = ObjectEvent | DroppedFile
"""What starts a run: a restored object, or a file that was put into a folder."""


def given_in(config: Mapping[str, Any]) -> WorkEvent | None:
    """Returns the event that a run's config contains, or None if there is none.

    Keys that are not known, such as those that another version of the platform wrote, are ignored.
    """
    kind = DroppedFile if config.get("file") else ObjectEvent if config.get("key") else None
    if kind is None:
        return None
    return kind(**{each.name: config[each.name] for each in fields(kind) if each.name in config})
