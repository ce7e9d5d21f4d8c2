"""Where the archive has a work, and the image server its images."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ao_workflows.archive.places import archive_place, web_prefix


@pytest.mark.parametrize(
    ("rid", "place"),
    [
        ("W1NLM4712", "/mnt/Archive0/12/W1NLM4712"),
        ("W1NLM4700", "/mnt/Archive0/00/W1NLM4700"),
        ("W1NLM4724", "/mnt/Archive0/24/W1NLM4724"),
        ("W1NLM4725", "/mnt/Archive1/25/W1NLM4725"),
        ("W1NLM4750", "/mnt/Archive2/50/W1NLM4750"),
        ("W1NLM4799", "/mnt/Archive3/99/W1NLM4799"),
        ("W1NLMA", "/mnt/Archive0/00/W1NLMA"),
        ("W1NLMA7", "/mnt/Archive0/00/W1NLMA7"),
        ("7", "/mnt/Archive0/00/7"),
        ("77", "/mnt/Archive3/77/77"),
    ],
)
def test_a_work_has_one_place_in_the_archive(rid: str, place: str) -> None:
    """The proof reads back what the script wrote: by another rule it would look where nothing is."""
    assert archive_place(Path("/mnt/Archive"), rid) == Path(place)


def test_the_web_prefix_is_the_image_servers_rule() -> None:
    """Images in another shard are not found by the image server."""
    shard = hashlib.md5(b"W22084", usedforsecurity=False).hexdigest()[:2]
    wanted = f"s3://archive.tbrc.org/Works/{shard}/W22084/images/"
    assert web_prefix("s3://archive.tbrc.org/Works", "W22084") == wanted
    assert web_prefix("s3://archive.tbrc.org/Works/", "W22084") == wanted
