"""Rules for restore requests: which work a person means, how far its restore is, and whether to ask.

What belongs here: decisions about plain values, and the sentences about them. What does not: the calls to S3
(``ao_workflows.glacier.client``), and how far a work is in the archive (``ao_workflows.drs.rows``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ao_workflows.aws.objects import ObjectStorage
from ao_workflows.drs.rows import DrsRow
from ao_workflows.errors import AoError, RidError
from ao_workflows.works.rids import parse_rid, rid_of_key
from ao_workflows.works.stages import Stage

SLOWEST_RETRIEVAL = timedelta(hours=72)
"""Bulk from DEEP_ARCHIVE takes 48 hours typically; what has not begun to come by now never will."""


class Tier(StrEnum):
    """How fast Glacier restores an object, and so how expensive it is."""

    BULK = "Bulk"
    STANDARD = "Standard"
    EXPEDITED = "Expedited"


class RestoreState(StrEnum):
    """How far the restore of an object is.

    ``ASKED`` is known from DRS alone: S3 does not show it yet. ``SYNCED`` is a work that an earlier restore brought
    into the archive, and whose restored copy is gone again. ``GONE`` is a part that was asked for, and is not in the
    bucket any more.
    """

    NOT_ASKED = "not asked"
    ASKED = "asked"
    UNDER_WAY = "under way"
    RESTORED = "restored"
    EXPIRED = "expired"
    SYNCED = "synced"
    NOT_IN_GLACIER = "not in glacier"
    GONE = "gone"


@dataclass(frozen=True)
class Target:
    """A work that a person asks for: by its RID, or by its object's address if the object is not where the layout has
    it. An object that is a ``part`` of a work has that name.
    """

    rid: str
    bucket: str | None = None
    key: str | None = None
    part: str = ""


@dataclass(frozen=True)
class ObjectAddress:
    """Where a work's object is, or may be: a key in the bucket of one intake."""

    intake: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def parse_target(word: str) -> Target:
    """Reads a RID, or an object's address such as ``s3://bucket/a/key/W1NLM4700.bag.zip``.

    :raises RidError: if it is neither.
    """
    if not word.startswith("s3://"):
        return Target(parse_rid(word))
    bucket, _, key = word.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise RidError(word, "an address is s3://bucket/key")
    return Target(rid_of_key(key), bucket, key)


def names_in_list(lines: Iterable[str]) -> list[str]:
    """Returns the names in a list, one a line, each once; blank lines are ignored, and so is a ``#`` with what follows
    it.

    That ``#`` begins the line or comes after a space: ``W1NLM47#99`` must not be read as another work's RID.
    """
    words = (re.sub(r"(^|\s)#.*", "", line.lstrip("\ufeff")).strip() for line in lines)
    return list(dict.fromkeys(filter(None, words)))


def requested_on(row: DrsRow | None) -> datetime | None:
    """Returns when the restore in a work's row was asked for; None if the row does not say."""
    return row.times.get(Stage.RESTORE_REQUESTED) if row else None


def awaited(row: DrsRow | None) -> bool:
    """Whether DRS has a request whose object has not come yet."""
    return row is not None and row.stage is Stage.RESTORE_REQUESTED


def restore_state(storage: ObjectStorage, row: DrsRow | None, now: datetime) -> RestoreState:
    """Returns how far a restore is: by S3 if it shows that, else by the work's row in DRS."""
    if storage.ongoing:
        return RestoreState.UNDER_WAY
    if not storage.archived:
        return RestoreState.NOT_IN_GLACIER
    if storage.restored and (storage.expires is None or storage.expires > now):
        return RestoreState.RESTORED
    if row and Stage.SYNCED_ARCHIVE in row.times:
        return RestoreState.SYNCED
    if row is None or row.stage is None:
        return RestoreState.EXPIRED if storage.restored else RestoreState.NOT_ASKED
    asked = requested_on(row)
    recently = asked is not None and now - asked < SLOWEST_RETRIEVAL
    return RestoreState.ASKED if awaited(row) and recently else RestoreState.EXPIRED


def is_to_be_asked(state: RestoreState, *, again: bool) -> bool:
    """Whether to ask Glacier: if there is no copy, and none on its way.

    A list that is used again a month later must not pay again for the works that are in the archive by then; ``again``
    says that these are meant, too.
    """
    return state in (RestoreState.NOT_ASKED, RestoreState.ASKED, RestoreState.EXPIRED) or (
        state is RestoreState.SYNCED and again
    )


def tier_refusal(storage: ObjectStorage, tier: Tier) -> str | None:
    """Returns why an object cannot be restored by the tier; None if it can.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html
    """
    if tier is Tier.EXPEDITED and storage.deep:
        return f"it is in {storage}, which knows no Expedited retrieval: ask with --tier Standard or --tier Bulk"
    return None


@dataclass(frozen=True)
class RestoreStatus:
    """What is known of the restore of one work, or part: its ``state``, or the ``error`` that prevented that.

    ``asked_now`` says that Glacier accepted this request; an ``error`` beside it came afterwards. A work in parts has
    them as ``parts``, and as ``foreign`` what else lies among them, by key, with the reason. A part has its name,
    its ``size`` in bytes, and whether it is ``needed`` for the newest state of the work.
    """

    name: str
    rid: str = ""
    address: ObjectAddress | None = None
    storage: ObjectStorage | None = None
    state: RestoreState | None = None
    asked_now: bool = False
    requested: datetime | None = None
    synced: datetime | None = None
    error: AoError | None = None
    part: str = ""
    size: int | None = None
    needed: bool = True
    parts: tuple[RestoreStatus, ...] = ()
    foreign: Mapping[str, str] = field(default_factory=dict)

    @property
    def state_told(self) -> RestoreState | None:
        """How far a part is: in the archive, if it is there, whether or not its restored copy is."""
        return RestoreState.SYNCED if self.synced else self.state

    def sentence(self) -> str:  # noqa: PLR0911 - one a state
        """Returns the same in one line, without the work's name."""
        if self.asked_now and self.state is RestoreState.NOT_IN_GLACIER:
            return f"its event is sent to the queue; it is in {self.storage}, and not in Glacier"
        if self.asked_now:
            return f"asked; it is in {self.storage}"
        since = f" on {in_utc(self.requested)}" if self.requested else ""
        match self.state:
            case RestoreState.UNDER_WAY:
                return f"already asked{since}; Glacier is at it"
            case RestoreState.RESTORED if self.storage and self.storage.expires:
                return f"restored until {in_utc(self.storage.expires)}"
            case RestoreState.NOT_IN_GLACIER:
                return f"not in Glacier but in {self.storage}: it can be read as it is"
            case RestoreState.SYNCED:
                return f"in the archive since {in_utc(self.synced)}, its restored copy gone; --again asks for another"
            case RestoreState.GONE:
                return f"not in the bucket any more{since and f'; it was asked for{since}'}"
            case RestoreState.ASKED:
                return f"asked{since}; S3 does not show it yet"
            case _:
                return f"{self.state}{since and f'; it was asked for{since}'}"


def in_utc(at: datetime | None) -> str:
    """Returns a time as people read it, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else "an unknown time"
