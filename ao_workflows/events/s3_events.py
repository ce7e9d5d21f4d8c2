"""Restore events: what S3 says of an object, from whatever wrapping it comes in.

What belongs here: a queue's message as text, made into frozen values. What does not: whether a site wants the event,
and what is then done (``ao_workflows.intake.queue_rules``).

The shapes are described by AWS in "Event message structure" (S3 user guide), "Amazon SNS message formats", and "Object
Created and restore events" (EventBridge).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from ao_workflows.errors import MessageError
from ao_workflows.machine.times import moment_with_zone

_EVENTBRIDGE_NAMES = {
    "Object Restore Completed": "ObjectRestore:Completed",
    "Object Restore Initiated": "ObjectRestore:Post",
    "Object Restore Expired": "ObjectRestore:Delete",
}
_EVENTBRIDGE_CREATED = {
    "PutObject": "ObjectCreated:Put",
    "POST Object": "ObjectCreated:Post",
    "CopyObject": "ObjectCreated:Copy",
    "CompleteMultipartUpload": "ObjectCreated:CompleteMultipartUpload",
}

EVENT_NAMES = (*_EVENTBRIDGE_CREATED.values(), *_EVENTBRIDGE_NAMES.values())
"""The events that a site may want: an object was created, or something happened to its restored copy."""

LARGEST = (1 << 63) - 1
"""No object has more bytes, and a larger number fits into no database."""

LONGEST = 2500
"""The most bytes that an event's identity may have: PostgreSQL's index takes 2,704, and S3's longest key has 1,024."""


@dataclass(frozen=True)
class ObjectEvent:
    """One thing that happened to one S3 object. Times are RFC 3339 as S3 wrote them; ``size`` is in bytes.

    ``sequencer`` is S3's own, by which the events of one object can be ordered. ``version_id``, ``etag``,
    ``sequencer``, ``size`` and ``restore_expires``, the end of the restored copy, are None if S3 did not send them.
    """

    name: str
    time: str
    region: str
    bucket: str
    key: str
    size: int | None = None
    etag: str | None = None
    version_id: str | None = None
    sequencer: str | None = None
    restore_expires: str | None = None

    @property
    def identity(self) -> str:
        """A text that is the same each time this event is delivered, and different for the next restore of the same
        object.
        """
        return "|".join((self.name, self.bucket, self.key, self.version_id or self.etag or "", self.time))

    @property
    def source(self) -> str:
        """The object's address, for people to read."""
        return f"s3://{self.bucket}/{self.key}"


