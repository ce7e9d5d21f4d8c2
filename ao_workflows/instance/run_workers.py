"""Runs in warm Celery workers: dagster-celery's launcher, with what it lacks.

What belongs here: sending a run to the workers, and whether anybody has it. What does not: the worker (``worker``), and
the run's end by cancelling (``cancelling``).

dagster-celery's launcher has no public name, and kombu has no public way to list what waits in a queue. If their
private names change, no run starts, or a run that waits for a worker counts as lost and is executed twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dagster import DagsterRun, Field, StringSource
from dagster._core.launcher.base import LaunchRunContext
from dagster._serdes import ConfigurableClassData
from dagster_celery.launcher import CeleryRunLauncher

from ao_workflows.instance.broker import LONGEST_RUN, QUEUE, celery_app
from ao_workflows.instance.cancelling import EndsItself
from ao_workflows.instance.own_code import check_run
from ao_workflows.instance.run_leases import RunLeases
from ao_workflows.works import run_tags

if TYPE_CHECKING:
    from celery import Celery


class RunWorkers(EndsItself, CeleryRunLauncher):
    """Launches each run as a task of the workers at ``broker``, an address that may name its password's ``passfile``.

    Dagster's run monitoring does not ask this launcher about its runs. The sensor ``lost_runs`` calls ``lives``
    instead, also for a run that waits for a worker. The password is read when it is first needed, so a process that
    launches nothing needs none.
    """

    may_wait_seconds = int(LONGEST_RUN.total_seconds())
    """How long a run may wait for a free worker: a run that waits has not failed to start."""

    def __init__(self, broker: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._broker = broker
        self.default_queue = QUEUE
        super(CeleryRunLauncher, self).__init__()  # dagster-celery's would make the app at once

    @cached_property
    def celery(self) -> Celery:
        """The Celery app that sends runs to the workers."""
        return celery_app(self._broker)

    @cached_property
    def _leases(self) -> RunLeases:
        return RunLeases(self.celery.conf.broker_url)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Returns the settings that the launcher has in dagster.yaml."""
        return {"broker": Field(StringSource, description="Redis, such as redis://redis:6379/0?passfile=/run/word")}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> RunWorkers:
        """Makes the launcher from its settings in dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Sends the run to the workers.

        :raises RunRefused: if the run brings code or settings of its own. A worker checks that again.
        """
        check_run(context.dagster_run)
        super().launch_run(context)

    def lives(self, run: DagsterRun) -> bool:
        """Whether a worker executes the run, or it waits for one. For a moment between the two, this is false."""
        return self._leases.holder(run.run_id) is not None or self._waits(run.tags[run_tags.CELERY_TASK])

    def _waits(self, task_id: str) -> bool:
        with self.celery.connection_for_read() as connection:
            channel = connection.default_channel
            queues = [channel._q_for_pri(QUEUE, priority) for priority in channel.priority_steps]
            messages = [message for queue in queues for message in channel.client.lrange(queue, 0, -1)]
        return any(task_id.encode() in message for message in messages)

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """Returns which worker executes the run, for Dagster's messages about it."""
        return f"Executed by {self._leases.holder(run.run_id) or 'no worker'}"

    @property
    def supports_resume_run(self) -> bool:
        """Whether Dagster may resume a run in another worker: no, a lost run is retried."""
        return False

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether Dagster may check a run's worker: no, the sensor ``lost_runs`` does that."""
        return False
