"""What a listing says of an object."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ao_workflows.aws.listed import listed_objects
from ao_workflows.aws.objects import ObjectStorage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def entry(**more: Any) -> dict[str, Any]:
    return {"Key": "W1/W1.bag.zip", "Size": 7, "LastModified": NOON, "StorageClass": "DEEP_ARCHIVE", **more}


def test_a_listing_says_how_far_each_restore_is() -> None:
    """A work of a thousand parts is told without a thousand questions."""
    going = {"IsRestoreInProgress": True}
    there = {"IsRestoreInProgress": False, "RestoreExpiryDate": NOON}
    none, ongoing, restored = listed_objects(
        {"Contents": [entry(), entry(RestoreStatus=going), entry(RestoreStatus=there)]}
    )
    assert none.storage == ObjectStorage("DEEP_ARCHIVE")
    assert ongoing.storage == ObjectStorage("DEEP_ARCHIVE", ongoing=True)
    assert restored.storage == ObjectStorage("DEEP_ARCHIVE", restored=True, expires=NOON)
    assert (none.key, none.size, none.modified) == ("W1/W1.bag.zip", 7, NOON)
    assert listed_objects({}) == []


@pytest.mark.parametrize(
    ("more", "says_all"),
    [
        ({}, False),
        ({"RestoreStatus": {"IsRestoreInProgress": True}}, True),
        ({"StorageClass": "STANDARD"}, True),
        ({"StorageClass": "GLACIER_IR"}, True),
        ({"StorageClass": "INTELLIGENT_TIERING"}, False),
    ],
)
def test_what_a_listing_leaves_open_is_known(more: dict[str, Any], says_all: bool) -> None:
    """An S3 that shows no restores would be taken for one without any."""
    (listed,) = listed_objects({"Contents": [entry(**more)]})
    assert listed.says_all == says_all


def test_a_folder_of_the_console_is_no_object_that_anybody_put_there() -> None:
    """It would be told as foreign for each work that was looked at by hand."""
    found = listed_objects({"Contents": [entry(Key="W1/", Size=0), entry(Key="W1/a/", Size=3)]})
    assert [each.is_folder for each in found] == [True, False]
