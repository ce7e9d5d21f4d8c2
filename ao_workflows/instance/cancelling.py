"""An instance whose runs look themselves whether they shall end.

What belongs here: that one difference to Dagster's own instance. What does not: launching or stopping a run's worker.

Dagster ends a run by reaching for its worker, from the process of the web page. With the workers in containers, the
web page would need the Docker socket, which is root on the host; with the workers on other hosts, it cannot. So each
run reads its own status from the database: one that is being cancelled ends itself, and so does one that the run
monitor has taken for dead, before its retry is at the same work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance


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
