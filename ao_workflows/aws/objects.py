"""S3 objects as values, read from S3's answer to HeadObject.

What belongs here: HeadObject, and what its answer means. What does not: waiting for a restore
(``ao_workflows.aws.s3``), and which checksum proves the object (``ao_workflows.fixity.s3_checksums``).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ao_workflows.errors import ObjectError, ObjectMissing, ObjectNotRestored
from ao_workflows.fixity.s3_checksums import ALGORITHMS, Stated
from ao_workflows.machine.times import moment_of_header

RESTORE_WAIT_HOURS = 12
"""So long a run waits for an object that Glacier has not restored yet, unless the site says otherwise."""

_ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}


@dataclass(frozen=True)
class ObjectStorage:
    """Where S3 keeps an object, and whether Glacier is making, or has made, a copy of it that can be read.

    ``archive_status`` is the tier of an object in INTELLIGENT_TIERING that has been moved into an archive, otherwise
    empty. ``ongoing`` says that Glacier is at it, ``restored`` that there is a copy, and ``expires`` until when. Both
    are false if nobody has asked, or the copy is gone again.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    """

    storage_class: str
    archive_status: str = ""
    ongoing: bool = False
    restored: bool = False
    expires: datetime | None = None

    @property
    def archived(self) -> bool:
        """Whether only a restored copy of the object can be read, not the object itself."""
        return bool(self.archive_status) or self.storage_class in _ARCHIVED

    @property
    def deep(self) -> bool:
        """Whether it is in the slower of S3's two archives, which has no Expedited retrieval."""
        return "DEEP_ARCHIVE" in (self.archive_status or self.storage_class)

    def __str__(self) -> str:
        return f"{self.storage_class} ({self.archive_status})" if self.archive_status else self.storage_class


def storage_of(head: Mapping[str, Any]) -> ObjectStorage:
    """Returns where an object is kept, by S3's answer to HeadObject, which leaves the class out if it is STANDARD."""
    restore = head.get("Restore", "")
    expiry = re.search(r'expiry-date="([^"]+)"', restore)
    return ObjectStorage(
        storage_class=head.get("StorageClass", "STANDARD"),
        archive_status=head.get("ArchiveStatus", ""),
        ongoing='ongoing-request="true"' in restore,
        restored='ongoing-request="false"' in restore,
        expires=moment_of_header(expiry[1]) if expiry else None,
    )


@dataclass(frozen=True)
class S3Object:
    """An object as S3 describes it. ``where`` names it and its connection, for messages.

    ``version_id`` is None in a bucket without versions. ``modified`` is when the object was written, RFC 3339; it is
    empty if S3 does not say.
    """

    bucket: str
    key: str
    version_id: str | None
    stated: Stated
    where: str
    modified: str = ""

    @property
    def size(self) -> int:
        """The object's size in bytes."""
        return self.stated.size

    @property
    def identity(self) -> dict[str, Any]:
        """What distinguishes this object from every other, and from what it was before, as a receipt keeps it."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "version": self.version_id,
            "etag": self.stated.etag,
            "size": self.size,
        }


def stated(head: Mapping[str, Any]) -> Stated:
    """Returns the checksums and the size that S3's answer to HeadObject states."""
    return Stated(
        size=head["ContentLength"],
        etag=head["ETag"].strip('"'),
        checksums={name: head[f"Checksum{name.upper()}"] for name in ALGORITHMS if f"Checksum{name.upper()}" in head},
        checksum_type=head.get("ChecksumType"),
        encryption=head.get("ServerSideEncryption"),
        customer_key="SSECustomerAlgorithm" in head,
    )


def written_at(head: Mapping[str, Any]) -> str:
    """Returns when the object was written, RFC 3339, by S3's answer to HeadObject; empty if it does not say."""
    modified = head.get("LastModified")
    return modified.isoformat() if isinstance(modified, datetime) else ""


def check_restored(head: Mapping[str, Any], bucket: str, key: str, where: str) -> None:
    """Checks that an object can be read: that it is in no archive, or has a restored copy.

    :param head: S3's answer to HeadObject.
    :raises ObjectNotRestored: if Glacier is still restoring it.
    :raises ObjectError: if nobody has asked for a copy, or it has expired.
    """
    storage = storage_of(head)
    if storage.restored or not storage.archived:
        return
    if storage.ongoing:
        raise ObjectNotRestored(where, "Glacier is still restoring it")
    raise ObjectError(
        where,
        f"it is in {storage} and cannot be read: its restored copy has expired, or was never asked for. Ask "
        f"Glacier for it: ao restore request {shlex.quote(f's3://{bucket}/{key}')}",
    )


def head_object(client: Any, where: str, **wanted: str) -> dict[str, Any]:
    """Returns S3's answer to HeadObject. That answer has no body, so S3 gives an error's number and no reason.

    :param wanted: the call's arguments, such as ``Bucket`` and ``Key``.
    :raises ObjectMissing: if there is no such object.
    :raises ObjectError: if S3 refuses access to it.
    """
    try:
        head: dict[str, Any] = client.head_object(**wanted)
    except client.exceptions.ClientError as error:
        match error.response["Error"]["Code"]:
            case "403":
                reason = "S3 refuses access: the profile needs s3:GetObject on it, and it must be there"
                raise ObjectError(where, reason) from error
            case "404" | "NoSuchKey" | "NoSuchVersion":
                raise ObjectMissing(where, "there is no such object") from error
        raise
    return head
