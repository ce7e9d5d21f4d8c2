"""Deliveries: what brought a work, as far as it has an order; and which deliveries wait for a person's word.

What belongs here: the delivery as a value, from an event or from a note in DRS, the order of two of them, and whether
one is to be held. What does not: asking DRS, and keeping what was held (``ao_workflows.defs.restore.holding``).

Events of one object may come out of order, a run that was killed is run again after a later one, and two hosts may each
have an event of one work. Without an order between deliveries the archive would keep the one that was done last,
whichever bytes it brings.

Source of the order: AWS, "Event message structure" (S3 user guide), on the sequencer.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import NamedTuple

from ao_workflows.drs.parts import part_of_entry
from ao_workflows.drs.rows import DrsEntry, DrsRow
from ao_workflows.errors import DeliveryHeld, NewerStored, OlderDelivery, OtherObject, RidError
from ao_workflows.events.dropped_files import Claim, DroppedFile, WorkEvent
from ao_workflows.machine.times import moment
from ao_workflows.works.object_keys import keys_of_part
from ao_workflows.works.parts import part_staged_as
from ao_workflows.works.rids import rid_of_key
from ao_workflows.works.stages import Stage

_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True)
class Delivery:
    """What brought a work: an object that S3 restored, or a file that was dropped.

    A field that is not known is empty. ``identity``, ``name`` and ``time`` are those of its event. An object has
    ``bucket`` and ``key``, a dropped file ``folder`` and ``file``. ``modified`` is when the object was written, as S3
    answered when it was asked. Times are RFC 3339, as their writer wrote them.
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
        """Whether both are of the same S3 object, be it in different versions."""
        return self.is_object and (self.bucket, self.key) == (other.bucket, other.key)

    def noted(self) -> dict[str, str]:
        """Returns the fields that are written into DRS: those that are not empty, without the identity, which every
        entry has anyway.
        """
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
    """A delivery of a work that is synced according to DRS, and the time of the sync.

    ``itself`` is false if the zip, though it came under the work's name, brought only other works.
    """

    delivery: Delivery
    at: datetime
    itself: bool = True


def delivery_of(event: WorkEvent, *, version_id: str = "", etag: str = "", modified: str = "") -> Delivery:
    """Returns the delivery that an event is about.

    :param version_id: what S3 answered about the object, used if the event does not say it; so is ``etag``.
    :param modified: when the object was written, according to S3.
    """
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


def synced_deliveries(staged: str, rows: Iterable[DrsRow]) -> list[SyncedDelivery]:
    """Returns the deliveries of a work that are synced according to DRS, each once, with the time of its last sync.

    What the archive's other systems write into DRS names no delivery, so it never makes a delivery wait.

    Of a work in parts, each part has deliveries of its own.

    :param staged: the name that the scratch disk has for the work or the part: see ``ao_workflows.works.parts``.
    :param rows: all of the work's rows.
    """
    part = part_staged_as(staged)
    rid = part.rid
    found: dict[str, SyncedDelivery] = {}
    for row in rows:
        for entry in row.entries:
            if part_of_entry(entry, rid) != part.name:
                continue
            # The works of one zip are noted one by one: the work itself may be synced while another one failed.
            if entry.stage != Stage.SYNCED_ARCHIVE and entry.data.get("synced") != rid:
                continue
            # If the zip came under another work's name, the entry is in this work's row and names that delivery.
            identity = str(entry.data.get("brought_by") or entry.event)
            delivery = _noted(identity, entry.data.get("delivery")) or _by_identity(identity)
            at = entry.at or datetime.min.replace(tzinfo=UTC)
            if delivery and (delivery.identity not in found or found[delivery.identity].at <= at):
                found[delivery.identity] = SyncedDelivery(delivery, at, _brought(rid, entry))
    return list(found.values())


def _brought(rid: str, entry: DrsEntry) -> bool:
    """Whether the work itself was synced by what an entry describes: a batch named after a work may lack that work."""
    places = entry.data.get("places")
    return entry.stage != Stage.SYNCED_ARCHIVE or not isinstance(places, Mapping) or rid in places


