"""Runs that look themselves whether they shall end.

What belongs here: the instance whose runs do so, and what its launchers have in common. What does not: launching.

Dagster ends a run by reaching for its worker, from the process of the web page. With the workers in containers, the
web page would need the Docker socket, which is root on the host; with the workers on other hosts, it cannot. So each
run reads its own status from the database: one that is being cancelled ends itself, and so does one that the run
monitor has taken for dead, before its retry is at the same work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance
from dagster._core.launcher import RunLauncher


class CancellingInstance(DagsterInstance):
    """Dagster's instance. ``run_monitoring.cancellation_thread_poll_interval_seconds`` says how often a run looks."""

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """Dagster asks an instance of another class for it; there is no setting of its own."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Any:
        """Dagster's own, for what dagster.yaml leaves out."""
        from dagster._core.instance.ref import InstanceRef

        return InstanceRef.config_defaults(base_dir)

    @property
    def should_start_background_run_thread(self) -> bool:
        return True

    @property
    def run_monitoring_start_timeout_seconds(self) -> int:
        """As dagster.yaml says, but where a run may wait for a worker, and ``lost_runs`` sees whether it still does."""
        return max(super().run_monitoring_start_timeout_seconds, getattr(self.run_launcher, "may_wait_seconds", 0))


class EndsItself(RunLauncher):
    """Ends a run by saying so in the storage: the process that says it reaches neither Docker nor the workers."""

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        return True
