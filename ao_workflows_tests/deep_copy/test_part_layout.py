"""Where the files of a work go: which part, under which path, key and tags."""

from __future__ import annotations

import pytest

from ao_workflows.deep_copy.part_layout import key_of_part, part_of_file, tags_of_work


@pytest.mark.parametrize(
    ("path", "part", "payload"),
    [
        ("images/W1-I1_001/0001.jpg", "W1-I1_001", "W1-I1_001/images/0001.jpg"),
        ("archive/W1-I1_001/a/b.tif", "W1-I1_001", "W1-I1_001/archive/a/b.tif"),
        ("images/W1-0123/0001.jpg", "W1-0123", "W1-0123/images/0001.jpg"),
        ("W1-I1_001/images/0001.jpg", "W1-I1_001", "W1-I1_001/images/0001.jpg"),
        ("sources/list.txt", "W1", "W1/sources/list.txt"),
        ("images/W2-I1_001/0001.jpg", "W1", "W1/images/W2-I1_001/0001.jpg"),
        ("images/W1-I1_001", "W1", "W1/images/W1-I1_001"),
        ("images/0001.jpg", "W1", "W1/images/0001.jpg"),
        ("W1.bag/manifest-sha512.txt", "W1", "W1/W1.bag/manifest-sha512.txt"),
        ("top.txt", "W1", "W1/top.txt"),
    ],
)
def test_a_file_goes_where_the_archives_own_tool_puts_it(path: str, part: str, payload: str) -> None:
    """A page in the wrong zip is not there when its image group is asked for."""
    assert part_of_file("W1", path) == (part, payload)


def test_a_part_has_the_key_of_its_works_place_in_the_archive() -> None:
    """Under another key nobody finds it: the shares have 25 buckets each, not 50 as in a staging bucket."""
    assert key_of_part("W1NLM4760", "W1NLM4760-I1") == "Archive2/60/W1NLM4760/W1NLM4760-I1.bag.zip"
    assert key_of_part("W1FPLX", "W1FPLX") == "Archive0/00/W1FPLX/W1FPLX.bag.zip"


def test_a_zips_tags_say_whose_it_is() -> None:
    """What each project costs is counted by these tags."""
    assert tags_of_work("W1NLM4700") == {"owner": "ao", "project": "NLM"}
    assert tags_of_work("W8LS12345") == {"owner": "ao", "project": "OwdyHay"}
    assert tags_of_work("W12827") == {"owner": "ao"}
