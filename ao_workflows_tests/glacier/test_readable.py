"""The event of a part that lies in no archive, as S3 would send it."""

from __future__ import annotations

from datetime import UTC, datetime

from ao_workflows.events.s3_events import ObjectEvent, parse_message
from ao_workflows.glacier.readable import restored_message_of, takes_events
from ao_workflows.glacier.rules import ObjectAddress

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_it_is_read_as_s3_s_own() -> None:
    """A key with a space or a plus would name another object."""
    address = ObjectAddress("fpl", "b", "a folder/W1+x/W1-I1.bag.zip")
    (event,) = parse_message(restored_message_of(address, {"ContentLength": 7, "ETag": '"e"'}, "r-1", NOON))
    assert event == ObjectEvent("ObjectRestore:Completed", "2026-11-21T12:00:00.000Z", "r-1", "b", address.key, 7, "e")
    head = {"ContentLength": 7, "ETag": '"e"', "VersionId": "v1"}
    (event,) = parse_message(restored_message_of(address, head, "r-1", NOON))
    assert isinstance(event, ObjectEvent)
    assert event.version_id == "v1"


def test_an_intake_that_does_not_want_it_is_known() -> None:
    """Its sensor would delete the message."""
    assert [takes_events(each) for each in (["ObjectRestore:Completed"], ["ObjectRestore:*"], ["ObjectCreated:*"])] == [
        True,
        True,
        False,
    ]
