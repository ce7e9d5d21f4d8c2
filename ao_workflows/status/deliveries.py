"""Deliveries: what brought a work, as far as it has an order; and which deliveries wait for a person's word.

What belongs here: the delivery as a value, from an event or from a note in DRS, the order of two of them, and whether
one is to be held. What does not: asking DRS, and keeping what was held (``ao_workflows.defs.restore.holding``).

Events of one object come out of order, a run that was killed is run again after a later one, and two hosts may each
have one. Without an order the last one to be done wins, whichever bytes it brings.

Source of the order: AWS, "Event message structure" (S3 user guide), on the sequencer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import NamedTuple

from ao_workflows.drs.rows import DrsEntry, DrsRow
from ao_workflows.errors import DeliveryHeld, NewerStored, OlderDelivery, OtherObject, RidError
from ao_workflows.events.dropped_files import Claim, DroppedFile, WorkEvent
from ao_workflows.machine.times import moment
from ao_workflows.works.rids import rid_of_key
from ao_workflows.works.stages import Stage

_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True)
class Delivery:
    """An object that S3 restored, or a file that was dropped. What is not known is empty.

    ``identity`` is its event's. Times are RFC 3339 as their writer wrote them; ``modified`` is when the object was
    written, as S3 said when it was looked at.
    """

    identity: str
    name: str
    time: str
    bucket: str = ""
    key: str = ""
    version_id: str = ""
    etag: str = ""
    sequencer: str = ""
    folder: str = ""
    file: str = ""
    modified: str = ""

    @property
    def is_object(self) -> bool:
        """Whether it is an S3 object, and not a dropped file."""
        return bool(self.bucket)

    def same_object(self, other: Delivery) -> bool:
        """Whether both are of one object, in whichever of its versions."""
        return self.is_object and (self.bucket, self.key) == (other.bucket, other.key)

    def noted(self) -> dict[str, str]:
        """What DRS keeps of it, beside the identity, which every entry has."""
        found = {each.name: str(getattr(self, each.name)) for each in fields(self) if each.name != "identity"}
        return {name: value for name, value in found.items() if value}

    def __str__(self) -> str:
        source = (
            f"s3://{self.bucket}/{self.key}" if self.is_object else "/".join(filter(None, (self.folder, self.file)))
        )
        which = self.version_id or self.etag
        written = f", written {self.modified}" if self.modified else ""
        return f"{self.name} of {self.time}: {source}" + (f" ({which}{written})" if which else "")


class SyncedDelivery(NamedTuple):
    """A delivery that DRS has as synced, and when that was; not ``itself`` where its zip brought only other works."""

    delivery: Delivery
    at: datetime
    itself: bool = True


def delivery_of(event: WorkEvent, *, version_id: str = "", etag: str = "", modified: str = "") -> Delivery:
    """The delivery that an event tells of, with what S3 said of the object where the event does not."""
    if isinstance(event, DroppedFile):
        return Delivery(event.identity, event.name, event.time, folder=event.folder, file=event.file)
    return Delivery(
        event.identity,
        event.name,
        event.time,
        bucket=event.bucket,
        key=event.key,
        version_id=event.version_id or version_id,
        etag=event.etag or etag,
        sequencer=event.sequencer or "",
        modified=modified,
    )


def synced_deliveries(rid: str, rows: Iterable[DrsRow]) -> list[SyncedDelivery]:
    """What DRS has as synced of the work, of all its rows; one that was synced twice is there with its last time.

    The archive's other systems say of no delivery, and nothing is held for what they wrote.
    """
    found: dict[str, SyncedDelivery] = {}
    for row in rows:
        for entry in row.entries:
            # Of a zip with several works each is noted by itself: its own may be there while another failed.
            if entry.stage != Stage.SYNCED_ARCHIVE and entry.data.get("synced") != rid:
                continue
            # One that another work's zip brought is noted among what is the work's own.
            identity = str(entry.data.get("brought_by") or entry.event)
            delivery = _noted(identity, entry.data.get("delivery")) or _by_identity(identity)
            at = entry.at or datetime.min.replace(tzinfo=UTC)
            if delivery and (delivery.identity not in found or found[delivery.identity].at <= at):
                found[delivery.identity] = SyncedDelivery(delivery, at, _brought(rid, entry))
    return list(found.values())


def _brought(rid: str, entry: DrsEntry) -> bool:
    """Whether what an entry of DRS has as synced is the work itself, which a batch that is named after it may lack."""
    places = entry.data.get("places")
    return entry.stage != Stage.SYNCED_ARCHIVE or not isinstance(places, Mapping) or rid in places


def _noted(identity: str, noted: object) -> Delivery | None:
    if not identity or not isinstance(noted, Mapping):
        return None
    known = {each.name for each in fields(Delivery)} - {"identity"}
    texts = {name: value for name, value in noted.items() if name in known and isinstance(value, str)}
    return Delivery(identity, **texts) if texts.get("name") and texts.get("time") else None


def _by_identity(identity: str) -> Delivery | None:
    """What an event's identity says, which is all that DRS has of what was synced before deliveries were noted."""
    name, _, rest = identity.partition("|")
    if claim := Claim.parse(rest):
        return Delivery(identity, name, claim.at.isoformat(), file=rest)
    # A key may have any character.
    bucket, _, rest = rest.partition("|")
    parts = rest.rsplit("|", 2)
    if not bucket or len(parts) != 3:  # noqa: PLR2004 - key, version or ETag, time
        return None
    key, which, time = parts
    return Delivery(identity, name, time, bucket=bucket, key=key, version_id=which)


