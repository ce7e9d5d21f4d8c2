"""Restores of works: S3 and DRS asked together, and the request noted where it was not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ao_workflows import clients
from ao_workflows.drs.client import Drs
from ao_workflows.errors import DatabaseError, ObjectError, ObjectMissing, RidError, SiteError, WrongEnvironment
from ao_workflows.glacier.requests import RestoreRequests
from ao_workflows.glacier.rules import RestoreState, RestoreStatus, Tier
from ao_workflows.site.sections import Site
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import trial_site

RID = "W1NLM4712"
KEY = f"Archive0/12/{RID}/{RID}.bag.zip"


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Site:
    with trial_site(tmp_path, aws) as trial:
        return trial.site


def held(site: Site, aws: Aws, storage: str = "GLACIER") -> str:
    """The bucket, with the work's object in it."""
    (intake,) = site.queues.values()
    aws.s3.put_object(Bucket=intake.bucket, Key=KEY, Body=b"zip", StorageClass=storage)
    return intake.bucket


def row(site: Site) -> dict[Stage, datetime]:
    found = Drs(url=site.drs.url).rows([RID])
    return dict(found[0].times) if found else {}


def looked(site: Site, name: str = RID) -> tuple[RestoreRequests, RestoreStatus]:
    restores = clients.restores(site, None)
    restores.read_rows([name])
    return restores, restores.look(name)


def test_a_site_without_queues_or_with_another_environment_s_alone_has_no_bucket(site: Site) -> None:
    """What production's bucket restores, production's queue hears of: a trial would set its works going."""
    with pytest.raises(SiteError, match="no bucket is known"):
        clients.restores(site.model_copy(update={"intake": {}}), None)
    with pytest.raises(WrongEnvironment):
        clients.restores(site.model_copy(update={"environment": "prod"}), None)


def test_a_work_that_was_asked_for_is_noted_with_what_was_asked(site: Site, aws: Aws) -> None:
    """A month later nobody else knows who asked for it."""
    bucket = held(site, aws)
    restores, told = looked(site)
    assert told.state is RestoreState.NOT_ASKED
    asked = restores.ask(told, Tier.BULK, 14)
    assert (asked.asked_now, asked.state, asked.error) == (True, RestoreState.ASKED, None)
    assert Stage.RESTORE_REQUESTED in row(site)
    (noted,) = Drs(url=site.drs.url).rows([RID])
    assert noted.entries[0].data["object"] == f"s3://{bucket}/{KEY}"
    assert noted.entries[0].data["days"] == 14


def test_what_can_be_read_as_it_is_is_asked_for_in_vain_and_noted_nowhere(site: Site, aws: Aws) -> None:
    """DRS would have it as awaited for ever."""
    held(site, aws, "STANDARD")
    _, told = looked(site)
    assert told.state is RestoreState.NOT_IN_GLACIER
    assert row(site) == {}


def test_a_work_that_cannot_be_looked_at_says_why_and_ends_no_list(site: Site) -> None:
    """One wrong name among a thousand."""
    for name, error in ((RID, ObjectMissing), ("../etc", RidError), ("s3://other/k/W1.bag.zip", ObjectError)):
        _, told = looked(site, name)
        assert isinstance(told.error, error)
    assert "is the bucket of no intake" in str(told.error)


def test_an_object_s_own_address_is_taken_before_the_layout_s(site: Site, aws: Aws) -> None:
    """The work of an old upload lies elsewhere."""
    (intake,) = site.queues.values()
    aws.s3.put_object(Bucket=intake.bucket, Key=f"old/{RID}.bag.zip", Body=b"zip", StorageClass="GLACIER")
    _, told = looked(site, f"s3://{intake.bucket}/old/{RID}.bag.zip")
    assert (told.rid, str(told.address)) == (RID, f"s3://{intake.bucket}/old/{RID}.bag.zip")


def test_two_intakes_of_one_bucket_are_one_place(site: Site, aws: Aws) -> None:
    """The work would be told as being in each of them, with nothing to choose by."""
    held(site, aws)
    ((name, section),) = site.intake.items()
    both = site.model_copy(update={"intake": {name: section, "again": section}})
    _, told = looked(both)
    assert told.error is None


def test_a_request_that_cannot_be_noted_is_told_as_asked_all_the_same(site: Site, aws: Aws) -> None:
    """Glacier has it, and will be paid: whoever reads must not ask again."""
    held(site, aws)
    restores, told = looked(site)
    Path(str(site.drs.url).removeprefix("sqlite:///")).unlink()
    asked = restores.ask(told, Tier.BULK, 14)
    assert asked.asked_now
    assert isinstance(asked.error, DatabaseError)
    assert asked.requested
    assert asked.requested <= datetime.now(UTC)
