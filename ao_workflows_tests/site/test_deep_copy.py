"""The settings of deep copies: off unless a bucket is named, in one of two ways."""

from __future__ import annotations

from typing import Any

import pytest

from ao_workflows import clients
from ao_workflows.errors import WrongEnvironment
from ao_workflows.site.loading import parse
from ao_workflows_tests.support.site_texts import changed, mistakes

NONE: dict[str, Any] = dict.fromkeys(("bucket", "region", "environment"))


def test_without_a_bucket_nothing_is_copied() -> None:
    """A site that says nothing of it must not write into anybody's bucket."""
    site = parse(changed(deep_copy=NONE), "site.toml")
    assert not site.deep_copy.is_on
    assert "deep_copies" not in clients.resources(site)


def test_an_intake_says_how_its_bucket_is_reached() -> None:
    """Said twice, the two would differ one day."""
    site = parse(changed(environment="prod", deep_copy={**NONE, "intake": "fpl"}), "site.toml")
    copies = clients.deep_copies(site)
    assert copies.uploads.bucket == "glacier.staging.fpl.bdrc.org"
    assert copies.uploads.connection == clients.connections(site)["fpl"]


def test_a_bucket_of_its_own_is_reached_by_its_own_settings() -> None:
    """The deep archive is in another account than the intakes, at some sites."""
    given = {"aws_profile": "deep", "endpoint_url": "https://s3.example.org", "storage_class": "DEEP_ARCHIVE"}
    copies = clients.deep_copies(parse(changed(deep_copy=given), "site.toml"))
    assert str(copies.uploads.connection) == "region us-east-1, profile deep, endpoint https://s3.example.org"
    assert copies.uploads.connection.credentials_file == "/run/secrets/aws"
    assert copies.storage_class == "DEEP_ARCHIVE"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"region": None}, "needs intake, or bucket, region and environment (missing: region)"),
        ({"intake": "fpl"}, "take out bucket, region, environment"),
        ({**NONE, "intake": "none"}, "deep_copy.intake: 'none' is no intake with a queue and a bucket"),
        ({**NONE, "aws_profile": "deep"}, "missing: bucket, region, environment"),
        ({"storage_class": "GLACIER"}, "deep_copy.storage_class"),
    ],
)
def test_a_mistake_is_told(given: dict[str, Any], told: str) -> None:
    """Works would go nowhere, or elsewhere."""
    assert told in "\n".join(mistakes(changed(deep_copy=given)))


def test_a_trial_site_writes_nothing_into_productions_bucket() -> None:
    """Its newest versions would be those of a trial, and production would restore them."""
    with pytest.raises(WrongEnvironment):
        clients.deep_copies(parse(changed(deep_copy={"environment": "prod"}), "site.toml"))
