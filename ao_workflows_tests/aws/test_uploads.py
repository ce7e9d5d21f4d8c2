"""S3's calls for uploads, by moto's server: what each answer and each refusal means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ao_workflows.aws.uploads import Uploads
from ao_workflows.errors import ObjectError, PartRefused, ServiceError
from ao_workflows.fixity.digests import new_digest
from ao_workflows.fixity.s3_checksums import in_base64
from ao_workflows_tests.support.moto_server import Aws

LONG_AGO = datetime(2010, 1, 1, tzinfo=UTC)
"""moto's server says that every upload was begun in that year."""


def _crc(content: bytes) -> str:
    digest = new_digest("crc64nvme")
    digest.update(content)
    return digest.hexdigest()


def test_an_upload_becomes_an_object_with_the_checksum_of_the_whole(aws: Aws) -> None:
    """That checksum is what proves the copy."""
    uploads = Uploads(aws.connection, aws.make_bucket())
    upload = uploads.begin("k", "STANDARD_IA", {"owner": "ao", "project": "a b"}, {"ao-bag": "x"})
    content = bytearray(b"page")
    part = uploads.send("k", upload, 1, content, _crc(content))
    assert uploads.parts("k", upload) == {1: part.etag}
    assert uploads.complete("k", upload, [part], _crc(content), 4, is_new=True) is None
    there = uploads.look("k")
    assert there
    assert (there.stated.size, there.metadata, there.version_id) == (4, {"ao-bag": "x"}, None)
    assert there.stated.checksums["crc64nvme"] == in_base64(_crc(content))
    assert uploads.parts("k", upload) is None
    tags = aws.s3.get_object_tagging(Bucket=uploads.bucket, Key="k")["TagSet"]
    assert {"Key": "project", "Value": "a b"} in tags


def test_what_is_not_there_is_none(aws: Aws) -> None:
    """It is the usual case, and no error."""
    uploads = Uploads(aws.connection, aws.make_bucket())
    assert uploads.look("k") is None
    assert uploads.parts("k", "nothing") is None
    uploads.abort("k", "nothing")


def test_a_bucket_says_whether_it_keeps_versions(aws: Aws) -> None:
    """Only there may something be written over."""
    assert not Uploads(aws.connection, aws.make_bucket()).keeps_versions()
    assert Uploads(aws.connection, aws.make_bucket(versioned=True)).keeps_versions()


def test_an_upload_that_was_begun_is_found_by_its_key_alone(aws: Aws) -> None:
    """An upload of another part is none of this one's business."""
    uploads = Uploads(aws.connection, aws.make_bucket())
    upload = uploads.begin("k", "STANDARD_IA", {}, {})
    uploads.begin("k2", "STANDARD_IA", {}, {})
    assert list(uploads.begun_since("k", LONG_AGO)) == [upload]
    assert list(uploads.begun_since("k", datetime.now(UTC))) == []
    uploads.abort("k", upload)
    assert list(uploads.begun_since("k", LONG_AGO)) == []


def test_a_bucket_that_is_not_there_is_told(aws: Aws) -> None:
    """A mistake in the site's settings is not waited for."""
    with pytest.raises(ObjectError, match="there is no such bucket"):
        Uploads(aws.connection, "nowhere-at-all").begin("k", "STANDARD_IA", {}, {})


def test_parts_that_s3_does_not_have_are_refused(aws: Aws) -> None:
    """An object of other parts would have other bytes."""
    uploads = Uploads(aws.connection, aws.make_bucket())
    upload = uploads.begin("k", "STANDARD_IA", {}, {})
    content = bytearray(b"page")
    part = uploads.send("k", upload, 1, content, _crc(content))
    other = part.__class__('"d41d8cd98f00b204e9800998ecf8427e"', part.crc64nvme)
    with pytest.raises((PartRefused, ServiceError)):
        uploads.complete("k", upload, [other], _crc(content), 4, is_new=True)
    assert uploads.look("k") is None


def test_an_object_that_came_meanwhile_is_not_written_over(aws: Aws) -> None:
    """In a bucket without versions it would be lost."""
    uploads = Uploads(aws.connection, aws.make_bucket())
    upload = uploads.begin("k", "STANDARD_IA", {}, {})
    content = bytearray(b"page")
    part = uploads.send("k", upload, 1, content, _crc(content))
    aws.s3.put_object(Bucket=uploads.bucket, Key="k", Body=b"theirs")
    with pytest.raises(PartRefused, match="another writer"):
        uploads.complete("k", upload, [part], _crc(content), 4, is_new=True)
    assert aws.s3.get_object(Bucket=uploads.bucket, Key="k")["Body"].read() == b"theirs"
