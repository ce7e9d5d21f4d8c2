"""S3: what it says of an object, the wait for Glacier, and every checksum that proves one, against moto's server."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ao_workflows.aws import connections as way_to_aws
from ao_workflows.aws.connections import AwsConnection
from ao_workflows.aws.s3 import S3, DownloadSettings
from ao_workflows.download.download import DownloadPaths
from ao_workflows.errors import ObjectError, ObjectMissing, ObjectNotRestored, RestoreTooSlow, ServiceError
from ao_workflows.fixity.digests import digest_of_digests, file_crc64nvme, new_digest
from ao_workflows_tests.support.moto_server import PROFILE, REGION, Aws, without_checksums, write_credentials
from ao_workflows_tests.support.s3_server import Held, S3Server, held

MIB = 1 << 20
CONTENT = os.urandom(2 * MIB + 17)
UPLOADED = [os.urandom(5 * MIB), os.urandom(5 * MIB), b"the end"]
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
ALGORITHMS = {"CRC32": "CRC32", "CRC32C": "CRC32C", "CRC64NVME": "CRC64NVME", "SHA1": "SHA-1", "SHA256": "SHA-256"}


def reach(connection: AwsConnection, **settings: float) -> S3:
    return S3(connections={"fpl": connection}, settings=DownloadSettings(part_mib=1, **settings))  # type: ignore[arg-type]


def bring(s3: S3, folder: Path, bucket: str, key: str, version: str | None = None) -> tuple[str, bytes]:
    """What proved the object, and its bytes as they arrived."""
    places = DownloadPaths(folder / "W1.zip", folder / "W1.part", folder / "W1.journal")
    done = s3.download("fpl", s3.look("fpl", bucket, key, version), places)
    assert done.brought.crc64nvme == file_crc64nvme(places.final)
    content = places.final.read_bytes()
    places.remove()
    return done.proof, content


def upload(client: Any, bucket: str, algorithm: str | None = None, kind: str | None = None) -> None:
    """An upload in parts, under the key of its algorithm."""
    wanted = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    named = {"Bucket": bucket, "Key": str(algorithm)}
    named["UploadId"] = client.create_multipart_upload(**named, **wanted, **({"ChecksumType": kind} if kind else {}))[
        "UploadId"
    ]
    parts = []
    for number, body in enumerate(UPLOADED, 1):
        said = client.upload_part(**named, **wanted, PartNumber=number, Body=body)
        sums = {name: value for name, value in said.items() if name.startswith("Checksum")}
        parts.append({"PartNumber": number, "ETag": said["ETag"], **sums})
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})


def test_an_object_is_described_as_s3_holds_it(aws: Aws) -> None:
    """Size and ETag tell the object from what it may become."""
    bucket = aws.make_bucket()
    aws.s3.put_object(Bucket=bucket, Key="a/W1.bag.zip", Body=CONTENT)
    found = reach(aws.connection).look("fpl", bucket, "a/W1.bag.zip", None)
    assert found.identity == {
        "bucket": bucket,
        "key": "a/W1.bag.zip",
        "version": None,
        "etag": MD5,
        "size": len(CONTENT),
    }


def test_the_version_that_the_event_names_is_the_one_that_is_brought(aws: Aws, tmp_path: Path) -> None:
    """A newer upload under the same key is another bag, with an event of its own."""
    bucket = aws.make_bucket(versioned=True)
    first = aws.s3.put_object(Bucket=bucket, Key="W1.zip", Body=b"first")["VersionId"]
    latest = aws.s3.put_object(Bucket=bucket, Key="W1.zip", Body=b"second")["VersionId"]
    s3 = reach(aws.connection)
    assert bring(s3, tmp_path, bucket, "W1.zip", first)[1] == b"first"
    assert bring(s3, tmp_path, bucket, "W1.zip")[1] == b"second"
    assert s3.look("fpl", bucket, "W1.zip", None).version_id == latest


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_s3_s_own_checksum_of_the_whole_object_proves_it(aws: Aws, tmp_path: Path, algorithm: str) -> None:
    """It is what the archive may have compared when it uploaded; the ETag is a weaker word."""
    bucket = aws.make_bucket()
    aws.s3.put_object(Bucket=bucket, Key="W1 བསྟན+.zip", Body=CONTENT, ChecksumAlgorithm=algorithm)
    found = bring(reach(aws.connection), tmp_path, bucket, "W1 བསྟན+.zip")
    assert found == (ALGORITHMS[algorithm], CONTENT)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME"])
def test_a_checksum_of_the_whole_proves_an_upload_in_parts(aws: Aws, tmp_path: Path, algorithm: str) -> None:
    """As every upload of the present tools has it."""
    bucket = aws.make_bucket()
    upload(aws.s3, bucket, algorithm, "FULL_OBJECT")
    assert bring(reach(aws.connection), tmp_path, bucket, algorithm) == (algorithm, b"".join(UPLOADED))


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_composite_checksum_proves_an_upload_in_parts(aws: Aws, tmp_path: Path, algorithm: str) -> None:
    """It is no checksum of the bytes, but of the parts' checksums: taken for the former, every large bag is wrong."""
    bucket = aws.make_bucket()
    upload(aws.s3, bucket, algorithm, "COMPOSITE")
    proof, content = bring(reach(aws.connection), tmp_path, bucket, algorithm)
    assert proof == f"composite {ALGORITHMS[algorithm]} of 3 parts"
    assert content == b"".join(UPLOADED)


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "sha1", "sha256"])
def test_a_composite_checksum_as_aws_writes_it_proves(
    s3_server: S3Server, tmp_path: Path, algorithm: str, _without_aws_variables: None
) -> None:
    """AWS writes the number of the parts behind it, which moto's server does not; and moto's CRC32C is a CRC32."""
    digests = [_hex(algorithm, part) for part in UPLOADED]
    stated = base64.b64encode(bytes.fromhex(digest_of_digests(algorithm, digests))).decode()
    s3_server.objects["/b/k"] = Held(
        b"".join(UPLOADED),
        f"{'0' * 32}-3",
        {f"x-amz-checksum-{algorithm}": f"{stated}-3", "x-amz-checksum-type": "COMPOSITE"},
        tuple((len(part), {}) for part in UPLOADED),
    )
    write_credentials(tmp_path / "credentials")
    proof, content = bring(reach(_way(s3_server, tmp_path)), tmp_path, "b", "k")
    assert proof == f"composite {ALGORITHMS[algorithm.upper()]} of 3 parts"
    assert content == b"".join(UPLOADED)


