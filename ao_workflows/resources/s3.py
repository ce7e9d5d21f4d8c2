"""S3: what it says of an object, and the object's bytes, proven against what it says.

What belongs here: every call to S3. What does not: where the bytes go in staging, and what a run makes of it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from ao_workflows.domain.errors import (
    DownloadMismatch,
    ObjectError,
    ObjectNotRestored,
    ServiceError,
    StagingError,
)
from ao_workflows.resources.aws import AwsConnection, calls_explained, make_client

_CHUNK = 1 << 20
_ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}


@dataclass(frozen=True)
class S3Object:
    """What S3 holds: ``size`` in bytes, ``etag`` without its quotation marks, ``version_id`` None in a bucket
    without versions. ``where`` names it, and the way to it, in errors.
    """

    bucket: str
    key: str
    size: int
    etag: str
    version_id: str | None
    where: str


@dataclass(frozen=True)
class Download:
    """A finished download: ``bytes``, ``seconds``, the ``md5`` of what arrived, and what proved it."""

    bytes: int
    seconds: float
    md5: str
    proof: str


class S3(dg.ConfigurableResource):  # type: ignore[type-arg]
    """S3 as each intake reaches it; ``connections`` is by the intake's name."""

    connections: Mapping[str, AwsConnection]

    def look(self, intake: str, bucket: str, key: str, version_id: str | None) -> S3Object:
        """Asks S3 for the object as it is now.

        :raises ObjectNotRestored: while Glacier is at it.
        :raises ObjectError: where there is none, it may not be read, or it was not restored.
        """
        connection = self._connection(intake)
        version = f" version {version_id}" if version_id else ""
        where = f"s3://{bucket}/{key}{version} ({connection})"
        wanted = {"Bucket": bucket, "Key": key} | ({"VersionId": version_id} if version_id else {})
        with calls_explained("asking for the object", where):
            client = make_client("s3", connection)
            try:
                head = client.head_object(**wanted)
            except client.exceptions.ClientError as error:
                reason = {
                    "403": "S3 refuses access: the profile needs s3:GetObject on it",
                    "404": "there is no such object",
                }.get(error.response["Error"]["Code"])
                if reason:
                    raise ObjectError(where, reason) from error
                raise
        if head.get("StorageClass") in _ARCHIVED:
            restore = head.get("Restore", "")
            if 'ongoing-request="true"' in restore:
                raise ObjectNotRestored(where, "Glacier is still restoring it")
            if 'ongoing-request="false"' not in restore:
                raise ObjectError(where, f"it is in {head['StorageClass']} and not restored: ask Glacier for it again")
        return S3Object(
            bucket,
            key,
            head["ContentLength"],
            head["ETag"].strip('"'),
            head.get("VersionId", version_id),
            where,
        )

    def download(
        self, intake: str, wanted: S3Object, part: Path, progress: Callable[[int], None] = lambda _: None
    ) -> Download:
        """Brings the object into the file ``part``, and proves it by its size and its ETag where that is an MD5.

        ``progress`` is told the bytes so far. ``part`` is removed where the bytes are not the object's.

        :raises DownloadMismatch: where they are not.
        """
        request = {"Bucket": wanted.bucket, "Key": wanted.key, "IfMatch": wanted.etag}
        if wanted.version_id:
            request["VersionId"] = wanted.version_id
        started = time.monotonic()
        md5 = hashlib.md5(usedforsecurity=False)
        done = 0
        with calls_explained("downloading", wanted.where):
            body = make_client("s3", self._connection(intake)).get_object(**request)["Body"]
            try:
                with part.open("wb") as out:
                    for chunk in body.iter_chunks(_CHUNK):
                        out.write(chunk)
                        md5.update(chunk)
                        done += len(chunk)
                        progress(done)
            except OSError as error:
                if error.filename is None and error.errno is None:
                    raise ServiceError("downloading", wanted.where, str(error)) from error
                raise StagingError(part, f"cannot be written: {error.strerror}") from error
        seconds = time.monotonic() - started
        by_etag = len(wanted.etag) == len(md5.hexdigest())
        for what, expected, found in (
            ("its size in bytes", str(wanted.size), str(done)),
            *([("its MD5", wanted.etag, md5.hexdigest())] if by_etag else []),
        ):
            if expected != found:
                part.unlink()
                raise DownloadMismatch(wanted.where, what, expected, found)
        return Download(done, seconds, md5.hexdigest(), "MD5 (ETag)" if by_etag else "size only")

    def _connection(self, intake: str) -> AwsConnection:
        try:
            return self.connections[intake]
        except KeyError:
            raise ObjectError(
                f"intake {intake!r}", f"is not in site.toml, which has {sorted(self.connections)}"
            ) from None
