"""What S3 says, in every wrapping, is one frozen value; what cannot be used is told, and never raised raw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao_workflows.errors import MessageError
from ao_workflows.events.s3_events import ObjectEvent, parse_message

RESTORED = ObjectEvent(
    name="ObjectRestore:Completed",
    time="2024-04-06T00:11:23.730Z",
    region="ap-northeast-2",
    bucket="glacier.staging.nlm.bdrc.org",
    key="Archive0/00/W1NLM4700/W1NLM4700.bag.zip",
    size=17017201852,
    etag="41654cbd2a8f2d3c0abc83444fde825b-2029",
    sequencer="00638792A45B638391",
    restore_expires="2024-04-12T00:00:00.000Z",
)


def record(**changes: Any) -> dict[str, Any]:
    """A record as S3 sends it, with nothing that it may leave out."""
    return {
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2024-04-06T00:11:23.730Z",
        "eventName": "ObjectRestore:Completed",
        "s3": {"bucket": {"name": "b"}, "object": {"key": "W1.bag.zip"}},
    } | changes


def of_object(**item: Any) -> dict[str, Any]:
    return record(s3={"bucket": {"name": "b"}, "object": {"key": "W1.bag.zip"} | item})


def message(*records: Any) -> str:
    return json.dumps({"Records": records})


def sample(shared_data: Path, name: str) -> str:
    return (shared_data / "events" / name).read_text()


def test_a_message_of_s3s_is_read_whole(shared_data: Path) -> None:
    """A fact that is dropped here is missing from every later stage."""
    assert parse_message(sample(shared_data, "s3-object-restore-completed.json")) == (RESTORED,)


def test_an_sns_envelope_and_raw_sns_hold_the_same_event(shared_data: Path) -> None:
    """A queue that SNS feeds would be taken for one of unreadable messages."""
    envelope = sample(shared_data, "sns-envelope.json")
    assert parse_message(envelope) == parse_message(json.loads(envelope)["Message"]) == (RESTORED,)


def test_eventbridge_names_the_same_event_in_its_own_words(shared_data: Path) -> None:
    """Its detail-type, unmapped, would match no wanted event, and the message would be deleted."""
    (event,) = parse_message(sample(shared_data, "eventbridge-object-restore-completed.json"))
    assert (event.name, event.bucket, event.key, event.size, event.etag) == (
        RESTORED.name,
        RESTORED.bucket,
        RESTORED.key,
        RESTORED.size,
        RESTORED.etag,
    )
    assert event.restore_expires == "2024-04-12T00:00:00Z"


@pytest.mark.parametrize(
    ("kind", "reason", "name"),
    [
        ("Object Created", "PutObject", "ObjectCreated:Put"),
        ("Object Created", "CompleteMultipartUpload", "ObjectCreated:CompleteMultipartUpload"),
        ("Object Created", "something new", "ObjectCreated:Other"),
        ("Object Restore Expired", None, "ObjectRestore:Delete"),
        ("Object Tags Added", None, "Object Tags Added"),
    ],
)
def test_eventbridge_kinds_become_s3s_names(kind: str, reason: str | None, name: str) -> None:
    """A site names wanted events once, however they come."""
    detail = {"bucket": {"name": "b"}, "object": {"key": "W1.zip"}} | ({"reason": reason} if reason else {})
    body = {"source": "aws.s3", "detail-type": kind, "time": "2024-04-06T00:11:23Z", "region": "r", "detail": detail}
    assert parse_message(json.dumps(body))[0].name == name


def test_a_key_of_s3s_is_decoded_and_one_of_eventbridges_is_not(shared_data: Path) -> None:
    """``+`` is a space in the one and a plus in the other: a wrong key is a 404 after hours in Glacier."""
    (event,) = parse_message(sample(shared_data, "s3-object-created-encoded-key.json"))
    assert event.key == "ao1060/two words, བསྟན/W1FPL2251.bag.zip"
    assert event.version_id == "vwfO4VqvGTlWeuSAtXDOhPzFhl.6YrSG"
    bridged = json.loads(sample(shared_data, "eventbridge-object-restore-completed.json"))
    bridged["detail"]["object"]["key"] = "a+b%20c/W1.bag.zip"
    assert parse_message(json.dumps(bridged))[0].key == "a+b%20c/W1.bag.zip"


def test_the_test_event_holds_nothing(shared_data: Path) -> None:
    """S3 sends it when a notification is set up; it is no mistake that a person should look at."""
    assert parse_message(sample(shared_data, "s3-test-event.json")) == ()


def test_every_record_of_a_message_counts(shared_data: Path) -> None:
    """A work in the second record would never be restored."""
    events = parse_message(sample(shared_data, "s3-two-records-one-wanted.json"))
    assert [event.name for event in events] == ["ObjectRestore:Completed", "ObjectRestore:Post"]


def test_what_s3_may_leave_out_may_be_missing_null_or_empty() -> None:
    """A bucket without versions sends no versionId; restores send no sequencer in some regions."""
    for item in ({}, dict.fromkeys(("size", "eTag", "versionId", "sequencer")), {"versionId": ""}):
        (event,) = parse_message(message(of_object(**item)))
        assert (event.size, event.etag, event.version_id, event.sequencer) == (None, None, None, None)
    without: list[Any] = [None, {}, {"restoreEventData": None}, {"restoreEventData": {}}]
    for glacier in without:
        assert parse_message(message(record(glacierEventData=glacier)))[0].restore_expires is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no object"),
        ('"text"', "no object"),
        ("{}", "neither Records"),
        ('{"Records": {}}', "neither Records"),
        (json.dumps({"Type": "Notification", "Message": "hello"}), "no JSON"),
        (json.dumps({"Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns"}), "SubscribeURL"),
        (message("x"), "'eventSource'"),
        (message(record(eventSource="aws:ec2")), "'aws:ec2'"),
        (message(record(eventName=None)), "'eventName'"),
        (message(record(eventTime="yesterday")), "'yesterday'"),
        (message(record(eventTime="2024-04-06T00:11:23")), "not a time of RFC 3339"),
        (message(record(s3=[])), "'s3'"),
        (message(record(s3={"bucket": {"name": "b"}})), "'object'"),
        (message(record(s3={"bucket": "b", "object": {"key": "k"}})), "'bucket'"),
        (message(record(glacierEventData=[])), "'glacierEventData'"),
        (message(record(glacierEventData={"restoreEventData": 7})), "'restoreEventData'"),
        (message(of_object(key="")), "'key'"),
        (message(of_object(size="17")), "'17'"),
        (message(of_object(size=-1)), "-1"),
        (message(of_object(size=True)), "True"),
        (message(of_object(size=10**400)), "not a number of bytes"),
        (message(of_object(key="k" * 2500)), "bytes together"),
        (message(of_object(eTag=7)), "'eTag'"),
        (message(of_object(versionId=["v"])), "'versionId'"),
        (message(of_object(key="a%00/W1.bag.zip")), "no database takes"),
        (message(of_object(key="\ud800/W1.bag.zip")), "no database takes"),
        (json.dumps({"source": "aws.s3", "detail": []}), "'detail'"),
        (
            json.dumps(
                {
                    "source": "aws.s3",
                    "detail-type": "Object Created",
                    "detail": {"reason": [], "bucket": {"name": "b"}, "object": {"key": "k"}},
                }
            ),
            "'reason'",
        ),
    ],
)
def test_a_message_that_says_nothing_usable_is_told_with_its_reason(body: str, told: str) -> None:
    """Any other exception ends the sensor's tick, and the next, and so on: one bad message would stop an intake."""
    try:
        (error,) = parse_message(body)
    except MessageError as raised:
        error = raised
    assert isinstance(error, MessageError)
    assert told in error.reason


