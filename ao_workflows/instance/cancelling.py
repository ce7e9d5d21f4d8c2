"""Cancelling: a run looks for itself whether it shall end, so that nobody needs to reach its worker.

What belongs here: the instance of a deployment, which also keeps its connections to PostgreSQL and what is secret in
dagster.yaml, and what its launchers have in common. What does not: launching.

Dagster ends a run by reaching for its worker, from the process of the web page. With the workers in containers, the web
page would need the Docker socket, which is root on the host; with the workers on other hosts, it cannot. So each run
reads its own status from the database: a run that is being cancelled ends itself, and so does one that the run monitor
has declared dead, before its retry begins the same work.

This module overrides two properties of Dagster's instance that are read before a run, sets a private flag of its
storages' connection pools, and reads a launcher's private attribute for its instance. If these names change, a
cancelled run goes on to its end and a retry may begin beside it; the first query after a restart of the database fails;
and connections add up until PostgreSQL refuses more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance
from dagster._core.launcher import RunLauncher

from ao_workflows.instance.shown_settings import shown_settings
from ao_workflows.instance.storage_reader import respect_rights

CONNECTION_SECONDS = 30
"""A connection to the storage that is older than this is replaced by a new one when it is next needed."""


class CancellingInstance(DagsterInstance):
    """Dagster's instance, with runs that check for themselves whether they were cancelled.

    ``run_monitoring.cancellation_thread_poll_interval_seconds`` in dagster.yaml says how often a run checks.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        storages: tuple[Any, ...] = (self.run_storage, self.event_log_storage, self.schedule_storage)
        self._kept = storages if all(hasattr(storage, "postgres_url") for storage in storages) else ()
        if not self._kept:
            return
        # By default each query makes a connection of its own. For a small work, this took PostgreSQL more time than
        # everything else that it and the daemon did.
        self.optimize_for_webserver(statement_timeout=0, pool_recycle=CONNECTION_SECONDS, max_overflow=-1)
        for storage in self._kept:
            # PostgreSQL may have been started again meanwhile: a connection is tried before it is used.
            storage._engine.pool._pre_ping = True
        respect_rights(self.event_log_storage)

    def dispose(self) -> None:
        """Closes the connections to PostgreSQL, too.

        The code server makes an instance for each tick. If their connections were not closed before the garbage
        collector comes, they would add up to more than PostgreSQL accepts.
        """
        super().dispose()
        for storage in self._kept:
            storage._engine.dispose()

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """Returns no settings: Dagster asks every instance class but its own for a schema, and this one has no
        settings.
        """
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Any:
        """Returns Dagster's own defaults for what dagster.yaml leaves out."""
        from dagster._core.instance.ref import InstanceRef

        return InstanceRef.config_defaults(base_dir)

    def info_dict(self) -> Mapping[str, object]:
        """Returns what the web page shows of dagster.yaml."""
        return shown_settings(super().info_dict())

    @property
    def should_start_background_run_thread(self) -> bool:
        """Whether each run has a thread that checks whether the run was cancelled: always, whatever the launcher is."""
        return True

    @property
    def run_monitoring_start_timeout_seconds(self) -> int:
        """How many seconds a run may take to start before the run monitor fails it: as dagster.yaml says.

        Where a run may wait longer for a free worker, it is that time instead, and the sensor ``lost_runs`` checks
        whether the run still waits.
        """
        return max(super().run_monitoring_start_timeout_seconds, getattr(self.run_launcher, "may_wait_seconds", 0))


class EndsItself(RunLauncher):
    """A launcher that ends a run by a note in the storage, which the run reads.

    The process that asks for the end can reach neither Docker nor the workers.
    """

    def terminate(self, run_id: str) -> bool:
        """Notes in the storage that the run is to end; returns false if it has ended already or does not exist."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        return True