def test_without_a_checksum_the_etag_proves(aws: Aws, tmp_path: Path) -> None:
    """What was put before 2025 has no other."""
    bucket = aws.make_bucket()
    old = without_checksums(aws)
    old.put_object(Bucket=bucket, Key="W1.zip", Body=CONTENT)
    upload(old, bucket)
    s3 = reach(aws.connection)
    assert bring(s3, tmp_path, bucket, "W1.zip") == ("MD5 (ETag)", CONTENT)
    assert bring(s3, tmp_path, bucket, "None") == ("MD5 of the MD5s of 3 parts (ETag)", b"".join(UPLOADED))


def test_an_object_under_a_key_of_kms_is_proven_by_its_size_alone(aws: Aws, tmp_path: Path) -> None:
    """Its ETag looks like an MD5 and is none."""
    bucket = aws.make_bucket()
    without_checksums(aws).put_object(Bucket=bucket, Key="W1.zip", Body=CONTENT, ServerSideEncryption="aws:kms")
    proof, content = bring(reach(aws.connection), tmp_path, bucket, "W1.zip")
    assert proof.startswith("size only: ")
    assert content == CONTENT


@pytest.mark.parametrize("storage", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_object_in_glacier_is_refused_until_it_is_restored(aws: Aws, tmp_path: Path, storage: str) -> None:
    """Asked for its bytes, S3 would say InvalidObjectState, which tells an archivist nothing."""
    bucket = aws.make_bucket()
    s3 = reach(aws.connection)
    aws.s3.put_object(Bucket=bucket, Key="a/W1.bag.zip", Body=CONTENT, StorageClass=storage)
    way_out = f"in {storage} and cannot be read.*: ao restore request s3://{bucket}/a/W1.bag.zip$"
    with pytest.raises(ObjectError, match=way_out) as raised:
        s3.look("fpl", bucket, "a/W1.bag.zip", None)
    assert not raised.value.transient
    aws.s3.restore_object(Bucket=bucket, Key="a/W1.bag.zip", RestoreRequest={"Days": 1})
    aws.s3.head_object(Bucket=bucket, Key="a/W1.bag.zip")
    assert bring(s3, tmp_path, bucket, "a/W1.bag.zip")[1] == CONTENT


def test_an_object_that_glacier_is_restoring_may_be_asked_for_again(aws: Aws, tmp_path: Path) -> None:
    """Before, during and after, as staff ask for it and the event comes."""
    bucket = aws.make_bucket()
    aws.s3.put_object(Bucket=bucket, Key="W1.zip", Body=CONTENT, StorageClass="GLACIER")
    s3 = reach(aws.connection)
    with restores_held_up(aws):
        aws.s3.restore_object(Bucket=bucket, Key="W1.zip", RestoreRequest={"Days": 1})
        with pytest.raises(ObjectNotRestored, match="Glacier is still restoring it") as raised:
            s3.look("fpl", bucket, "W1.zip", None)
        assert raised.value.transient
    while True:
        with suppress(ObjectNotRestored):
            s3.look("fpl", bucket, "W1.zip", None)
            break
    assert bring(s3, tmp_path, bucket, "W1.zip")[1] == CONTENT


@contextmanager
def restores_held_up(aws: Aws) -> Iterator[None]:
    """moto's Glacier is done at once; here it takes until it has been looked at a few times."""
    for transition in ({"progression": "manual", "times": 3}, None):
        about = {"model_name": "s3::keyrestore"}
        doing = "set" if transition else "unset"
        body = json.dumps(about | ({"transition": transition} if transition else {})).encode()
        ask = urllib.request.Request(  # noqa: S310 - moto's own address
            f"{aws.endpoint_url}/moto-api/state-manager/{doing}-transition", data=body, method="POST"
        )
        with urllib.request.urlopen(ask):  # noqa: S310
            pass
        if transition:
            yield


GLACIER_IS_AT_IT = {"x-amz-storage-class": "DEEP_ARCHIVE", "x-amz-restore": 'ongoing-request="true"'}


def _way(server: S3Server, folder: Path) -> AwsConnection:
    write_credentials(folder / "credentials")
    return AwsConnection(
        region=REGION, profile=PROFILE, endpoint_url=server.url, credentials_file=str(folder / "credentials")
    )


def _hex(algorithm: str, body: bytes) -> str:
    digest = new_digest(algorithm)
    digest.update(body)
    return digest.hexdigest()


def test_a_restore_that_is_under_way_is_waited_for(
    s3_server: S3Server, tmp_path: Path, _without_aws_variables: None
) -> None:
    """A person may start a run before Glacier is ready; each wait is in the log, and longer than the last."""
    s3_server.objects["/b/W1.zip"] = Held(CONTENT, MD5, GLACIER_IS_AT_IT)
    said: list[str] = []
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 7:
            s3_server.objects["/b/W1.zip"] = held(CONTENT)

    found = reach(_way(s3_server, tmp_path)).look_when_restored("fpl", "b", "W1.zip", None, said.append, wait)
    assert found.size == len(CONTENT)
    assert waits == [30, 60, 120, 240, 480, 900, 900]
    assert len(said) == 7
    assert "Glacier is still restoring it; asking again in 30 s" in said[0]


def test_a_restore_that_takes_longer_than_the_site_allows_is_told(
    s3_server: S3Server, tmp_path: Path, _without_aws_variables: None
) -> None:
    """A run that waited for ever would hold a place in the queue for ever."""
    s3_server.objects["/b/W1.zip"] = Held(CONTENT, MD5, GLACIER_IS_AT_IT)
    waits: list[float] = []
    s3 = reach(_way(s3_server, tmp_path), restore_wait_hours=0.5)
    with pytest.raises(RestoreTooSlow, match=r"after 0.5 hours of waiting.*restore_wait_hours") as raised:
        s3.look_when_restored("fpl", "b", "W1.zip", None, lambda _: None, waits.append)
    assert not raised.value.transient
    assert sum(waits) == 1800
    with pytest.raises(ObjectNotRestored):
        s3.look("fpl", "b", "W1.zip", None)


def test_an_archive_tier_of_intelligent_tiering_is_an_archive(
    s3_server: S3Server, tmp_path: Path, _without_aws_variables: None
) -> None:
    """Its storage class does not say that its bytes cannot be had."""
    s3_server.objects["/b/W1.zip"] = Held(
        CONTENT, MD5, {"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "ARCHIVE_ACCESS"}
    )
    with pytest.raises(ObjectError, match=r"INTELLIGENT_TIERING \(ARCHIVE_ACCESS\) and cannot be read"):
        reach(_way(s3_server, tmp_path)).look("fpl", "b", "W1.zip", None)


def test_an_object_that_is_not_there_is_told_with_all_that_was_used(aws: Aws) -> None:
    """Bucket, key, version, region and profile: each may be the wrong one."""
    bucket = aws.make_bucket()
    with pytest.raises(ObjectMissing, match="there is no such object") as raised:
        reach(aws.connection).look("fpl", bucket, "a/W1.bag.zip", None)
    for part in (f"s3://{bucket}/a/W1.bag.zip", REGION, PROFILE):
        assert part in str(raised.value)
    assert not raised.value.transient


def test_an_intake_that_the_site_does_not_have_is_told(aws: Aws) -> None:
    """An old run's event may name an intake that has been taken out since."""
    with pytest.raises(ObjectError, match=r"intake 'nlm': is not in site\.toml, whose intakes are: fpl"):
        reach(aws.connection).look("nlm", "b", "k", None)


def test_a_refused_access_is_told_and_not_tried_again(
    s3_server: S3Server, tmp_path: Path, _without_aws_variables: None
) -> None:
    """Half an hour of retries gives no permission."""
    s3_server.head_refusal = 403
    with pytest.raises(ObjectError, match="S3 refuses access") as raised:
        reach(_way(s3_server, tmp_path)).look("fpl", "b", "W1.zip", "v1")
    assert not raised.value.transient
    assert "s3://b/W1.zip version v1 (region" in str(raised.value)


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_fails_may_be_tried_again(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, _without_aws_variables: None
) -> None:
    """SlowDown passes."""
    monkeypatch.setattr(way_to_aws, "ATTEMPTS", 1)
    s3_server.head_refusal = status
    with pytest.raises(ServiceError, match="asking for the object failed at s3://b/k") as raised:
        reach(_way(s3_server, tmp_path)).look("fpl", "b", "k", None)
    assert raised.value.transient


def test_the_unpacked_size_is_read_from_the_zip_s_end_alone(
    s3_server: S3Server, tmp_path: Path, _without_aws_variables: None
) -> None:
    """Room is promised before the first byte of 400 GB is fetched."""
    with zipfile.ZipFile(tmp_path / "W1.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W1.bag/data/large", b"\0" * (3 * MIB))
        archive.writestr("W1.bag/data/random", CONTENT)
    s3_server.objects["/b/W1.zip"] = held((tmp_path / "W1.zip").read_bytes())
    s3 = reach(_way(s3_server, tmp_path))
    found = s3.unpacked_size("fpl", s3.look("fpl", "b", "W1.zip", None))
    assert found
    assert (found.files, found.bytes) == (2, 3 * MIB + len(CONTENT))
    assert s3_server.served < 200_000
    s3_server.objects["/b/W1.zip"] = held(CONTENT)
    assert s3.unpacked_size("fpl", s3.look("fpl", "b", "W1.zip", None)) is None
