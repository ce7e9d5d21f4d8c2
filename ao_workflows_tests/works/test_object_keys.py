"""Where a staging bucket keeps a work's zip: a key of its own for every work."""

from __future__ import annotations

import pytest

from ao_workflows.works.object_keys import LAYOUT, PLACES, check_layout, keys_of_part, object_key, prefix_of_parts


@pytest.mark.parametrize(
    ("rid", "key"),
    [
        ("W1NLM4700", "Archive0/00/W1NLM4700/W1NLM4700.bag.zip"),
        ("W1NLM4749", "Archive0/49/W1NLM4749/W1NLM4749.bag.zip"),
        ("W1NLM4750", "Archive1/50/W1NLM4750/W1NLM4750.bag.zip"),
        ("W1NLM4799", "Archive1/99/W1NLM4799/W1NLM4799.bag.zip"),
        ("W2CZ", "Archive0/00/W2CZ/W2CZ.bag.zip"),
    ],
)
def test_a_works_key_is_the_archives(rid: str, key: str) -> None:
    """A staging bucket has two shares, where the mounted archive has four."""
    assert object_key(LAYOUT, rid) == key


@pytest.mark.parametrize("layout", ["{nn}/all.zip", "{rid}/{name}", "{rid", "{rid}{}", "plain.zip", "{rid.nn}"])
def test_a_layout_without_a_key_for_every_work_is_refused(layout: str) -> None:
    """All works in one key would be one work restored for ever."""
    with pytest.raises(ValueError, match=r"must be a key with \{rid\} in it"):
        check_layout(layout)
    assert check_layout("x/{rid}.zip") == "x/{rid}.zip"


@pytest.mark.parametrize(
    "layout",
    ["{rid[1]}", "{rid}/{rid[8]}", "{rid:.8}", "{rid!r}", "{rid}/{nn.real}", "{rid}/{nn[0]}", "{rid}/{share:{nn}}"],
)
def test_a_layout_with_a_part_of_a_field_is_refused(layout: str) -> None:
    """By a part of a RID two works have one key, and a RID too short for it ends in a stack trace."""
    with pytest.raises(ValueError, match=r"must be a key with \{rid\} in it"):
        check_layout(layout)
    assert check_layout("{share:02d}/{nn:>4}/{{x}}/{rid}.zip")
    assert check_layout(LAYOUT)


def test_a_work_is_looked_for_where_its_parts_are_put_now_and_where_its_zip_was_put_before() -> None:
    """The archive's deep archive counts as its shares do; the uploads before 2024 halved the bucket."""
    assert [object_key(place, "W1NLM4760") for place in PLACES] == [
        "Archive2/60/W1NLM4760/W1NLM4760.bag.zip",
        "Archive1/60/W1NLM4760/W1NLM4760.bag.zip",
    ]
    assert len({object_key(place, "W1NLM4712") for place in PLACES}) == 1


@pytest.mark.parametrize(
    ("layout", "prefix"),
    [
        (PLACES[0], "Archive3/99/W1NLM4799/"),
        ("deep/{rid}/{rid}.zip", "deep/W1NLM4799/"),
        ("{rid}/all.zip", "W1NLM4799/"),
        ("bags/{rid}.zip", "bags/W1NLM4799"),
        ("{rid}.zip", "W1NLM4799"),
        ("all-{rid}/{rid}.zip", "all-W1NLM4799/W1NLM4799"),
    ],
)
def test_parts_lie_in_the_folder_of_the_works_zip(layout: str, prefix: str) -> None:
    """A folder of many works must not be listed whole for one of them."""
    assert prefix_of_parts(layout, "W1NLM4799") == prefix


def test_a_part_has_a_key_in_each_place() -> None:
    """Of half of all works there are two for one zip."""
    assert keys_of_part(PLACES, "W160", "W160-I1") == {
        "Archive2/60/W160/W160-I1.bag.zip",
        "Archive1/60/W160/W160-I1.bag.zip",
    }
    assert keys_of_part(PLACES, "W112", "W112") == {"Archive0/12/W112/W112.bag.zip"}
    assert keys_of_part(["{rid}/all.zip"], "W112", "W112-I1") == set(), "no name says which part it is"
