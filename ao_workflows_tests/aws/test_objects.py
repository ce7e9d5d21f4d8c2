"""What S3 says of an object when it is asked for its head."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ao_workflows.aws.connections import make_client
from ao_workflows.aws.objects import check_restored, head_object, stated, storage_of, written_at
from ao_workflows.errors import ObjectError, ObjectMissing, ObjectNotRestored
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.s3_server import S3Server

GLACIER = {"StorageClass": "GLACIER"}


THERE = {"Restore": 'ongoing-request="false", expiry-date="Fri, 04 Dec 2026 00:00:00 GMT"'}


def test_a_restored_copys_end_is_read_as_a_time() -> None:
    """An archivist plans by it; a date that is none must not hide that the copy is there."""
    assert storage_of(GLACIER | THERE).expires == datetime(2026, 12, 4, tzinfo=UTC)
    odd = storage_of(GLACIER | {"Restore": 'ongoing-request="false", expiry-date="soon"'})
    assert (odd.restored, odd.expires) == (True, None)


AGAIN = {"Restore": 'ongoing-request="true"'}


@pytest.mark.parametrize(
    ("head", "archived", "deep", "shown"),
    [
        ({}, False, False, "STANDARD"),
        ({"StorageClass": "GLACIER_IR"}, False, False, "GLACIER_IR"),
        (GLACIER, True, False, "GLACIER"),
        ({"StorageClass": "DEEP_ARCHIVE"}, True, True, "DEEP_ARCHIVE"),
        (
            {"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "DEEP_ARCHIVE_ACCESS"},
            True,
            True,
            "INTELLIGENT_TIERING (DEEP_ARCHIVE_ACCESS)",
        ),
        ({"StorageClass": "INTELLIGENT_TIERING"}, False, False, "INTELLIGENT_TIERING"),
    ],
)
def test_what_cannot_be_read_as_it_is_is_told_from_what_can(
    head: dict[str, str], archived: bool, deep: bool, shown: str
) -> None:
    """Instant retrieval has Glacier's name and needs no request; a tier of INTELLIGENT_TIERING does."""
    storage = storage_of(head)
    assert (storage.archived, storage.deep, str(storage)) == (archived, deep, shown)


def test_an_object_in_an_archive_is_read_only_where_its_copy_is_there() -> None:
    """A download of it fails after it has been begun, and a wait for what nobody asked for never ends."""
    for head in ({}, GLACIER | THERE, {"StorageClass": "INTELLIGENT_TIERING"}):
        check_restored(head, "b", "k", "s3://b/k")
    with pytest.raises(ObjectNotRestored):
        check_restored(GLACIER | AGAIN, "b", "k", "s3://b/k")
    with pytest.raises(ObjectError, match=r"ao restore request 's3://b/a key'$") as caught:
        check_restored(GLACIER, "b", "a key", "s3://b/a key")
    assert not isinstance(caught.value, ObjectNotRestored)


def test_a_checksum_is_stated_only_where_s3_has_one() -> None:
    """A checksum that is none would prove nothing, and be told as a proof."""
    head: dict[str, Any] = {
        "ContentLength": 5,
        "ETag": '"abc-2"',
        "ChecksumCRC64NVME": "x=",
        "ChecksumType": "FULL_OBJECT",
    }
    found = stated(head)
    assert (found.size, found.etag, found.checksums) == (5, "abc-2", {"crc64nvme": "x="})
    assert not found.customer_key
    assert stated(head | {"SSECustomerAlgorithm": "AES256"}).customer_key


def test_when_an_object_was_written_is_a_time_or_nothing() -> None:
    """Two deliveries are ordered by it: a text that is no time must not be one."""
    assert written_at({"LastModified": datetime(2026, 11, 21, tzinfo=UTC)}) == "2026-11-21T00:00:00+00:00"
    assert written_at({"LastModified": "soon"}) == written_at({}) == ""


def test_an_object_that_is_not_there_is_told_from_one_that_may_not_be_looked_at(aws: Aws, s3_server: S3Server) -> None:
    """The way out of the one is Glacier or another bucket, of the other a grant: S3 itself gives no reason."""
    with pytest.raises(ObjectMissing, match="there is no such object"):
        head_object(aws.s3, "s3://b/k", Bucket=aws.make_bucket(), Key="k")
    closed = make_client("s3", aws.connection.model_copy(update={"endpoint_url": s3_server.url}), attempts=1)
    s3_server.head_refusal = 403
    with pytest.raises(ObjectError, match="needs s3:GetObject") as caught:
        head_object(closed, "s3://b/k", Bucket="b", Key="k")
    assert not isinstance(caught.value, ObjectMissing)
    s3_server.head_refusal = 500
    with pytest.raises(closed.exceptions.ClientError):
        head_object(closed, "s3://b/k", Bucket="b", Key="k")