def is_older(this: Delivery, other: Delivery) -> bool:
    """Whether a delivery is older than another; no where that cannot be told.

    Of one object S3's sequencer says it, where both have one; else the events' times do. Whatever those say, a version
    of the object that was written earlier is older: Glacier may be asked for an old version at any time.
    """
    if this.identity == other.identity:
        return False
    if this.same_object(other):
        if _is_before(this.modified, other.modified):
            return True
        if (order := _by_sequencer(this.sequencer, other.sequencer)) is not None:
            return order
    # EventBridge says whole seconds of what S3 itself says with their fraction: one event that came by both.
    return _is_before(this.time, other.time, coarsely=this.same_object(other))


def _is_named_after(rid: str, key: str) -> bool:
    try:
        return rid_of_key(key) == rid
    except RidError:
        return False


def _by_sequencer(this: str, other: str) -> bool | None:
    """Whether the one is less than the other; None where they do not say. The shorter is filled up with zeros."""
    this, other = this.lower(), other.lower()
    if not _HEX.fullmatch(this) or not _HEX.fullmatch(other):
        return None
    width = max(len(this), len(other))
    this, other = this.ljust(width, "0"), other.ljust(width, "0")
    return None if this == other else this < other


def _is_before(this: str, other: str, *, coarsely: bool = False) -> bool:
    one, two = moment(this), moment(other)
    if one is None or two is None:
        return False
    if coarsely and ("." not in this or "." not in other):
        one, two = one.replace(microsecond=0), two.replace(microsecond=0)
    return one < two


def reason_to_hold(
    rid: str, this: Delivery, synced: Sequence[SyncedDelivery], stored: Delivery | None = None
) -> tuple[DeliveryHeld, Delivery] | None:
    """Why a delivery is to wait for a person's word, and the one that stands against it; None where it may be done.
    What was synced is done again at will.

    The work's object is the one that was synced last: another bucket or key may have other bytes under the same name.
    A file that a person dropped is a person's word, and has its time alone. ``stored`` is the delivery that the work's
    stages are for by now: if its run was killed or failed, a newer one would be forgotten for an older.
    """
    # A batch that was sent under the work's name brought nothing of it: only its own older deliveries are held for it.
    synced = [each for each in synced if each.itself or this.same_object(each.delivery)]
    # It may have come beside another work too: that zip is none of the work's own, whichever place it is in.
    objects = [each for each in synced if each.delivery.is_object and _is_named_after(rid, each.delivery.key)]
    if this.is_object and objects:
        last = max(objects, key=lambda each: each.at).delivery
        if not this.same_object(last) and this.identity != last.identity:
            return OtherObject(rid, str(this), str(last)), last
    newer = [each.delivery for each in synced if is_older(this, each.delivery)]
    if not newer:
        return (NewerStored(rid, str(this), str(stored)), stored) if stored and is_older(this, stored) else None
    newest = newer[0]
    for each in newer[1:]:
        newest = each if is_older(newest, each) else newest
    return OlderDelivery(rid, str(this), str(newest)), newest
