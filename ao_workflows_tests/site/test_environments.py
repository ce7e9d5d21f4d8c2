"""What a site may touch of what belongs to another environment."""

from __future__ import annotations

from ao_workflows.site.environments import tagged_environment


def test_production_is_known_by_its_tag_however_it_is_written() -> None:
    """A capital letter must not be what opens production's queue to a laptop."""
    for tags in ({"environment": "prod"}, {"Environment": "Production"}, {"ENVIRONMENT": " PROD "}):
        assert tagged_environment(tags) == "prod"
    assert tagged_environment({"environment": "dev", "owner": "prod"}) == "dev"
    assert tagged_environment({"owner": "prod"}) is None
