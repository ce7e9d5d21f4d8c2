"""How AWS is reached, and its errors in words."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from ao_workflows.aws import connections as way_to_aws
from ao_workflows.aws.connections import AwsConnection, answered_within, calls_explained, make_client
from ao_workflows.aws.s3 import S3, DownloadSettings
from ao_workflows.errors import ObjectMissing, ServiceError
from ao_workflows_tests.support.moto_server import Aws


def reach(connection: AwsConnection, **settings: float) -> S3:
    return S3(connections={"fpl": connection}, settings=DownloadSettings(part_mib=1, **settings))  # type: ignore[arg-type]


def test_a_server_that_is_not_there_may_be_tried_again(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network comes back."""
    monkeypatch.setattr(way_to_aws, "ATTEMPTS", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = aws.connection.model_copy(update={"endpoint_url": f"http://127.0.0.1:{taken.getsockname()[1]}"})
        with pytest.raises(ServiceError, match="Could not connect") as raised:
            reach(nobody).look("fpl", "b", "k", None)
    assert raised.value.transient


def test_each_way_names_all_that_it_goes_by() -> None:
    """A wrong profile or endpoint is found by the one line of the error."""
    way = AwsConnection(region="r", profile="p", endpoint_url="http://e")
    assert str(way) == "region r, profile p, endpoint http://e"
    assert str(AwsConnection(region="r")) == "region r, profile default"


def test_what_aws_refuses_is_told_with_its_code_and_what_was_being_done() -> None:
    """boto3's own words name the operation and not the queue."""
    refused = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ReceiveMessage")
    with (
        pytest.raises(ServiceError, match=r"receiving.*queue q.*AccessDenied: no"),
        calls_explained("receiving", "queue q"),
    ):
        raise refused
    with pytest.raises(ServiceError, match="error: An error"), calls_explained("receiving", "q"):
        raise ClientError({}, "ReceiveMessage")


@pytest.mark.parametrize("error", [ReadTimeoutError(endpoint_url="http://e"), TimeoutError("there was no answer")])
def test_what_the_network_does_may_be_tried_again(error: Exception) -> None:
    """It comes back, and a run that failed for it would be a person's to start."""
    with pytest.raises(ServiceError) as caught, calls_explained("receiving", "q"):
        raise error
    assert caught.value.transient


def test_an_error_of_the_platform_s_and_a_mistake_of_ours_come_through_as_they_are() -> None:
    """A missing object told as an outage would be tried for hours."""
    for error in (ObjectMissing("s3://b/k", "there is none"), KeyError("a mistake")):
        with pytest.raises(type(error)), calls_explained("looking", "s3://b/k"):
            raise error


def test_an_answer_that_comes_too_late_is_none_and_what_the_call_raises_is_raised() -> None:
    """A name server that hangs would take a sensor's tick past its end."""
    assert answered_within(30, lambda: "here") == "here"
    with pytest.raises(TimeoutError, match="no answer within 0 s"):
        answered_within(0.05, lambda: time.sleep(0.5))
    with pytest.raises(KeyError):
        answered_within(30, lambda: {}["a"])


def test_the_credentials_are_those_of_the_file_and_the_profile(aws: Aws) -> None:
    """A default profile, found elsewhere, would ask in another account's name."""
    client = make_client("s3", aws.connection)
    assert aws.connection.credentials_file is not None
    assert client._request_signer._credentials.access_key in Path(aws.connection.credentials_file).read_text()
    assert client.meta.config.region_name == aws.connection.region
