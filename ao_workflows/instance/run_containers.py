"""One container a run: dagster-docker's launcher, with what a host's operator needs besides.

What belongs here: a run container's name, mounts, end and removal. What does not: the run's end by cancelling
(``ao_workflows.instance.cancelling``), and any container but those of runs.

dagster-docker's launcher cannot name a container, does not let the exit code show that a run failed, and does not give
out its client. So this module calls its private methods. If these change, no run starts, or containers that have ended
fill the disk.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from string import Template
from typing import Any

from dagster import DagsterRun, Field, IntSource
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import LaunchRunContext, ResumeRunContext
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData
from dagster_docker import DockerRunLauncher
from dagster_docker.container_context import DockerContainerContext

from ao_workflows.errors import StackError
from ao_workflows.instance.cancelling import EndsItself
from ao_workflows.instance.own_code import as_launched, other_image, without_settings
from ao_workflows.instance.pruning import prune, remove_ended
from ao_workflows.upkeep import housekeeping
from ao_workflows.works import run_tags

KEEP_MINUTES = 60
KEEP_FAILED_DAYS = 30
"""How long the containers of ended runs are kept if dagster.yaml does not say."""

_PRUNE_SECONDS = 3600


class RunContainers(EndsItself, DockerRunLauncher):
    """Launches each run in a container of its own, named for the work.

    ``${NAME}`` in ``container_kwargs`` is replaced from the environment of the process that launches, so that paths and
    sizes have one place, the ``.env`` that compose reads too. A run's container exits with 1 if the run failed.

    A container's image, command and settings are the launcher's own. What a run in the storage says of them is not
    used, and a run that brings code or settings of its own is refused.

    The container of a run that ended well is removed at the first launch after ``keep_minutes``. That of a run that
    failed is removed after ``keep_failed_days``, when the run that keeps house is launched: no run can reach the
    engine, so its launcher removes them.
    """

    def __init__(
        self,
        keep_minutes: int = KEEP_MINUTES,
        keep_failed_days: int = KEEP_FAILED_DAYS,
        inst_data: ConfigurableClassData | None = None,
        **settings: Any,
    ) -> None:
        self._keep = timedelta(minutes=keep_minutes)
        self._keep_failed = timedelta(days=keep_failed_days)
        super().__init__(inst_data=inst_data, **settings)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Returns the settings in dagster.yaml: those of Dagster's launcher, and how long containers are kept."""
        return dict(DockerRunLauncher.config_type()) | {
            "keep_minutes": Field(
                IntSource,
                is_required=False,
                default_value=KEEP_MINUTES,
                description="So long after its end the container of a run that ended well stays.",
            ),
            "keep_failed_days": Field(
                IntSource,
                is_required=False,
                default_value=KEEP_FAILED_DAYS,
                description="So long after its end the container of a run that failed stays.",
            ),
        }

    def get_container_context(self, dagster_run: DagsterRun) -> DockerContainerContext:
        """Returns the settings of a run's container: dagster.yaml's, filled in from the environment, and its name."""
        context = super().get_container_context(without_settings(dagster_run))
        settings = {key: filled_in(value, os.environ) for key, value in context.container_kwargs.items()}
        return context._replace(container_kwargs=settings | {"name": container_name(dagster_run)})

    def launch_run(self, context: LaunchRunContext) -> None:
        """Starts the run's container, and removes containers that have been kept long enough.

        :raises RunRefused: if the run brings code or settings of its own.
        """
        context = context._replace(dagster_run=self._as_launched(context.dagster_run))
        origin = context.job_code_origin
        assert origin is not None  # noqa: S101 - Dagster's own launcher asks the same
        command = ExecuteRunArgs(
            job_origin=origin,
            run_id=context.dagster_run.run_id,
            instance_ref=self._instance.get_ref(),
            set_exit_code_on_failure=True,
        ).get_command_args()
        self._launch_container_with_command(context.dagster_run, self._get_docker_image(origin), command)
        self._remove_ended(context.dagster_run)
        if context.dagster_run.job_name == housekeeping.JOB:
            # In a thread, so that the next run can be launched meanwhile.
            threading.Thread(target=self._prune, args=[context.dagster_run], name="prune", daemon=True).start()

    def resume_run(self, context: ResumeRunContext) -> None:
        """Starts another container for a run.

        :raises RunRefused: if the run brings code or settings of its own.
        """
        super().resume_run(context._replace(dagster_run=self._as_launched(context.dagster_run)))

    def _as_launched(self, run: DagsterRun) -> DagsterRun:
        """Returns the run with the image that this deployment has. If the run names another one, its log says so."""
        launched = as_launched(run, self.image)
        assert launched.job_code_origin is not None  # noqa: S101 - it was just put there
        image = str(launched.job_code_origin.repository_origin.container_image)
        if named := other_image(run, image):
            said = f"The run was asked for in the image {named}, and is executed in this site's, {image}."
            self._instance.report_engine_event(said, run, cls=type(self))
        return launched

    def _remove_ended(self, run: DagsterRun) -> None:
        """Removes the containers of runs that ended well some time ago. If that fails, the launched run goes on all the
        same, and the next launch tries again.
        """
        import docker.errors

        try:
            client = self._get_client(self.get_container_context(run))
            for network in self.networks:
                remove_ended(client, network, datetime.now(UTC) - self._keep, well=True)
        except (docker.errors.DockerException, OSError) as error:  # an engine that is slow to answer is an OSError
            logging.getLogger(__name__).warning("a run's container that has ended was not removed: %s", error)

    def _prune(self, run: DagsterRun) -> None:
        """Prunes, which may take the engine minutes, and reports it in the log of the run that keeps house."""
        import docker.client
        import docker.errors

        try:
            client = docker.client.from_env(timeout=_PRUNE_SECONDS)
            for network in self.networks:
                pruned = prune(client, network, datetime.now(UTC) - self._keep_failed)
                said = "Pruned on the engine: containers of runs that failed, and images without a name."
                self._instance.report_engine_event(said, run, EngineEventData(pruned.metadata()), type(self))
        except (docker.errors.DockerException, OSError) as error:
            self._instance.report_engine_event(f"Not all was pruned on the engine: {error}", run, cls=type(self))


def container_name(run: DagsterRun) -> str:
    """Returns the name that ``docker ps`` shows: ``run-``, the work's RID or else the job's name, and the first eight
    characters of the run's id.
    """
    about = run.tags.get(run_tags.PARTITION) or run.job_name
    return f"run-{re.sub('[^A-Za-z0-9_.-]', '-', about)}-{run.run_id[:8]}"


def filled_in(value: Any, environment: Mapping[str, str]) -> Any:
    """Returns ``value``, a setting of dagster.yaml, with each ``${NAME}`` in it replaced by that variable of the
    environment.

    :raises StackError: if there is no such variable; the error names it.
    """
    if isinstance(value, str):
        try:
            return Template(value).substitute(environment)
        except (KeyError, ValueError) as error:
            raise StackError(
                "dagster.yaml", f"run_launcher has {value!r}, and {error} is not in the environment of this service"
            ) from error
    if isinstance(value, Mapping):
        return {key: filled_in(inner, environment) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled_in(inner, environment) for inner in value]
    return value
