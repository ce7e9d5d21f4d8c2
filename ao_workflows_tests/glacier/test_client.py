"""The Glacier client: where a work's object is, and what S3 means by each answer."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from ao_workflows.aws.connections import AwsConnection
from ao_workflows.errors import ObjectError, ObjectMissing, RestoreRefused, ServiceError
from ao_workflows.glacier.client import Glacier
from ao_workflows.glacier.rules import ObjectAddress, RestoreState, Tier
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.s3_server import Held, S3Server

GLACIER = {"x-amz-storage-class": "GLACIER"}
KEY = "Archive0/12/W1NLM4712/W1NLM4712.bag.zip"


@pytest.fixture
def server(s3_server: S3Server, aws: Aws) -> S3Server:
    """The server; it is asked with the credentials of the test's AWS."""
    return s3_server


@pytest.fixture
def glacier(server: S3Server, aws: Aws) -> Glacier:
    way = AwsConnection(
        region="r-1",
        profile=aws.connection.profile,
        endpoint_url=server.url,
        credentials_file=aws.connection.credentials_file,
    )
    return Glacier({"fpl": way, "bdrc": way})


def hold(server: S3Server, bucket: str, **headers: str) -> ObjectAddress:
    server.objects[f"/{bucket}/{KEY}"] = Held(b"zip", "e", {**GLACIER, **{f"x-amz-{k}": v for k, v in headers.items()}})
    return ObjectAddress("fpl", bucket, KEY)


def test_the_one_place_that_has_the_object_is_the_work_s(server: S3Server, glacier: Glacier) -> None:
    """A site with two buckets must not be asked which one it is."""
    there = hold(server, "b1")
    assert glacier.find([ObjectAddress("bdrc", "b2", KEY), there])[0] == there


def test_of_several_places_that_have_it_a_person_says_which_is_meant(server: S3Server, glacier: Glacier) -> None:
    """The wrong one of the two would be restored, and paid for."""
    with pytest.raises(ObjectError, match="in each of them; --intake says which"):
        glacier.find([hold(server, "b1"), hold(server, "b2")])


def test_an_object_that_no_place_has_is_missing_and_all_places_are_named(server: S3Server, glacier: Glacier) -> None:
    """Where it was looked for is the first thing that one asks."""
    places = [ObjectAddress("fpl", "b1", KEY), ObjectAddress("bdrc", "b2", KEY)]
    with pytest.raises(ObjectMissing, match=r"b1.*b2.*in any of them"):
        glacier.find(places)
    with pytest.raises(ObjectMissing, match=r"b1.*there is no such object"):
        glacier.find(places[:1])


def test_a_place_that_may_not_be_looked_at_is_told_before_missing_elsewhere(server: S3Server, glacier: Glacier) -> None:
    """It may be the one that has the object; told as missing, the work would be given up."""
    server.head_refusal = 403
    with pytest.raises(ObjectError, match="refuses access") as caught:
        glacier.find([ObjectAddress("fpl", "b1", KEY), ObjectAddress("bdrc", "b2", KEY)])
    assert not isinstance(caught.value, ObjectMissing)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("RestoreAlreadyInProgress", RestoreState.UNDER_WAY),
        ("InvalidObjectState", RestoreState.NOT_IN_GLACIER),
        ("ObjectAlreadyInActiveTierError", RestoreState.NOT_IN_GLACIER),
        ("GlacierExpeditedRetrievalNotAvailable", RestoreRefused),
        ("AccessDenied", RestoreRefused),
        ("NoSuchKey", ObjectMissing),
        ("MalformedXML", ServiceError),
    ],
)
def test_each_refusal_of_s3_is_a_state_or_has_a_way_out(
    server: S3Server, glacier: Glacier, code: str, found: RestoreState | type[Exception]
) -> None:
    """What is under way already is no mistake; what is refused for good must not be asked a thousand times."""
    place = hold(server, "b1")
    storage = glacier.storage(place)
    server.restore_fault = lambda _path: (400, code)
    if isinstance(found, RestoreState):
        assert glacier.ask(place, storage, Tier.BULK, 14) is found
    else:
        with pytest.raises(found) as caught:
            glacier.ask(place, storage, Tier.BULK, 14)
        assert not isinstance(caught.value, ClientError)


