"""Ranges of one object: read from the object that was seen first, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.errors import ObjectError, ObjectMissing, ServiceError
from ao_workflows_tests.support.download_side import CONTENT, Side
from ao_workflows_tests.support.moto_server import PROFILE, write_credentials
from ao_workflows_tests.support.s3_server import Asked, Fault, S3Server

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
