"""What S3 says of an object when it is asked for its head.

What belongs here: the object as a value, read from the answer to HeadObject. What does not: asking
(``ao_workflows.resources.s3``), and which checksum proves the object (``ao_workflows.domain.s3_checksums``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ao_workflows.domain.errors import ObjectError, ObjectNotRestored, RidError
from ao_workflows.domain.s3_checksums import ALGORITHMS, Stated
from ao_workflows.domain.works import rid_of_key

_ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}


@dataclass(frozen=True)
class S3Object:
    """What S3 holds; ``version_id`` is None in a bucket without versions. ``where`` names it, and the way to it."""

    bucket: str
    key: str
    version_id: str | None
    stated: Stated
    where: str

    @property
    def size(self) -> int:
        return self.stated.size

    @property
    def identity(self) -> dict[str, Any]:
        """What tells this object from every other, and from what it was before."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "version": self.version_id,
            "etag": self.stated.etag,
            "size": self.size,
        }


def stated(head: Mapping[str, Any]) -> Stated:
    """What the answer to HeadObject states."""
    return Stated(
        size=head["ContentLength"],
        etag=head["ETag"].strip('"'),
        checksums={name: head[f"Checksum{name.upper()}"] for name in ALGORITHMS if f"Checksum{name.upper()}" in head},
        checksum_type=head.get("ChecksumType"),
        encryption=head.get("ServerSideEncryption"),
        customer_key="SSECustomerAlgorithm" in head,
    )


def check_restored(head: Mapping[str, Any], key: str, where: str) -> None:
    """Whether an object that is in an archive has a restored copy, by the answer to HeadObject.

    :raises ObjectNotRestored: while Glacier is at it.
    :raises ObjectError: if nobody has asked for one, or it has expired.
    """
    held_in = head.get("ArchiveStatus") or head.get("StorageClass")
    if held_in not in _ARCHIVED and not head.get("ArchiveStatus"):
        return
    restore = head.get("Restore", "")
    if 'ongoing-request="true"' in restore:
        raise ObjectNotRestored(where, "Glacier is still restoring it")
    if 'ongoing-request="false"' not in restore:
        try:
            way_out = f"ao restore request {rid_of_key(key)}"
        except RidError:
            way_out = "ao restore request"
        raise ObjectError(
            where,
            f"it is in {held_in} and cannot be read: its restored copy has expired, or was never asked for. Ask "
            f"Glacier for it: {way_out}",
        )
