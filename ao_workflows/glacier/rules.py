"""Rules for restore requests: how far a restore has come, and whether Glacier is to be asked.

What belongs here: decisions about plain values, and the sentences that tell them. What does not: the calls to S3
(``ao_workflows.glacier.client``), and how far a work has come in the archive (``ao_workflows.drs.rows``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ao_workflows.aws.objects import Storage
from ao_workflows.drs.rows import Progress
from ao_workflows.errors import AoError, RidError
from ao_workflows.works.rids import parse_rid, rid_of_key
from ao_workflows.works.stages import Stage

SLOWEST_RETRIEVAL = timedelta(hours=72)
"""Bulk from DEEP_ARCHIVE takes 48 hours typically; what has not begun to come by now never will."""


class Tier(StrEnum):
    """How fast Glacier is to be, and how dear."""

    BULK = "Bulk"
    STANDARD = "Standard"
    EXPEDITED = "Expedited"


class State(StrEnum):
    """How far the restore of an object has come.

    ``ASKED`` is known from DRS alone: S3 does not show it yet. ``SYNCED`` is a work that an earlier restore brought
    into the archive and whose copy is gone again.
    """

    NOT_ASKED = "not asked"
    ASKED = "asked"
    UNDER_WAY = "under way"
    RESTORED = "restored"
    EXPIRED = "expired"
    SYNCED = "synced"
    NOT_IN_GLACIER = "not in glacier"


@dataclass(frozen=True)
class Target:
    """A work that is asked for by its RID, or by its object's own address where that is not the layout's."""

    rid: str
    bucket: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a work's object is, or may be: a key of the bucket of one intake."""

    intake: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def parse_target(word: str) -> Target:
    """A RID, or an object's address such as ``s3://bucket/a/key/W1NLM4700.bag.zip``.

    :raises RidError: where it is neither.
    """
    if not word.startswith("s3://"):
        return Target(parse_rid(word))
    bucket, _, key = word.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise RidError(word, "an address is s3://bucket/key")
    return Target(rid_of_key(key), bucket, key)


def listed(lines: Iterable[str]) -> list[str]:
    """What a list names, one a line, each once; blank lines say nothing, nor does a ``#`` and what follows it.

    That ``#`` begins the line or stands after a space: ``W1NLM47#99`` is no way to write another work's RID.
    """
    words = (re.sub(r"(^|\s)#.*", "", line.lstrip("\ufeff")).strip() for line in lines)
    return list(dict.fromkeys(filter(None, words)))


def requested_on(progress: Progress | None) -> datetime | None:
    """When the restore that a work's row tells of was asked for; None where the row says nothing of it."""
    return progress.times.get(Stage.RESTORE_REQUESTED) if progress else None


def awaited(progress: Progress | None) -> bool:
    """Whether DRS knows of a request whose object has not come yet."""
    return progress is not None and progress.stage is Stage.RESTORE_REQUESTED


def state_of(storage: Storage, progress: Progress | None, now: datetime) -> State:
    """How far a restore has come: by S3 where it says so, else by the work's row in DRS."""
    if storage.ongoing:
        return State.UNDER_WAY
    if not storage.archived:
        return State.NOT_IN_GLACIER
    if storage.restored and (storage.expires is None or storage.expires > now):
        return State.RESTORED
    if progress and Stage.SYNCED_ARCHIVE in progress.times:
        return State.SYNCED
    if progress is None or progress.stage is None:
        return State.EXPIRED if storage.restored else State.NOT_ASKED
    asked = requested_on(progress)
    recently = asked is not None and now - asked < SLOWEST_RETRIEVAL
    return State.ASKED if awaited(progress) and recently else State.EXPIRED


def is_to_be_asked(state: State, *, again: bool) -> bool:
    """Whether Glacier is to be asked: where no copy is there or on its way.

    A list that is run a month later must not pay for the works that it has brought into the archive: ``again`` says
    that they are meant too.
    """
    return state in (State.NOT_ASKED, State.ASKED, State.EXPIRED) or (state is State.SYNCED and again)


def refusal(storage: Storage, tier: Tier) -> str | None:
    """Why the object cannot be restored by the tier; None where it can.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html
    """
    if tier is Tier.EXPEDITED and storage.deep:
        return f"it is in {storage}, which knows no Expedited retrieval: ask with --tier Standard or --tier Bulk"
    return None


@dataclass(frozen=True)
class Told:
    """What is known of one work in the end: its ``state``, or the ``error`` that kept that from being known.

    ``asked_now`` says that Glacier has taken this request; an error beside it is one of what came after.
    """

    name: str
    rid: str = ""
    place: Place | None = None
    storage: Storage | None = None
    state: State | None = None
    asked_now: bool = False
    requested: datetime | None = None
    synced: datetime | None = None
    error: AoError | None = None

    def sentence(self) -> str:  # noqa: PLR0911 - one a state
        """The same in one line, without the work's name."""
        if self.asked_now:
            return f"asked; it is in {self.storage}"
        since = f" on {moment(self.requested)}" if self.requested else ""
        match self.state:
            case State.UNDER_WAY:
                return f"already asked{since}; Glacier is at it"
            case State.RESTORED if self.storage and self.storage.expires:
                return f"restored until {moment(self.storage.expires)}"
            case State.NOT_IN_GLACIER:
                return f"not in Glacier but in {self.storage}: it can be read as it is"
            case State.SYNCED:
                return f"in the archive since {moment(self.synced)}, its restored copy gone; --again asks for another"
            case State.ASKED:
                return f"asked{since}; S3 does not show it yet"
            case _:
                return f"{self.state}{since and f'; it was asked for{since}'}"


def moment(at: datetime | None) -> str:
    """A time as people read it, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else "an unknown time"
