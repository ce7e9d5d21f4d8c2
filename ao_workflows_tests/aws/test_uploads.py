"""S3's calls for uploads, by moto's server: what each answer and each refusal means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.stub import Stubber

from ao_workflows.aws.connections import make_client
from ao_workflows.aws.uploads import SentPart, Uploads
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


def test_an_upload_that_is_gone_is_tried_again(aws: Aws) -> None:
    """S3 may have completed it when the connection broke: the next attempt sees the object."""
    # moto's server fails with 500 here.
    client = make_client("s3", aws.connection)
    uploads = Uploads(aws.connection, "deep", {"s3": client})
    content = bytearray(b"page")
    with Stubber(client) as stub:
        stub.add_client_error("upload_part", "NoSuchUpload")
        stub.add_client_error("complete_multipart_upload", "NoSuchUpload")
        with pytest.raises(ServiceError, match="does not know the upload"):
            uploads.send("k", "u", 1, content, _crc(content))
        with pytest.raises(ServiceError, match="does not know the upload"):
            uploads.complete("k", "u", [SentPart('"e"', _crc(content))], _crc(content), 4, is_new=True)


def test_when_the_credentials_have_ended_the_next_call_has_those_of_then(aws: Aws) -> None:
    """A worker lives for weeks, and an upload for hours."""
    client = make_client("s3", aws.connection)
    uploads = Uploads(aws.connection, aws.make_bucket(), {"s3": client})
    with Stubber(client) as stub:
        stub.add_client_error("head_object", "ExpiredToken")
        with pytest.raises(ServiceError, match="ExpiredToken"):
            uploads.look("k")
    assert uploads.look("k") is None


def test_what_s3_computes_otherwise_is_refused_and_not_tried_again_as_it_is(aws: Aws) -> None:
    """The same parts would come to the same, for two hours."""
    client = make_client("s3", aws.connection)
    uploads = Uploads(aws.connection, "deep", {"s3": client})
    with Stubber(client) as stub:
        stub.add_client_error("complete_multipart_upload", "BadDigest", "it is another")
        stub.add_client_error("upload_part", "BadDigest", "broken on its way")
        with pytest.raises(PartRefused, match="it is another"):
            uploads.complete("k", "u", [SentPart('"e"', "00")], "00", 4, is_new=True)
        with pytest.raises(ServiceError, match="broken on its way"):
            uploads.send("k", "u", 1, bytearray(b"page"), "00")


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
