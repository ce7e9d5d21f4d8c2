"""Uploads in parts: S3's calls for one bucket, with the checksum CRC64NVME of each part and of the whole object.

What belongs here: the calls, and what their answers and refusals mean. What does not: what is uploaded, and which parts
are sent again (``ao_workflows.deep_copy.sending``).

See AWS, "Uploading and copying objects using multipart upload", and CompleteMultipartUpload: S3 computes the checksum
of the whole object itself, and refuses one that differs from what it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from ao_workflows.aws.connections import AwsConnection, calls_explained, make_client
from ao_workflows.aws.objects import stated
from ao_workflows.errors import ObjectError, PartRefused, ServiceError
from ao_workflows.fixity.s3_checksums import Stated, in_base64

_ALGORITHM = "CRC64NVME"
_CLOCKS_DIFFER = timedelta(minutes=15)
_FORBIDDEN = {"AccessDenied", "403", "AllAccessDisabled"}
_IN_THE_WAY = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_CREDENTIALS_ENDED = {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "RequestExpired"}
_NOT_THESE_PARTS = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"}


@dataclass(frozen=True)
class ObjectThere:
    """An object as it is in the bucket: its size and checksums, its version, and the metadata that its writer gave."""

    stated: Stated
    version_id: str | None
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class SentPart:
    """A part that S3 has: its ETag, and the CRC64NVME of its bytes in hex."""

    etag: str
    crc64nvme: str


@dataclass(frozen=True)
class Uploads:
    """Uploads into one bucket. One client is made, with the first call, and another when its credentials have ended."""

    connection: AwsConnection
    bucket: str
    _made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def where(self, key: str) -> str:
        """Returns the object's name for messages."""
        return f"s3://{self.bucket}/{key} ({self.connection})"

    def look(self, key: str, version_id: str | None = None) -> ObjectThere | None:
        """Returns the object at a key as it is now; None if there is none."""
        client = self._client()
        version = {"VersionId": version_id} if version_id else {}
        try:
            with self._explained("asking for the object", key):
                head = client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED", **version)
        except _NoSuchThing:
            return None
        return ObjectThere(stated(head), _version(head), head.get("Metadata", {}))

    def keeps_versions(self) -> bool:
        """Whether what is written to a key leaves there what was there before, as a version."""
        with self._explained("asking for the bucket's versioning", ""):
            return bool(self._client().get_bucket_versioning(Bucket=self.bucket).get("Status") == "Enabled")

    def begin(self, key: str, storage_class: str, tags: Mapping[str, str], metadata: Mapping[str, str]) -> str:
        """Begins an upload, and returns its id."""
        with self._explained("beginning an upload", key):
            answer = self._client().create_multipart_upload(
                Bucket=self.bucket,
                Key=key,
                ChecksumAlgorithm=_ALGORITHM,
                ChecksumType="FULL_OBJECT",
                StorageClass=storage_class,
                Tagging=urlencode(tags),
                Metadata=dict(metadata),
            )
        return str(answer["UploadId"])

    def begun_since(self, key: str, moment: datetime) -> Iterator[str]:
        """Finds the uploads of a key that are not complete and were begun since a moment, give or take a clock's
        error.
        """
        with self._explained("listing uploads", key):
            pages = self._client().get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=key)
            for page in pages:
                for each in page.get("Uploads", ()):
                    if each["Key"] == key and each["Initiated"] >= moment - _CLOCKS_DIFFER:
                        yield each["UploadId"]

    def send(self, key: str, upload: str, number: int, content: bytearray, crc64nvme: str) -> SentPart:
        """Sends a part, and returns what S3 has then.

        :param number: from 1 on.
        :param crc64nvme: of the content, in hex: S3 takes no other content for it.
        """
        with self._upload_there(key), self._explained(f"sending part {number}", key):
            answer = self._client().upload_part(
                Bucket=self.bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                Body=content,
                ChecksumCRC64NVME=in_base64(crc64nvme),
            )
        return SentPart(answer["ETag"], crc64nvme)

    def parts(self, key: str, upload: str) -> dict[int, str] | None:
        """Returns the ETags of the parts that S3 has of an upload, by their numbers; None if there is no such upload
        any more.
        """
        found: dict[int, str] = {}
        try:
            with self._explained("listing an upload's parts", key):
                pages = (
                    self._client().get_paginator("list_parts").paginate(Bucket=self.bucket, Key=key, UploadId=upload)
                )
                for page in pages:
                    found |= {each["PartNumber"]: each["ETag"] for each in page.get("Parts", ())}
        except _NoSuchThing:
            return None
        return found

    def complete(
        self, key: str, upload: str, parts: Sequence[SentPart], crc64nvme: str, size: int, *, is_new: bool
    ) -> str | None:
        """Makes the object of its parts, and returns its version.

        :param crc64nvme: of the whole object, in hex; ``size`` is its bytes. S3 compares both.
        :param is_new: whether S3 must refuse if there is an object by now.
        :raises PartRefused: if there is one, or S3 has other parts, or computes another checksum of the whole.
        """
        listed = [
            {"PartNumber": number, "ETag": part.etag, "ChecksumCRC64NVME": in_base64(part.crc64nvme)}
            for number, part in enumerate(parts, 1)
        ]
        with self._upload_there(key), self._explained("completing an upload", key, completing=True):
            answer = self._client().complete_multipart_upload(
                Bucket=self.bucket,
                Key=key,
                UploadId=upload,
                MultipartUpload={"Parts": listed},
                ChecksumCRC64NVME=in_base64(crc64nvme),
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=size,
                **({"IfNoneMatch": "*"} if is_new else {}),
            )
        return _version(answer)

    def abort(self, key: str, upload: str) -> None:
        """Has S3 forget an upload and its parts; does nothing if there is none."""
        try:
            with self._explained("ending an upload", key):
                self._client().abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
        except _NoSuchThing:
            return

    def _client(self) -> Any:
        if not self._made:
            # A body's bytes are proven by their CRC, so they need no SHA-256 besides, which costs more than the rest.
            self._made["s3"] = make_client("s3", self.connection, sign_bodies=False)
        return self._made["s3"]

    @contextmanager
    def _upload_there(self, key: str) -> Iterator[None]:
        """An upload may be gone because S3 has completed it, and the answer was lost; the next attempt finds out."""
        try:
            yield
        except _NoSuchThing as error:
            raise ServiceError("sending", self.where(key), "S3 does not know the upload any more") from error

    @contextmanager
    def _explained(self, doing: str, key: str, *, completing: bool = False) -> Iterator[None]:
        where = self.where(key)
        with calls_explained(doing, where):
            try:
                yield
            except self._client().exceptions.ClientError as error:
                match error.response["Error"]["Code"]:
                    case "404" | "NoSuchKey" | "NoSuchUpload" | "NoSuchVersion":
                        raise _NoSuchThing from error
                    case "NoSuchBucket":
                        raise ObjectError(where, "there is no such bucket") from error
                    case code if code in _CREDENTIALS_ENDED:
                        self._made.clear()
                    case code if code in _FORBIDDEN:
                        raise ObjectError(where, f"S3 refuses {doing}: see the rights of the profile") from error
                    case code if code in _IN_THE_WAY:
                        raise PartRefused(where, "another writer has put an object there meanwhile") from error
                    case code if code in _NOT_THESE_PARTS or (code == "BadDigest" and completing):
                        reason = f"S3 does not have the parts that were sent: {error.response['Error'].get('Message')}"
                        raise PartRefused(where, f"{reason}. They are sent again the next time") from error
                raise


def _version(answer: Mapping[str, Any]) -> str | None:
    """The version in S3's answer; a bucket that keeps none may call the only one ``null``."""
    version = answer.get("VersionId")
    return None if version == "null" else version


class _NoSuchThing(Exception):
    """There is no such object, version or upload."""
