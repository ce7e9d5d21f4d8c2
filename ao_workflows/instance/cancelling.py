"""Cancelling: a run looks for itself whether it shall end, so that nobody needs to reach its worker.

What belongs here: the instance of a deployment, which also keeps its connections to PostgreSQL, and what its launchers
have in common. What does not: launching.

Dagster ends a run by reaching for its worker, from the process of the web page. With the workers in containers, the
web page would need the Docker socket, which is root on the host; with the workers on other hosts, it cannot. So each
run reads its own status from the database: one that is being cancelled ends itself, and so does one that the run
monitor has taken for dead, before its retry is at the same work.

Of Dagster's own this overrides two properties that it asks before a run, sets a flag of its storages' connection pools,
and takes a launcher's instance. When they move: a run that is cancelled goes on to its end, and a retry may begin
beside it; a database that was started again fails the next question; connections add up until PostgreSQL refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance
from dagster._core.launcher import RunLauncher

CONNECTION_SECONDS = 30
"""A connection to the storage that is older is made anew when it is asked for next."""


class CancellingInstance(DagsterInstance):
    """Dagster's instance. ``run_monitoring.cancellation_thread_poll_interval_seconds`` says how often a run looks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        storages: tuple[Any, ...] = (self.run_storage, self.event_log_storage, self.schedule_storage)
        self._kept = storages if all(hasattr(storage, "postgres_url") for storage in storages) else ()
        if not self._kept:
            return
        # By default each question makes a connection of its own, which took PostgreSQL more time than all else that
        # it and the daemon did for a small work.
        self.optimize_for_webserver(statement_timeout=0, pool_recycle=CONNECTION_SECONDS, max_overflow=-1)
        for storage in self._kept:
            # PostgreSQL may have been started again meanwhile: a connection is tried before it is used.
            storage._engine.pool._pre_ping = True

    def dispose(self) -> None:
        """Closes the connections too. The code server makes an instance for each tick: left to the garbage collector,
        theirs would add up to more than PostgreSQL takes.
        """
        super().dispose()
        for storage in self._kept:
            storage._engine.dispose()

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
        """Whether each run has the thread that looks whether it shall end: always, whatever the launcher is."""
        return True

    @property
    def run_monitoring_start_timeout_seconds(self) -> int:
        """As dagster.yaml says, but where a run may wait for a worker, and ``lost_runs`` sees whether it still does."""
        return max(super().run_monitoring_start_timeout_seconds, getattr(self.run_launcher, "may_wait_seconds", 0))


class EndsItself(RunLauncher):
    """Ends a run by saying so in the storage: the process that says it reaches neither Docker nor the workers."""

    def terminate(self, run_id: str) -> bool:
        """Notes in the storage that the run is to end, and returns whether it had not ended already."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        return True