def test_a_request_is_taken_or_its_copy_was_there_before(server: S3Server, glacier: Glacier) -> None:
    """The one is noted as asked, the other as restored: the second brings no event."""
    place = hold(server, "b1")
    assert glacier.ask(place, glacier.storage(place), Tier.BULK, 14) is RestoreState.ASKED
    assert "<Days>14</Days>" in server.restores[-1][1]
    there = hold(server, "b2", restore='ongoing-request="false", expiry-date="Fri, 04 Dec 2026 00:00:00 GMT"')
    assert glacier.ask(there, glacier.storage(there), Tier.BULK, 14) is RestoreState.RESTORED


def test_what_moves_back_for_good_is_asked_for_without_days(server: S3Server, glacier: Glacier) -> None:
    """S3 refuses them for an archive tier of INTELLIGENT_TIERING."""
    place = hold(server, "b1", **{"storage-class": "INTELLIGENT_TIERING", "archive-status": "ARCHIVE_ACCESS"})
    glacier.ask(place, glacier.storage(place), Tier.STANDARD, 14)
    assert "Days" not in server.restores[-1][1]


def test_a_tier_that_the_storage_does_not_know_is_refused_unasked(server: S3Server, glacier: Glacier) -> None:
    """S3's words for it name no way out."""
    place = hold(server, "b1", **{"storage-class": "DEEP_ARCHIVE"})
    with pytest.raises(RestoreRefused, match="--tier Standard"):
        glacier.ask(place, glacier.storage(place), Tier.EXPEDITED, 14)
    assert server.restores == []


def test_a_listing_goes_on_to_its_end_with_each_restore(server: S3Server, glacier: Glacier) -> None:
    """S3 answers a thousand keys at a time: the rest of the groups would be missing from the work."""
    server.page = 2
    for number in range(5):
        server.objects[f"/b1/W1/W1-I{number}.bag.zip"] = Held(b"zip", "e", GLACIER)
    server.objects["/b1/W1/W1-I3.bag.zip"] = Held(b"z", "e", {**GLACIER, "x-amz-restore": 'ongoing-request="true"'})
    server.objects["/b1/W12/W12.bag.zip"] = Held(b"zip", "e", GLACIER)
    found = glacier.listed("fpl", "b1", "W1/")
    assert [(each.key, each.size, each.storage.ongoing) for each in found] == [
        (f"W1/W1-I{number}.bag.zip", 1 if number == 3 else 3, number == 3) for number in range(5)
    ]
    assert len(server.listed) == 3


def test_a_prefix_that_may_not_be_listed_is_told_with_what_is_needed(server: S3Server, glacier: Glacier) -> None:
    """Nothing found there would be taken for a work in one zip."""
    server.list_fault = lambda _prefix: (403, "AccessDenied")
    with pytest.raises(ObjectError, match=r'needs s3:ListBucket; .*layout = "whole"'):
        glacier.listed("fpl", "b1", "W1/")
    server.list_fault = lambda _prefix: (404, "NoSuchBucket")
    with pytest.raises(ObjectMissing, match="no such bucket"):
        glacier.listed("fpl", "b1", "W1/")


def test_a_listing_that_is_throttled_is_asked_for_again_and_then_told(server: S3Server, glacier: Glacier) -> None:
    """S3 answers so to a list of many works; half a listing is no listing."""
    faults = [(503, "SlowDown")]
    server.list_fault = lambda _prefix: faults.pop() if faults else None
    assert glacier.listed("fpl", "b1", "W1/") == []
    server.list_fault = lambda _prefix: (503, "SlowDown")
    with pytest.raises(ServiceError, match="listing the parts"):
        glacier.listed("fpl", "b1", "W1/")


def test_only_current_versions_are_listed(aws: Aws) -> None:
    """An older version of a group, or one that was deleted, is not the work's newest state."""
    bucket = aws.make_bucket(versioned=True)
    for body in (b"old", b"newer"):
        aws.s3.put_object(Bucket=bucket, Key="W1/W1-I1.bag.zip", Body=body, StorageClass="DEEP_ARCHIVE")
    aws.s3.put_object(Bucket=bucket, Key="W1/W1-I2.bag.zip", Body=b"gone")
    aws.s3.delete_object(Bucket=bucket, Key="W1/W1-I2.bag.zip")
    (found,) = Glacier({"fpl": aws.connection}).listed("fpl", bucket, "W1/")
    assert (found.key, found.size, found.storage.storage_class) == ("W1/W1-I1.bag.zip", 5, "DEEP_ARCHIVE")
