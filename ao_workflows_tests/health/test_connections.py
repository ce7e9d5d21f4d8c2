"""What a site needs of others, tried: whether it answers, whose it is, and what a person can do."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from ao_workflows.drs.client import Drs
from ao_workflows.health.connections import check_bucket, check_dagster, check_drs, check_queue
from ao_workflows.health.findings import Finding, Level
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import CHECKOUT, Site
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import trial_site


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Site:
    with trial_site(tmp_path, aws) as trial:
        return trial.site


def only(findings: object) -> Finding:
    (found,) = list(findings)  # type: ignore[call-overload]
    assert isinstance(found, Finding)
    assert found.level is Level.OK or found.do, "what is not well has a way out"
    return found


def test_a_queue_answers_and_is_the_site_s_or_fails(site: Site, aws: Aws) -> None:
    """Another environment's queue, emptied by a trial, has lost its works."""
    (name,) = site.queues
    url = aws.sqs.get_queue_url(QueueName=site.queues[name].queue)["QueueUrl"]
    aws.sqs.tag_queue(QueueUrl=url, Tags={"environment": "demo"})
    assert only(check_queue(site, name)).level is Level.OK
    aws.sqs.tag_queue(QueueUrl=url, Tags={"environment": "production"})
    assert only(check_queue(site, name)).level is Level.FAIL
    aws.sqs.delete_queue(QueueUrl=url)
    assert "sqs:GetQueueUrl" in only(check_queue(site, name)).do


def test_a_bucket_answers_or_fails(site: Site, aws: Aws) -> None:
    """A name that is mistyped would be found out by the first restored work."""
    (name,) = site.queues
    assert only(check_bucket(site, name)).level is Level.OK
    aws.s3.delete_bucket(Bucket=site.queues[name].bucket)
    finding = only(check_bucket(site, name))
    assert (finding.level, "NoSuchBucket" in finding.said) == (Level.FAIL, True)


def test_drs_says_what_it_is_or_why_it_cannot_be_used_without_its_password(tmp_path: Path) -> None:
    """The check's output goes into tickets."""
    site = parse(demo_site(tmp_path, None), "the test's site")
    assert only(check_drs(site)).level is Level.FAIL
    Drs(url=site.drs.url).init()
    assert only(check_drs(site)).level is Level.OK
    word = secrets.token_hex(8)
    drs = site.drs.model_copy(update={"url": f"mysql+pymysql://ao:{word}@127.0.0.1:1/drs"})
    assert word not in only(check_drs(site.model_copy(update={"drs": drs}))).said


def test_a_home_of_dagster_s_is_a_folder_with_our_dagster_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it Dagster makes an instance of its own: no limits, and no run is run again."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert only(check_dagster()).said == "is not set"
    monkeypatch.setenv("DAGSTER_HOME", "relative")
    assert "by its whole path" in only(check_dagster()).said
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert "has no dagster.yaml" in only(check_dagster()).said


def test_a_daemon_is_well_while_all_of_it_is_heard_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One loop that died takes no messages any more, and the others look well."""
    (tmp_path / "dagster.yaml").write_text((CHECKOUT / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    def daemon() -> Finding:
        *_, found = check_dagster()
        return found

    assert (daemon().level, daemon().said) == (Level.WARN, "has never run here")
    with dg.DagsterInstance.get() as instance:
        first, *others = list(instance.get_required_daemon_types())

        def beat(name: str, seconds_ago: float, errors: list[object] | None = None) -> None:
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - seconds_ago, name, "1", errors))  # type: ignore[arg-type]

        beat(first, 0)
        assert (daemon().level, f"never heard of: {others[0]}" in daemon().said) == (Level.FAIL, True)
        for name in others:
            beat(name, 0)
        assert daemon().level is Level.OK
        beat(first, 3600)
        assert (daemon().level, "60 minutes ago" in daemon().said) == (Level.FAIL, True)
