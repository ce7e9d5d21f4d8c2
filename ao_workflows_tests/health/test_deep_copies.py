"""The check of the bucket of deep copies: it must be there, and keep versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.health.checks import checks_of_site
from ao_workflows.health.deep_copies import check_deep_copies
from ao_workflows.health.findings import Level
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import Site
from ao_workflows_tests.support.moto_server import Aws


def _site(folder: Path, aws: Aws, bucket: str, environment: str = "demo") -> Site:
    way = aws.connection
    text = demo_site(folder, aws.endpoint_url) + f'\n[deep_copy]\nbucket = "{bucket}"\nenvironment = "{environment}"\n'
    text += f'region = "{way.region}"\naws_profile = "{way.profile}"\nendpoint_url = "{aws.endpoint_url}"\n'
    text = text.replace(f"{folder}/aws-credentials", str(way.credentials_file))
    return parse(text, "the test's site")


@pytest.mark.parametrize(("versioned", "level"), [(True, Level.OK), (False, Level.WARN)])
def test_a_bucket_that_keeps_no_versions_is_a_warning(
    tmp_path: Path, aws: Aws, level: Level, *, versioned: bool
) -> None:
    """The first copies go well there, and the first change of a work is refused, months later."""
    (finding,) = check_deep_copies(_site(tmp_path, aws, aws.make_bucket(versioned=versioned)))
    assert finding.level is level


def test_a_bucket_that_is_not_there_or_is_productions_fails(tmp_path: Path, aws: Aws) -> None:
    """Each work would fail at its last stage."""
    (finding,) = check_deep_copies(_site(tmp_path, aws, "nowhere-at-all"))
    assert (finding.level, "there is no such bucket" in finding.said) == (Level.FAIL, True)
    (finding,) = check_deep_copies(_site(tmp_path, aws, "deep-bucket", "prod"))
    assert (finding.level, "belongs to 'prod'" in finding.said) == (Level.FAIL, True)


def test_it_is_checked_only_where_works_are_copied(tmp_path: Path, aws: Aws) -> None:
    """A site without it would be told of a fault that it has not."""
    names = [name for name, _ in checks_of_site(parse(demo_site(tmp_path, None), "the test's site"))]
    assert "deep copies" not in names
    names = [name for name, _ in checks_of_site(_site(tmp_path, aws, "deep-bucket"))]
    assert "deep copies" in names