def _noted(identity: str, noted: object) -> Delivery | None:
    if not identity or not isinstance(noted, Mapping):
        return None
    known = {each.name for each in fields(Delivery)} - {"identity"}
    texts = {name: value for name, value in noted.items() if name in known and isinstance(value, str)}
    return Delivery(identity, **texts) if texts.get("name") and texts.get("time") else None


def _by_identity(identity: str) -> Delivery | None:
    """Returns the delivery as far as an event's identity describes it: DRS has no more about early syncs.

    Before deliveries were noted in DRS, an entry named only the event.
    """
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


def is_older(this: Delivery, other: Delivery, keys: Container[str] = ()) -> bool:
    """Whether ``this`` delivery is older than the ``other``; False if that cannot be known.

    If both are of the same object, ``this`` is older whenever its version was written earlier, whatever else is known:
    an old version may be requested from Glacier at any time. Otherwise, for the same object, S3's sequencers decide if
    both have one and they differ. In all other cases the events' times decide.

    :param keys: the keys that are places of one object: of two deliveries with these, that one is older which was
        written earlier. Before S3 was asked when that was, none is.
    """
    if this.identity == other.identity:
        return False
    if other.modified and this.key != other.key and _in_one_place(this, other, keys):
        return _is_before(this.modified, other.modified)
    if this.same_object(other):
        if _is_before(this.modified, other.modified):
            return True
        if (order := _by_sequencer(this.sequencer, other.sequencer)) is not None:
            return order
    # One event may come by EventBridge, with a time in whole seconds, and by S3 itself, with the fraction.
    return _is_before(this.time, other.time, coarsely=this.same_object(other))


def _in_one_place(this: Delivery, other: Delivery, keys: Container[str]) -> bool:
    """Whether both are of one object, in one of the places that it may have in its bucket."""
    return this.same_object(other) or (this.bucket == other.bucket and this.key in keys and other.key in keys)


def _is_named_after(rid: str, key: str) -> bool:
    try:
        return rid_of_key(key) == rid
    except RidError:
        return False


def _by_sequencer(this: str, other: str) -> bool | None:
    """Whether one sequencer is less than the other; None if they are equal or one is not a hexadecimal number.

    The shorter one is filled up with zeros on the right.
    """
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
    staged: str,
    this: Delivery,
    synced: Sequence[SyncedDelivery],
    stored: Delivery | None = None,
    places: Sequence[str] = (),
) -> tuple[DeliveryHeld, Delivery] | None:
    """Returns why a delivery must wait for a person's decision, and the other delivery that is the reason; None if it
    may be done.

    A delivery must wait if it is of another object than the work's own, which is the one that was synced last: another
    bucket or key may have other bytes under the same name. That does not apply to a dropped file, because a person
    chose it; only its time counts. A delivery must also wait if it is older than one that was synced, or than the
    stored one: if the run of that was killed or failed, the newer delivery would be forgotten in favour of the older.
    No delivery counts against itself, so the newest that was synced may be done again at any time.

    :param staged: the name that the scratch disk has for the work or the part.
    :param this: the delivery in question.
    :param synced: its deliveries that are synced according to DRS.
    :param stored: the delivery that its stages are for now.
    :param places: the patterns of the keys that a work may have in the delivery's bucket: they are one object's.
    """
    part = part_staged_as(staged)
    keys = keys_of_part(places, part.rid, part.name)
    # A batch under the work's name that did not contain it counts only against older deliveries of the same object.
    synced = [each for each in synced if each.itself or this.same_object(each.delivery)]
    # The work may have come in another work's zip too: that object is not the work's own.
    objects = [each for each in synced if each.delivery.is_object and _is_named_after(part.name, each.delivery.key)]
    if this.is_object and objects:
        last = max(objects, key=lambda each: each.at).delivery
        if not _in_one_place(this, last, keys) and this.identity != last.identity:
            return OtherObject(str(part), str(this), str(last), part.redo), last
    newer = [each.delivery for each in synced if is_older(this, each.delivery, keys)]
    if not newer:
        if stored is None or not is_older(this, stored, keys):
            return None
        return NewerStored(str(part), str(this), str(stored), part.redo), stored
    newest = newer[0]
    for each in newer[1:]:
        newest = each if is_older(newest, each) else newest
    return OlderDelivery(str(part), str(this), str(newest), part.redo), newest
