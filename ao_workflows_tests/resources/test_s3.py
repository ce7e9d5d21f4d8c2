"""S3: what it says of an object, and bytes that are proven or thrown away."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ao_workflows.domain.errors import (
    AoError,
    DownloadMismatch,
    ObjectError,
    ObjectNotRestored,
    ServiceError,
    StagingError,
)
from ao_workflows.resources import aws as way_to_aws
from ao_workflows.resources.aws import AwsConnection
from ao_workflows.resources.s3 import S3
from ao_workflows_tests.resources.moto_server import PROFILE, REGION, Aws

MIB = 1 << 20
CONTENT = os.urandom(3 * MIB + 17)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def reach(connection: AwsConnection) -> S3:
    return S3(connections={"fpl": connection})


def test_an_object_is_described_as_s3_holds_it(aws: Aws) -> None:
    """Size and ETag are what the download is proven by."""
    bucket = aws.make_bucket()
    aws.s3.put_object(Bucket=bucket, Key="a/W1.bag.zip", Body=CONTENT)
    found = reach(aws.connection).look("fpl", bucket, "a/W1.bag.zip", None)
    assert (found.bucket, found.key, found.size, found.etag) == (bucket, "a/W1.bag.zip", len(CONTENT), MD5)
    assert found.version_id is None


def test_the_version_that_the_event_names_is_the_one_that_is_brought(aws: Aws, tmp_path: Path) -> None:
    """A newer upload under the same key is another bag, with an event of its own."""
    bucket = aws.make_bucket(versioned=True)
    first = aws.s3.put_object(Bucket=bucket, Key="W1.zip", Body=b"first")["VersionId"]
    latest = aws.s3.put_object(Bucket=bucket, Key="W1.zip", Body=b"second")["VersionId"]
    s3 = reach(aws.connection)
    s3.download("fpl", s3.look("fpl", bucket, "W1.zip", first), tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == b"first"
    assert s3.look("fpl", bucket, "W1.zip", None).version_id == latest


def test_the_bytes_arrive_and_are_proven_by_their_md5(aws: Aws, tmp_path: Path) -> None:
    """What is called done is what S3 holds, and it says by what that is known."""
    bucket = aws.make_bucket()
    aws.s3.put_object(Bucket=bucket, Key="W1 བསྟན+.zip", Body=CONTENT)
    s3 = reach(aws.connection)
    told: list[int] = []
    done = s3.download("fpl", s3.look("fpl", bucket, "W1 བསྟན+.zip", None), tmp_path / "part", told.append)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert (done.bytes, done.md5) == (len(CONTENT), MD5)
    assert "MD5" in done.proof
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)


def test_an_object_of_several_parts_is_not_refused_for_its_etag(aws: Aws, tmp_path: Path) -> None:
    """Such an ETag is no MD5 of the whole: every large bag is uploaded in parts."""
    bucket = aws.make_bucket()
    upload = {"Bucket": bucket, "Key": "W1.zip"}
    upload["UploadId"] = aws.s3.create_multipart_upload(**upload)["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": aws.s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in ((1, b"x" * (5 * MIB)), (2, b"end"))
    ]
    aws.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    s3 = reach(aws.connection)
    found = s3.look("fpl", bucket, "W1.zip", None)
    assert found.etag.endswith("-2")
    done = s3.download("fpl", found, tmp_path / "part")
    assert (tmp_path / "part").stat().st_size == done.bytes == 5 * MIB + 3


def test_an_empty_object_is_an_empty_file(aws: Aws, tmp_path: Path) -> None:
    """It is no bag, but that is for the bag's stage to say."""
    bucket = aws.make_bucket()
    aws.s3.put_object(Bucket=bucket, Key="W1.zip", Body=b"")
    s3 = reach(aws.connection)
    assert s3.download("fpl", s3.look("fpl", bucket, "W1.zip", None), tmp_path / "part").bytes == 0
    assert (tmp_path / "part").read_bytes() == b""