def test_a_record_that_cannot_be_read_does_not_hide_its_neighbours() -> None:
    """Two works in one message: what S3 garbled of the one says nothing about the other."""
    first, second, third = parse_message(message(record(), "garbled", of_object(key="W2.bag.zip")))
    assert isinstance(first, ObjectEvent)
    assert isinstance(second, MessageError)
    assert isinstance(third, ObjectEvent)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.data())
def test_no_message_whatever_raises_anything_else(data: st.DataObject) -> None:
    """The shape that nobody thought of must not stop an intake either."""
    hostile = record(glacierEventData={"restoreEventData": {"lifecycleRestorationExpiryTime": "t"}})
    bridged: dict[str, Any] = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": "2024-04-06T00:11:23Z",
        "region": "r",
    }
    bridged["detail"] = {"reason": "PutObject", "bucket": {"name": "b"}, "object": {"key": "k", "etag": "e"}}
    target: Any = data.draw(st.sampled_from([{"Records": [hostile]}, bridged]))
    place = target
    while isinstance(place, dict | list) and place:
        at = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[at], dict | list) or data.draw(st.booleans()):
            place[at] = data.draw(anything)
            break
        place = place[at]
    try:
        events = parse_message(json.dumps(target))
    except MessageError:
        return
    for event in events:
        assert isinstance(event, MessageError) or event.identity.encode()


def test_the_identity_is_the_events_and_not_the_deliverys() -> None:
    """SQS delivers twice: two runs. Glacier restores again next month: no run."""
    plain = message(of_object(eTag="e"))
    wrapped = json.dumps({"Type": "Notification", "Message": plain, "MessageId": "another"})
    identity = parse_message(plain)[0].identity
    assert parse_message(wrapped)[0].identity == identity
    others = [
        message(record(eventTime="2024-05-06T00:11:23.730Z")),
        message(record(eventName="ObjectCreated:Put")),
        message(of_object(eTag="f")),
        message(of_object(eTag="e", versionId="v")),
        message(of_object(key="W2.bag.zip", eTag="e")),
    ]
    assert identity not in {parse_message(body)[0].identity for body in others}
