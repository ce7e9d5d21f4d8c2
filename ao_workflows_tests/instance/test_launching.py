"""Where runs are executed: one line of the environment, for the dagster.yaml of a deployment."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef

from ao_workflows.errors import StackError
from ao_workflows.instance.broker import LONGEST_RUN
from ao_workflows.instance.run_containers import RunContainers
from ao_workflows.instance.run_workers import RunWorkers

CONFIG = Path(__file__).resolve().parents[2] / "docker/config"
BROKER = "redis://redis:6379/0?passfile=/nowhere/password"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The deployment's dagster.yaml, and the environment of a service of it."""
    monkeypatch.setenv("AO_NETWORK", "a-network")
    monkeypatch.setenv("DAGSTER_STORAGE", "postgresql+psycopg2://dagster@nowhere/dagster")
    monkeypatch.setenv("RUNS_AT_ONCE", "7")
    monkeypatch.setenv("WORKERS_BROKER", BROKER)
    (tmp_path / "dagster.yaml").write_text((CONFIG / "dagster.yaml").read_text())
    return tmp_path


def test_runs_are_in_containers_where_the_setting_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in dagster.yaml stops every service at once."""
    monkeypatch.setenv("RUNS_IN", "containers")
    launcher = InstanceRef.from_dir(str(home)).run_launcher
    assert isinstance(launcher, RunContainers)
    assert launcher.networks == ["a-network"]


def test_runs_are_in_workers_where_the_setting_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The web page makes the launcher too, without the password, which it must not have."""
    monkeypatch.setenv("RUNS_IN", "workers")
    launcher = InstanceRef.from_dir(str(home)).run_launcher
    assert isinstance(launcher, RunWorkers)
    with pytest.raises(StackError, match="WORKERS_BROKER: names /nowhere/password, which cannot be read: No such file"):
        launcher.celery  # noqa: B018 - it is made when it is asked for


def test_another_word_is_refused_with_those_that_there_are(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else runs would be executed where nobody looks for them."""
    monkeypatch.setenv("RUNS_IN", "worker")
    with pytest.raises(
        StackError, match=r"RUNS_IN: is 'worker'; runs are executed in containers or workers: set it in"
    ):
        InstanceRef.from_dir(str(home)).run_launcher  # noqa: B018 - it is made when it is asked for


def test_a_run_that_waits_for_a_worker_has_not_failed_to_start(tmp_path: Path) -> None:
    """With a worker killed, the others may be busy for hours; each run that waits would fail, and its retries too."""
    of_project = {
        "instance_class": {"module": "ao_workflows.instance.cancelling", "class": "CancellingInstance"},
        "run_monitoring": {"enabled": True, "start_timeout_seconds": 90},
        "telemetry": {"enabled": False},
    }
    launcher = {"module": "ao_workflows.instance.run_workers", "class": "RunWorkers", "config": {"broker": BROKER}}
    seconds = []
    for number, settings in enumerate((of_project, of_project | {"run_launcher": launcher})):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "dagster.yaml").write_text(yaml.safe_dump(settings))
        with DagsterInstance.from_config(str(tmp_path / str(number))) as instance:
            seconds.append(instance.run_monitoring_start_timeout_seconds)
    assert seconds == [90, LONGEST_RUN.total_seconds()]
