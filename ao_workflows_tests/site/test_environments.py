"""What a site may touch of what belongs to another environment."""

from __future__ import annotations

import pytest

from ao_workflows.errors import WrongEnvironment
from ao_workflows.site.environments import refuse_other_environment, tagged_environment


def test_production_is_known_by_its_tag_however_it_is_written() -> None:
    """A capital letter must not be what opens production's queue to a laptop."""
    for tags in ({"environment": "prod"}, {"Environment": "Production"}, {"ENVIRONMENT": " PROD "}):
        assert tagged_environment(tags) == "prod"
    assert tagged_environment({"environment": "dev", "owner": "prod"}) == "dev"
    assert tagged_environment({"owner": "prod"}) is None


@pytest.mark.parametrize(
    ("belongs_to", "site", "is_refused"),
    [
        ("prod", "dev", True),
        ("prod", "demo", True),
        ("dev", "prod", True),
        ("prod", "prod", False),
        ("dev", "demo", False),
        (None, "prod", False),
        (None, "dev", False),
    ],
)
def test_production_and_the_others_take_nothing_of_one_another(
    belongs_to: str | None, site: str, is_refused: bool
) -> None:
    """A trial that eats one of production's messages loses a work; a queue without a tag says nothing of itself."""
    if is_refused:
        with pytest.raises(WrongEnvironment):
            refuse_other_environment("fpl", belongs_to, site)
    else:
        refuse_other_environment("fpl", belongs_to, site)


def test_a_queue_without_the_tag_belongs_to_nobody_in_particular() -> None:
    """Another tag's value is no environment."""
    assert tagged_environment({"owner": "prod"}) is None
