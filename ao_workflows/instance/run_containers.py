"""One container a run: dagster-docker's launcher, with what a host's operator needs besides.

What belongs here: a run container's name, mounts, end and removal. What does not: the run's end by cancelling
(``ao_workflows.instance.cancelling``), and any container but those of runs.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from string import Template
from typing import Any

from dagster import DagsterRun, Field, IntSource
from dagster._core.launcher.base import LaunchRunContext
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData
from dagster_docker import DockerRunLauncher
from dagster_docker.container_context import DockerContainerContext

from ao_workflows.domain.errors import StackError
from ao_workflows.instance.cancelling import EndsItself

RUN_LABEL = "dagster/run_id"


class RunContainers(EndsItself, DockerRunLauncher):
    """Launches each run in a container of its own, named for the work.

    ``${NAME}`` in ``container_kwargs`` is taken from the environment of the process that launches, so that paths and
    sizes have one place, the ``.env`` that compose reads too. A run's container exits with 1 where the run failed, and
    is kept until a person prunes it; one that ended well is removed once ``keep_minutes`` have passed, when the next
    run is launched.
    """

    def __init__(self, keep_minutes: int = 60, inst_data: ConfigurableClassData | None = None, **settings: Any) -> None:
        self._keep = timedelta(minutes=keep_minutes)
        super().__init__(inst_data=inst_data, **settings)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return dict(DockerRunLauncher.config_type()) | {
            "keep_minutes": Field(
                IntSource,
                is_required=False,
                default_value=60,
                description="So long after its end the container of a run that ended well stays.",
            )
        }

    def get_container_context(self, dagster_run: DagsterRun) -> DockerContainerContext:
        context = super().get_container_context(dagster_run)
        settings = {key: filled_in(value, os.environ) for key, value in context.container_kwargs.items()}
        return context._replace(container_kwargs=settings | {"name": container_name(dagster_run)})

    def launch_run(self, context: LaunchRunContext) -> None:
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

    def _remove_ended(self, run: DagsterRun) -> None:
        """Removes the containers of runs that ended well some time ago. The run that was launched does not wait for
        this to succeed: what is left now is removed next time.
        """
        import docker.errors

        try:
            ended = self._get_client(self.get_container_context(run)).containers.list(
                all=True, filters={"label": RUN_LABEL, "exited": 0}, ignore_removed=True
            )
            for container in ended:
                if ended_at(container.attrs["State"]["FinishedAt"]) < datetime.now(UTC) - self._keep:
                    container.remove()
        except docker.errors.DockerException as error:
            logging.getLogger(__name__).warning("a run's container that has ended was not removed: %s", error)


def container_name(run: DagsterRun) -> str:
    """What ``docker ps`` shows: the work's RID, or the job's name, and the beginning of the run's id."""
    about = run.tags.get("dagster/partition") or run.job_name
    return f"run-{re.sub('[^A-Za-z0-9_.-]', '-', about)}-{run.run_id[:8]}"


def filled_in(value: Any, environment: Mapping[str, str]) -> Any:
    """``value``, a setting of dagster.yaml, with each ``${NAME}`` in it replaced.

    :raises StackError: that names the variable that is not there.
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


def ended_at(said: str) -> datetime:
    """The engine's time of a container's end: nanoseconds, of which Python's reader takes no more than microseconds."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", said))
