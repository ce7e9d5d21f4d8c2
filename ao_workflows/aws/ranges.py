"""Ranges of one object, each read from the version and with the ETag that were seen first.

What belongs here: GetObject with a range, and what its answers and failures mean. What does not: what is done with the
bytes (``ao_workflows.download.transfer``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from ao_workflows.errors import AoError, ObjectChanged, ObjectError, ObjectMissing, ServiceError

_DOING = "downloading"

_CREDENTIALS_ENDED = {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "RequestExpired"}


class PinnedObject:
    """One S3 object, of which any thread may read ranges, and which must not change meanwhile.

    :param client: called with None, returns the client to use; called with a client whose credentials have ended, it
        makes a new one.
    :param where: names the object in errors.
    """

    def __init__(
        self,
        client: Callable[[Any], Any],
        bucket: str,
        key: str,
        version_id: str | None,
        etag: str,
        size: int,
        where: str,
    ) -> None:
        self.where = where
        self._client = client
        self._size = size
        self._etag = etag
        self._wanted = {"Bucket": bucket, "Key": key, "IfMatch": f'"{etag}"'}
        if version_id:
            self._wanted["VersionId"] = version_id

    def open(self, start: int, end: int) -> RangeBody:
        """Asks S3 for the bytes from ``start`` to before ``end``.

        :raises ServiceError: if trying again may help.
        :raises ObjectChanged: if the object is not the one that was seen first any more.
        :raises ObjectError: if S3 refuses to give it.
        """
        wanted = f"bytes {start}-{end - 1}/{self._size}"
        client = self._client(None)
        try:
            answer = client.get_object(**self._wanted, Range=f"bytes={start}-{end - 1}")
        except ClientError as error:
            raise self._refusal(error, client) from error
        except (BotoCoreError, HTTPClientError) as error:
            raise ServiceError(_DOING, self.where, str(error)) from error
        # The header and not the status says it: rclone's server sends a range with status 200.
        given = answer.get("ContentRange")
        whole = given is None and answer["ContentLength"] == self._size
        body = RangeBody(answer["Body"], self.where, whole=whole and (start, end) != (0, self._size))
        if (etag := answer.get("ETag", "").strip('"')) != self._etag:
            body.close()
            raise ObjectChanged(self.where, f"its ETag was {self._etag} and is {etag or 'none'} now")
        if not whole and given != wanted:
            body.close()
            raise ServiceError(
                _DOING, self.where, f"asked for {wanted}, S3 answered with {given or answer['ContentLength']}"
            )
        return body

    def read(self, start: int, end: int) -> bytes:
        """Returns the bytes from ``start`` to before ``end``.

        :raises ServiceError: as ``open`` does, and if the server does not support ranges.
        """
        body = self.open(start, end)
        try:
            if body.whole:
                raise ServiceError(_DOING, self.where, "the server knows no ranges")
            found = []
            while start < end and (block := body.read(end - start)):
                found.append(block)
                start += len(block)
            if start < end:
                raise ServiceError(_DOING, self.where, "the answer ended too soon")
            return b"".join(found)
        finally:
            body.close()

    def _refusal(self, error: ClientError, client: Any) -> AoError:
        said = error.response.get("Error", {})
        code, words = str(said.get("Code", "error")), said.get("Message", str(error))
        if code in {"PreconditionFailed", "412"}:
            return ObjectChanged(self.where, f"it is not the object with the ETag {self._etag} any more")
        if code in {"NoSuchKey", "NoSuchVersion", "404"}:
            return ObjectMissing(self.where, "it was there when the download began, and is not any more")
        if code == "InvalidObjectState":
            return ObjectError(self.where, "its restored copy expired while it was being downloaded: ask Glacier again")
        if code in _CREDENTIALS_ENDED:
            self._client(client)
            return ServiceError(
                _DOING, self.where, f"{code}: {words}; put new credentials into the profile, and it goes on"
            )
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status == 403:  # noqa: PLR2004
            return ObjectError(self.where, f"S3 refuses access ({code}: {words}); the profile needs s3:GetObject on it")
        return ServiceError(_DOING, self.where, f"{code}: {words}")


class RangeBody:
    """The bytes of one answer. ``whole`` says that a part was asked for and the whole object came."""

    def __init__(self, stream: Any, where: str, *, whole: bool) -> None:
        self.whole = whole
        self._stream = stream
        self._where = where

    def read(self, amount: int) -> bytes:
        """Returns at most ``amount`` bytes; none at the end.

        :raises ServiceError: if the connection fails or stalls.
        """
        try:
            block: bytes = self._stream.read(amount)
        except (BotoCoreError, HTTPClientError, OSError, ValueError) as error:
            # A ValueError: the stream was closed in another thread, which ends the transfer.
            raise ServiceError(_DOING, self._where, str(error) or type(error).__name__) from error
        return block

    def close(self) -> None:
        """Closes the connection."""
        self._stream.close()

    def abort(self) -> None:
        """Ends a ``read`` in which another thread is waiting."""
        raw = getattr(self._stream, "_raw_stream", None)
        if raw is None:
            return
        try:
            raw.shutdown()
        except (OSError, RuntimeError, ValueError):
            return  # It has ended by itself.
