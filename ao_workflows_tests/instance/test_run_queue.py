"""Dagster's run queue: a run is put into it only where it is going to be run, by the site's limits."""

from __future__ import annotations

import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from ao_workflows.errors import InstanceUnusable
from ao_workflows.instance.run_queue import check_run_queue


def instance_with(folder: Path, text: str) -> dg.DagsterInstance:
    (folder / "dagster.yaml").write_text(f"telemetry:\n  enabled: false\n{text}")
    return dg.DagsterInstance.from_config(str(folder))


def test_a_coordinator_without_a_queue_is_refused(tmp_path: Path) -> None:
    """It would start a run of each work at once."""
    text = "run_coordinator:\n  module: dagster.core.run_coordinator\n  class: DefaultRunCoordinator\n"
    with (
        instance_with(tmp_path, text) as instance,
        pytest.raises(InstanceUnusable, match="is SyncInMemoryRunCoordinator"),
    ):
        check_run_queue(instance)


def test_a_queue_that_no_daemon_empties_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """The run would wait for ever, and whoever asked for it would think it done."""
    with instance_with(tmp_path, "") as instance:
        with pytest.raises(InstanceUnusable, match=r"no daemon has ever.*dagster-daemon run"):
            check_run_queue(instance)
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 7200, "QUEUED_RUN_COORDINATOR", "1"))
        with pytest.raises(InstanceUnusable, match="not been heard of since"):
            check_run_queue(instance)
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "QUEUED_RUN_COORDINATOR", "1"))
        check_run_queue(instance)
