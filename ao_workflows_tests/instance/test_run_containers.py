"""What a run's container is given, and which of them are removed. The engine itself is tried in ``stack/``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef

from ao_workflows.domain.errors import StackError
from ao_workflows.instance.run_containers import RunContainers, container_name, ended_at, filled_in

CHECKOUT = Path(__file__).resolve().parents[2]
CONFIG = CHECKOUT / "docker/config"


def test_settings_are_filled_in_from_the_environment() -> None:
    """A path that is written twice is changed once."""
    given = {"mounts": [{"Source": "${STAGING}/x", "ReadOnly": True}], "mem_limit": "${RUN_MEMORY}", "pids_limit": 512}
    assert filled_in(given, {"STAGING": "/data", "RUN_MEMORY": "2g"}) == {
        "mounts": [{"Source": "/data/x", "ReadOnly": True}],
        "mem_limit": "2g",
        "pids_limit": 512,
    }


def test_a_setting_that_is_missing_is_named() -> None:
    """Else the run would be given a folder that is called ``${STAGING}``."""
    with pytest.raises(StackError, match=r"'\$\{STAGING\}', and 'STAGING' is not in the environment.*set it in \.env"):
        filled_in("${STAGING}", {})


def test_a_container_is_named_for_its_work() -> None:
    """``docker ps`` is where an operator looks at night."""
    run = dg.DagsterRun("restore_work", run_id="0a1b2c3d-aaaa", tags={"dagster/partition": "W1NLM4700"})
    assert container_name(run) == "run-W1NLM4700-0a1b2c3d"
    other = dg.DagsterRun("back up/now", run_id="0a1b2c3d-aaaa")
    assert container_name(other) == "run-back-up-now-0a1b2c3d"


def test_the_engine_s_times_are_read() -> None:
    """They have nine digits of a second, or none."""
    assert ended_at("2026-11-21T12:16:57.123456789Z") == datetime(2026, 11, 21, 12, 16, 57, 123456, UTC)
    assert ended_at("2026-11-21T12:16:57Z") == datetime(2026, 11, 21, 12, 16, 57, tzinfo=UTC)


class _Container:
    def __init__(self, ended: datetime) -> None:
        self.attrs = {"State": {"FinishedAt": ended.isoformat().replace("+00:00", "Z")}}
        self.removed = False

    def remove(self) -> None:
        self.removed = True


class _Engine:
    """An engine that has two containers of runs that ended well."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.old, self.new = _Container(now - timedelta(minutes=61)), _Container(now - timedelta(minutes=1))
        self.containers = SimpleNamespace(list=self._list)
        self.filters: dict[str, Any] = {}

    def _list(self, filters: dict[str, Any], ignore_removed: bool) -> list[_Container]:
        self.filters = filters
        return [self.old, self.new]


def test_what_ended_well_an_hour_ago_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept, a thousand works' containers fill the host's disk; removed at once, nobody can look at one."""
    engine = _Engine()
    monkeypatch.setattr(RunContainers, "_get_client", lambda *_: engine)
    RunContainers(keep_minutes=60)._remove_ended(dg.DagsterRun("restore_work"))
    assert (engine.old.removed, engine.new.removed) == (True, False)
    assert engine.filters == {"label": "dagster/run_id", "exited": 0}


def test_the_deployment_s_dagster_yaml_is_one_that_dagster_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake there stops every service at once."""
    for name in ("AO_NETWORK", "DAGSTER_STORAGE"):
        monkeypatch.setenv(name, f"the-{name}")
    (tmp_path / "dagster.yaml").write_text((CONFIG / "dagster.yaml").read_text())
    launcher = InstanceRef.from_dir(str(tmp_path)).run_launcher
    assert isinstance(launcher, RunContainers)
    assert launcher.networks == ["the-AO_NETWORK"]


def test_the_two_dagster_yamls_say_the_same_of_runs_and_ticks() -> None:
    """What holds on a laptop must hold in production: one run a work, nothing retried that failed, nothing told."""
    laptop, stack = (yaml.safe_load((folder / "dagster.yaml").read_text()) for folder in (CHECKOUT, CONFIG))
    for key in ("telemetry", "nux", "concurrency", "retention"):
        assert laptop[key] == stack[key]
    assert stack["run_retries"]["retry_on_asset_or_op_failure"] is False