def test_an_object_in_glacier_is_refused_until_it_is_restored(aws: Aws, tmp_path: Path) -> None:
    """Asked for its bytes, S3 would say InvalidObjectState, which tells an archivist nothing."""
    bucket = aws.make_bucket()
    s3 = reach(aws.connection)
    for storage in ("GLACIER", "DEEP_ARCHIVE"):
        aws.s3.put_object(Bucket=bucket, Key=storage, Body=CONTENT, StorageClass=storage)
        with pytest.raises(ObjectError, match=f"{storage} and not restored: ask Glacier") as raised:
            s3.look("fpl", bucket, storage, None)
        assert not raised.value.transient
        aws.s3.restore_object(Bucket=bucket, Key=storage, RestoreRequest={"Days": 1})
        aws.s3.head_object(Bucket=bucket, Key=storage)
        s3.download("fpl", s3.look("fpl", bucket, storage, None), tmp_path / storage)
        assert (tmp_path / storage).read_bytes() == CONTENT


def test_an_object_that_is_not_there_is_told_with_all_that_was_used(aws: Aws) -> None:
    """Bucket, key, version, region and profile: each may be the wrong one."""
    bucket = aws.make_bucket()
    with pytest.raises(ObjectError, match="there is no such object") as raised:
        reach(aws.connection).look("fpl", bucket, "a/W1.bag.zip", None)
    for part in (f"s3://{bucket}/a/W1.bag.zip", REGION, PROFILE):
        assert part in str(raised.value)
    assert not raised.value.transient


def test_an_intake_that_the_site_does_not_have_is_told(aws: Aws) -> None:
    """An old run's event may name an intake that has been taken out since."""
    with pytest.raises(ObjectError, match=r"intake 'nlm': is not in site.toml, which has \['fpl'\]"):
        reach(aws.connection).look("nlm", "b", "k", None)


def test_an_object_that_changes_between_look_and_download_is_not_mixed_up(aws: Aws, tmp_path: Path) -> None:
    """The bytes of one upload under the size and ETag of another would be no known bag."""
    bucket = aws.make_bucket()
    aws.s3.put_object(Bucket=bucket, Key="W1.zip", Body=b"first")
    s3 = reach(aws.connection)
    found = s3.look("fpl", bucket, "W1.zip", None)
    aws.s3.put_object(Bucket=bucket, Key="W1.zip", Body=b"other")
    with pytest.raises(AoError) as raised:
        s3.download("fpl", found, tmp_path / "part")
    assert raised.value.transient
    assert f"s3://{bucket}/W1.zip" in str(raised.value)


def test_a_disk_that_is_full_is_told_as_the_disks_failure(aws: Aws, tmp_path: Path) -> None:
    """Told as S3's, it would be tried again and again on the same full disk."""
    bucket = aws.make_bucket()
    aws.s3.put_object(Bucket=bucket, Key="W1.zip", Body=CONTENT)
    s3 = reach(aws.connection)
    (tmp_path / "part").symlink_to("/dev/full")
    with pytest.raises(StagingError, match="No space left on device") as raised:
        s3.download("fpl", s3.look("fpl", bucket, "W1.zip", None), tmp_path / "part")
    assert not raised.value.transient


class Misbehaving(ThreadingHTTPServer):
    """An S3 that holds CONTENT, and does with a GET, or a HEAD, what it is told to."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.head: Callable[[_Answer], None] = lambda answer: answer.say(200)
        self.body: Callable[[bytes], bytes] = lambda body: body
        self.headers: dict[str, str] = {}

    def connection(self) -> AwsConnection:
        return AwsConnection(region=REGION, endpoint_url=f"http://127.0.0.1:{self.server_port}")


class _Answer(BaseHTTPRequestHandler):
    server: Misbehaving
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.server.head(self)

    def do_GET(self) -> None:
        first, last = 0, len(CONTENT) - 1
        if asked := self.headers.get("Range"):
            start, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end) if end else last, last)
        wanted = CONTENT[first : last + 1]
        part = {"Content-Range": f"bytes {first}-{last}/{len(CONTENT)}"} if asked else {}
        self.say(206 if asked else 200, len(wanted), **part)
        sent = self.server.body(wanted)
        self.wfile.write(sent)
        if len(sent) < len(wanted):
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def say(self, status: int, length: int = len(CONTENT), **headers: str) -> None:
        self.send_response(status)
        own = {"Content-Length": str(length), "ETag": f'"{MD5}"', "Accept-Ranges": "bytes"}
        for name, value in (own | self.server.headers | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_said: object) -> None:
        """pytest's output is for pytest."""


