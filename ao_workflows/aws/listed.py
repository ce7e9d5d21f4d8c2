"""S3 objects as a listing has them: key, size, when they were written, and how far their restore is.

What belongs here: what an entry of ListObjectsV2's answer means. What does not: asking for the listing, and the answer
to HeadObject (``ao_workflows.aws.objects``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ao_workflows.aws.objects import ObjectStorage

RESTORE_STATUS = "RestoreStatus"
"""What a listing has to be asked for besides; not every S3 knows it."""


@dataclass(frozen=True)
class ListedObject:
    """The current version of an object. ``size`` is in bytes, ``modified`` when it was written."""

    key: str
    size: int
    modified: datetime
    storage: ObjectStorage

    @property
    def is_folder(self) -> bool:
        """Whether it only makes a folder visible in S3's console."""
        return self.key.endswith("/") and self.size == 0

    @property
    def says_all(self) -> bool:
        """Whether the listing shows what HeadObject would: not the archive of an object in INTELLIGENT_TIERING, nor the
        restore of one that has none to show or is kept by an S3 that shows none.
        """
        storage = self.storage
        return storage.storage_class != "INTELLIGENT_TIERING" and (
            not storage.archived or storage.ongoing or storage.restored
        )


def listed_objects(page: Mapping[str, Any]) -> list[ListedObject]:
    """Returns the objects in one of ListObjectsV2's answers. A delete marker is in none, nor is an older version.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
    """
    return [_listed(entry) for entry in page.get("Contents", [])]


def _listed(entry: Mapping[str, Any]) -> ListedObject:
    restore = entry.get(RESTORE_STATUS, {})
    expires = restore.get("RestoreExpiryDate")
    ongoing = bool(restore.get("IsRestoreInProgress"))
    storage = ObjectStorage(
        entry.get("StorageClass", "STANDARD"), ongoing=ongoing, restored=bool(expires) and not ongoing, expires=expires
    )
    return ListedObject(entry["Key"], entry["Size"], entry["LastModified"], storage)
