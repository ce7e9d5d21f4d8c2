"""A part's tag files: what bagit makes of them, and that time does not change them."""

from __future__ import annotations

from pathlib import Path

import bagit
import pytest

from ao_workflows.deep_copy.bag_tags import (
    BAGIT,
    bag_info,
    can_be_listed,
    manifest,
    manifest_size,
    tag_manifest,
)

PATHS = ["W1/sources/དཔེ་ཆ།.txt", "W1/a\nb", "W1/100%25.txt", "W1/ two  spaces"]


def test_the_manifests_size_is_known_before_a_digest_is() -> None:
    """Where each part of the upload begins is reckoned with it."""
    assert manifest_size(PATHS) == len(manifest(PATHS, ["f" * 128] * len(PATHS)))


def test_bagit_reads_them(tmp_path: Path) -> None:
    """The archive's present tool has bagit judge each bag."""
    listing, info = manifest(["W1/a\nb"], ["ab" * 64]), bag_info("W1-I1", 3, 1)
    tags = {"bagit.txt": BAGIT, "bag-info.txt": info, "manifest-sha512.txt": listing}
    for name, content in {**tags, "tagmanifest-sha512.txt": tag_manifest(tags.items())}.items():
        (tmp_path / name).write_bytes(content)
    bag = bagit.Bag(str(tmp_path))
    assert bag.payload_entries() == {"data/W1/a\nb": {"sha512": "ab" * 64}}
    assert (bag.info["BDRC-RID"], bag.info["Payload-Oxum"]) == ("W1-I1", "3.1")
    assert bag.tag_file_name and len(list(bag.tagfile_entries())) == 3


@pytest.mark.parametrize(("path", "can"), [("W1/a%0Ab", False), ("W1/a%0db", False), ("W1/50%.txt", True)])
def test_a_name_that_would_mean_another_is_not_listed(path: str, *, can: bool) -> None:
    """bagit would look for a file with a line's end in its name, and find none."""
    assert can_be_listed(path) is can
