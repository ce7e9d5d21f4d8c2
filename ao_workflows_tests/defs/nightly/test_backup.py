"""The nightly backup."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from ao_workflows.definitions import build
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows_tests.support.instances import instance_on

if TYPE_CHECKING:
    from ao_workflows_tests.support.postgres_server import Postgres


def test_the_nightly_job_backs_up_the_storage_that_it_runs_on(postgres: Postgres, tmp_path: Path) -> None:
    """A schedule that nobody ran is found out on the day of the restore."""
    text = demo_site(tmp_path, None) + f'[backup]\nto = "{tmp_path}/backups"\n'
    defs = build(parse(text, "the test's site"))
    schedule = defs.resolve_schedule_def("nightly_backup")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    with instance_on(postgres.database(), tmp_path / "home") as instance:
        assert defs.resolve_job_def("back_up").execute_in_process(instance=instance).success
        (event,) = instance.fetch_observations(dg.AssetKey("dagster_backup"), limit=1).records
        (name,) = os.listdir(tmp_path / "backups")
        observation = event.asset_observation
        assert observation is not None
        assert observation.metadata["backup"].value == f"{tmp_path}/backups/{name}"