@pytest.fixture
def misbehaving(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    """The server, and keys for it in the environment, as an instance's role would give them."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(aws.connection.credentials_file))
    monkeypatch.setenv("AWS_PROFILE", PROFILE)
    monkeypatch.setattr(way_to_aws, "ATTEMPTS", 2)
    with _serving(Misbehaving()) as server:
        yield server


@contextmanager
def _serving(server: Misbehaving) -> Iterator[Misbehaving]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_misbehaving_server_that_behaves_is_believed(misbehaving: Misbehaving, tmp_path: Path) -> None:
    """Otherwise the tests below would prove nothing."""
    s3 = reach(misbehaving.connection())
    s3.download("fpl", s3.look("fpl", "b", "k", None), tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_a_flipped_byte_is_found_by_the_etag(misbehaving: Misbehaving, tmp_path: Path) -> None:
    """A wrong file must never be called done."""
    misbehaving.body = lambda body: bytes([body[0] ^ 1]) + body[1:]
    s3 = reach(misbehaving.connection())
    with pytest.raises(DownloadMismatch) as raised:
        s3.download("fpl", s3.look("fpl", "b", "k", None), tmp_path / "part")
    assert raised.value.transient
    assert MD5 in str(raised.value)
    assert not (tmp_path / "part").exists()


def test_a_body_that_is_cut_short_may_be_tried_again(misbehaving: Misbehaving, tmp_path: Path) -> None:
    """Links drop: that is no fault of the object's, nor of the disk's."""
    misbehaving.body = lambda body: body[: len(body) // 2]
    s3 = reach(misbehaving.connection())
    with pytest.raises(AoError) as raised:
        s3.download("fpl", s3.look("fpl", "b", "k", None), tmp_path / "part")
    assert raised.value.transient
    assert not isinstance(raised.value, StagingError)


def test_a_refused_access_is_told_and_not_tried_again(misbehaving: Misbehaving) -> None:
    """Half an hour of retries gives no permission."""
    misbehaving.head = lambda answer: answer.say(403, 0)
    with pytest.raises(ObjectError, match="S3 refuses access") as raised:
        reach(misbehaving.connection()).look("fpl", "b", "k", "v1")
    assert not raised.value.transient
    assert "version v1" in str(raised.value)


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_fails_may_be_tried_again(misbehaving: Misbehaving, status: int) -> None:
    """SlowDown passes."""
    misbehaving.head = lambda answer: answer.say(status, 0)
    with pytest.raises(ServiceError, match="asking for the object failed at s3://b/k") as raised:
        reach(misbehaving.connection()).look("fpl", "b", "k", None)
    assert raised.value.transient


def test_a_server_that_is_not_there_may_be_tried_again(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network comes back."""
    monkeypatch.setattr(way_to_aws, "ATTEMPTS", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = aws.connection.model_copy(update={"endpoint_url": f"http://127.0.0.1:{taken.getsockname()[1]}"})
        with pytest.raises(ServiceError, match="Could not connect") as raised:
            reach(nobody).look("fpl", "b", "k", None)
    assert raised.value.transient


@pytest.mark.parametrize(
    ("restore", "error", "told"),
    [
        ('ongoing-request="true"', ObjectNotRestored, "still restoring"),
        ("", ObjectError, "not restored: ask Glacier"),
    ],
)
def test_a_restore_that_is_under_way_is_waited_for(
    misbehaving: Misbehaving, restore: str, error: type[ObjectError], told: str
) -> None:
    """One that nobody asked for, or that has expired, never ends by itself."""
    misbehaving.headers = {"x-amz-storage-class": "DEEP_ARCHIVE"} | ({"x-amz-restore": restore} if restore else {})
    with pytest.raises(error, match=told) as raised:
        reach(misbehaving.connection()).look("fpl", "b", "k", None)
    assert raised.value.transient == bool(restore)
