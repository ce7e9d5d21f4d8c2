"""What is stored of the event that starts a work, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ao_workflows.drs.client import Drs
from ao_workflows_tests.support.deliveries import NEW, OLD, RID, delivered, failed_with
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import TrialSite, trial_site


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        aws.s3.put_bucket_versioning(Bucket=trial.intake.bucket, VersioningConfiguration={"Status": "Enabled"})
        yield trial


def test_while_drs_cannot_be_asked_nothing_is_stored_and_it_is_tried_again(
    site: TrialSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Done without asking, a delivery that comes while DRS is down would overwrite any other."""
    assert site.run(RID, delivered(site, NEW, 7)).success
    stored = site.layout.receipt(RID, "restored_message").read_bytes()
    asked = 0

    def wait(_policy: dg.RetryPolicy, _attempt: int) -> float:
        nonlocal asked
        asked += 1
        return 0.0

    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", wait)
    away = Drs(url="mysql+pymysql://nobody@127.0.0.1:1/none", patience=0.01)
    result = site.run(RID, delivered(site, OLD, 6), select="restored_message", drs=away)
    assert failed_with(result, "restored_message")[0] == "DatabaseUnavailable"
    assert asked > 1
    assert site.layout.receipt(RID, "restored_message").read_bytes() == stored
