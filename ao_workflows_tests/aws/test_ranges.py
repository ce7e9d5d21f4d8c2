"""Ranges of one object: read from the object that was seen first, or refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ao_workflows.aws.connections import AwsConnection, make_client
from ao_workflows.aws.ranges import PinnedObject
from ao_workflows.errors import ObjectChanged, ObjectError, ObjectMissing, ServiceError
from ao_workflows_tests.support.download_side import CONTENT, OTHER, Side
from ao_workflows_tests.support.moto_server import PROFILE, REGION, write_credentials
from ao_workflows_tests.support.s3_server import Asked, Fault, S3Server, held

pytestmark = pytest.mark.usefixtures("_without_aws_variables")


@pytest.fixture
def side(s3_server: S3Server, tmp_path: Path) -> Side:
    return Side(s3_server, tmp_path)


def test_an_object_that_goes_away_leaves_nothing_behind(side: Side) -> None:
    """A .part file of an object that is gone is of no use to anybody."""
    side.server.fault = lambda asked: Fault(status=404, code="NoSuchKey") if asked.number > 3 else None
    with pytest.raises(ObjectMissing, match="was there when the download began"):
        side.bring()
    assert side.holds_nothing()


def test_a_restore_that_expires_on_the_way_is_told(side: Side) -> None:
    """Hundreds of GB over a slow line may outlast the days that were asked for; what came is of use again."""
    side.server.fault = lambda asked: Fault(status=403, code="InvalidObjectState") if asked.number > 3 else None
    with pytest.raises(ObjectError, match="restored copy expired") as raised:
        side.bring()
    assert not raised.value.transient
    assert side.places.part.exists()


def test_credentials_that_expire_on_the_way_are_read_again(side: Side) -> None:
    """A token lives an hour, a download longer."""
    before = side.credentials.read_text().split()[3]

    def fault(asked: Asked) -> Fault | None:
        if asked.number == 4:
            write_credentials(side.credentials)
        return Fault(status=400, code="ExpiredToken") if asked.number >= 4 and asked.key_id == before else None

    side.server.fault = fault
    side.bring()
    assert side.holds(CONTENT)
    assert {asked.key_id for asked in side.server.asked} == {before, side.credentials.read_text().split()[3]}


def test_credentials_that_nobody_renews_are_told(side: Side) -> None:
    """Which profile, and what to do; then what came is gone on with."""
    side.server.fault = lambda asked: Fault(status=400, code="ExpiredToken") if asked.number > 3 else None
    with pytest.raises(ServiceError, match="put new credentials into the profile") as raised:
        side.bring()
    assert raised.value.transient
    assert f"profile {PROFILE}" in str(raised.value)
    side.server.clear()
    assert side.bring().brought.resumed > 0
    assert side.holds(CONTENT)


def test_a_refusal_on_the_way_is_told_and_not_tried_for_ever(side: Side) -> None:
    """Half an hour of retries gives no permission."""
    side.server.fault = lambda asked: Fault(status=403, code="AccessDenied") if asked.number > 3 else None
    with pytest.raises(ObjectError, match="s3:GetObject") as raised:
        side.bring()
    assert not raised.value.transient


def client_of(side: Side) -> Any:
    way = AwsConnection(
        region=REGION, profile=PROFILE, endpoint_url=side.server.url, credentials_file=str(side.credentials)
    )
    return make_client("s3", way, attempts=1)


@pytest.fixture
def pinned(side: Side) -> PinnedObject:
    """The object on the server, as it was when it was first looked at."""
    client = client_of(side)
    etag = side.server.objects["/b/W1.zip"].etag
    return PinnedObject(lambda _ended: client, "b", "W1.zip", None, etag, len(CONTENT), "s3://b/W1.zip")


def test_a_range_is_the_bytes_that_were_asked_for(pinned: PinnedObject) -> None:
    """One byte beside it, and every digest after it is wrong."""
    assert pinned.read(1000, 3000) == CONTENT[1000:3000]
    body = pinned.open(5, 10)
    assert (body.whole, body.read(100), body.read(100)) == (False, CONTENT[5:10], b"")
    body.close()


def test_an_object_that_was_put_in_its_place_is_not_read(side: Side, pinned: PinnedObject) -> None:
    """Half of one object and half of another would be proven by neither."""
    side.hold(held(OTHER))
    with pytest.raises(ObjectChanged, match="not the object with the ETag"):
        pinned.read(0, 10)


def test_a_server_that_sends_all_of_it_is_known_by_its_answer(side: Side, pinned: PinnedObject) -> None:
    """Its first bytes, taken for those of the range, would be written into the middle of the file."""
    side.server.fault = lambda _asked: Fault(range_ignored=True)
    body = pinned.open(1000, 3000)
    assert body.whole
    body.close()
    with pytest.raises(ServiceError, match="knows no ranges"):
        pinned.read(1000, 3000)
    everything = pinned.open(0, len(CONTENT))
    assert not everything.whole
    everything.close()


def test_an_answer_that_ends_too_soon_is_no_range(side: Side, pinned: PinnedObject) -> None:
    """Zeros, or nothing, would take the place of what is missing."""
    side.server.fault = lambda _asked: Fault(after=100, cut=True)
    with pytest.raises(ServiceError):
        pinned.read(0, 1000)


@pytest.mark.parametrize(
    ("status", "code", "error", "said"),
    [
        (412, "PreconditionFailed", ObjectChanged, "not the object with the ETag"),
        (404, "NoSuchKey", ObjectMissing, "is not any more"),
        (404, "NoSuchVersion", ObjectMissing, "is not any more"),
        (403, "InvalidObjectState", ObjectError, "restored copy expired"),
        (400, "ExpiredToken", ServiceError, "put new credentials into the profile"),
        (403, "RequestExpired", ServiceError, "put new credentials into the profile"),
        (403, "AccessDenied", ObjectError, "needs s3:GetObject"),
        (503, "SlowDown", ServiceError, "SlowDown"),
        (400, "Other", ServiceError, "Other"),
    ],
)
def test_each_refusal_has_its_meaning(
    side: Side, pinned: PinnedObject, status: int, code: str, error: type[Exception], said: str
) -> None:
    """What may mend itself is tried again; what does not is told at once, with what a person can do."""
    side.server.fault = lambda _asked: Fault(status=status, code=code)
    with pytest.raises(error, match=said) as caught:
        pinned.read(0, 10)
    assert type(caught.value) is error


def test_ended_credentials_are_read_anew_and_others_are_not(side: Side) -> None:
    """A client that keeps them would fail until the run is ended; one made at every fault would flood STS."""
    client, told = client_of(side), []

    def client_for(ended: object) -> object:
        told.append(ended)
        return client

    pinned = PinnedObject(client_for, "b", "W1.zip", None, side.server.objects["/b/W1.zip"].etag, 10, "w")
    for code, expected in (("ExpiredToken", [None, client]), ("SlowDown", [None])):
        told.clear()
        side.server.fault = lambda _asked, code=code: Fault(status=400, code=code)  # type: ignore[misc]
        with pytest.raises(ServiceError):
            pinned.open(0, 10)
        assert told == expected
