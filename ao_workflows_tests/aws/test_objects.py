"""What S3 says of an object when it is asked for its head."""

from __future__ import annotations

from datetime import UTC, datetime

from ao_workflows.aws.objects import storage_of

GLACIER = {"StorageClass": "GLACIER"}


THERE = {"Restore": 'ongoing-request="false", expiry-date="Fri, 04 Dec 2026 00:00:00 GMT"'}


def test_a_restored_copys_end_is_read_as_a_time() -> None:
    """An archivist plans by it; a date that is none must not hide that the copy is there."""
    assert storage_of(GLACIER | THERE).expires == datetime(2026, 12, 4, tzinfo=UTC)
    odd = storage_of(GLACIER | {"Restore": 'ongoing-request="false", expiry-date="soon"'})
    assert (odd.restored, odd.expires) == (True, None)