def parse_message(body: str) -> tuple[ObjectEvent | MessageError, ...]:
    """Returns what a queue's message contains: for each record its event, or the reason why it cannot be read.

    S3's test event contains no record. A message may come directly from S3, in an SNS envelope, raw from SNS, or from
    EventBridge.

    :raises MessageError: if it is none of these.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"it is no JSON: {error}") from error
    if not isinstance(message, dict):
        raise MessageError("it is JSON, but no object")
    if message.get("Type") == "Notification" and isinstance(message.get("Message"), str):
        return parse_message(message["Message"])
    if message.get("Type") == "SubscriptionConfirmation":
        raise MessageError("SNS asks to confirm the queue's subscription: open the SubscribeURL that is in it")
    if message.get("Event") == "s3:TestEvent":
        return ()
    if message.get("source") == "aws.s3" and "detail" in message:
        return (_from_eventbridge(message),)
    records = message.get("Records")
    if not isinstance(records, list):
        raise MessageError("it has neither Records from S3 nor a detail from EventBridge")
    return tuple(_record(record) for record in records)


def _record(record: Any) -> ObjectEvent | MessageError:
    """Reads one record. If it cannot be read, the error is returned, since the record beside it may be of
    another work.
    """
    try:
        return _from_s3(record)
    except MessageError as error:
        return error


def _from_s3(record: Any) -> ObjectEvent:
    if _text(record, "eventSource") != "aws:s3":
        raise MessageError(f"a record comes from {record['eventSource']!r}, not from S3")
    item = _table(_table(record, "s3"), "object")
    event = ObjectEvent(
        name=_text(record, "eventName"),
        time=_time(record, "eventTime"),
        region=_text(record, "awsRegion"),
        bucket=_text(_table(record["s3"], "bucket"), "name"),
        key=_fit_to_store("key", unquote_plus(_text(item, "key"))),
        size=_size(item),
        etag=_text_if_there(item, "eTag"),
        version_id=_text_if_there(item, "versionId"),
        sequencer=_text_if_there(item, "sequencer"),
        restore_expires=_restore_expiry(record),
    )
    return _fit_to_index(event)


def _from_eventbridge(message: Mapping[str, Any]) -> ObjectEvent:
    """Reads EventBridge's wrapping of the same event; its keys are not URL-encoded."""
    detail = _table(message, "detail")
    item = _table(detail, "object")
    kind = _text(message, "detail-type")
    if kind == "Object Created":
        name = _EVENTBRIDGE_CREATED.get(_text_if_there(detail, "reason") or "", "ObjectCreated:Other")
    else:
        name = _EVENTBRIDGE_NAMES.get(kind, kind)
    event = ObjectEvent(
        name=name,
        time=_time(message, "time"),
        region=_text(message, "region"),
        bucket=_text(_table(detail, "bucket"), "name"),
        key=_text(item, "key"),
        size=_size(item),
        etag=_text_if_there(item, "etag"),
        version_id=_text_if_there(item, "version-id"),
        sequencer=_text_if_there(item, "sequencer"),
        restore_expires=_text_if_there(detail, "restore-expiry-time"),
    )
    return _fit_to_index(event)


def _table(of: Any, name: str) -> dict[str, Any]:
    value = of.get(name) if isinstance(of, dict) else None
    if not isinstance(value, dict):
        raise MessageError(f"{name!r} is missing, or no object")
    return value


def _text(of: Any, name: str) -> str:
    value = of.get(name) if isinstance(of, dict) else None
    if not isinstance(value, str) or not value:
        raise MessageError(f"{name!r} is missing, or no text")
    return _fit_to_store(name, value)


def _text_if_there(of: Mapping[str, Any], name: str) -> str | None:
    return None if of.get(name) in (None, "") else _text(of, name)


def _fit_to_store(name: str, value: str) -> str:
    """Returns ``value`` if a run key or a tag can be made of it: PostgreSQL refuses NUL, and UTF-8 has no
    surrogates.
    """
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise MessageError(f"{name!r} is {value!r}, which no database takes")
    return value


def _fit_to_index(event: ObjectEvent) -> ObjectEvent:
    """Returns ``event`` if Dagster can look for its run: one request that it cannot store would fail every tick."""
    if (size := len(event.identity.encode())) > LONGEST:
        raise MessageError(f"its names have {size:,} bytes together, and S3's have at most {LONGEST:,}")
    return event


def _time(of: Any, name: str) -> str:
    value = _text(of, name)
    if moment_with_zone(value) is None:
        raise MessageError(f"{name!r} is {value!r}, not a time of RFC 3339 that a calendar has")
    return value


def _restore_expiry(record: Mapping[str, Any]) -> str | None:
    """Returns the time until which the object stays restored; only S3's messages about restores contain it."""
    if record.get("glacierEventData") is None:
        return None
    glacier = _table(record, "glacierEventData")
    if glacier.get("restoreEventData") is None:
        return None
    return _text_if_there(_table(glacier, "restoreEventData"), "lifecycleRestorationExpiryTime")


def _size(item: Mapping[str, Any]) -> int | None:
    size = item.get("size")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= LARGEST):
        raise MessageError(f"'size' is {size!r}, not a number of bytes")
    return size
