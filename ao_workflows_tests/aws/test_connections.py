"""How AWS is reached, and its errors in words."""

from __future__ import annotations

import socket

import pytest

from ao_workflows.aws import connections as way_to_aws
from ao_workflows.aws.connections import AwsConnection
from ao_workflows.aws.s3 import S3, DownloadSettings
from ao_workflows.errors import ServiceError
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
