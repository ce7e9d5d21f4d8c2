"""Dagster's run queue: a run of the platform's job put into it from outside, as the web page does.

What belongs here: the run as Dagster stores it, so that the daemon finds its code and the queue its limits. What does
not: which stages it has and whether it may be asked for (``ao_workflows.status.redoing``, its callers).

Dagster's public way to start a run is to ask the web page, which may have a login and need not be running. Without it,
a run must name its code as Dagster's own processes do. If these private names change, ``ao reprocess`` starts nothing,
or its runs stay queued because the daemon finds no code for them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    CodeLocationOrigin,
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from ao_workflows.errors import InstanceUnusable
from ao_workflows.instance.dagster_processes import LOCATION, MODULE
from ao_workflows.instance.opening import daemon_silence
from ao_workflows.instance.own_code import DEFINITIONS
from ao_workflows.works import run_tags
from ao_workflows.works.stages import Stage

_LOOKED_AT = 20


def check_run_queue(instance: dg.DagsterInstance) -> None:
    """Checks that a run which is put into the queue will be executed, and within the site's limits.

    :raises InstanceUnusable: if it would not be.
    """
    if not isinstance(instance.run_coordinator, dg.QueuedRunCoordinator):
        kind = type(instance.run_coordinator).__name__
        raise InstanceUnusable(f"run_coordinator in dagster.yaml is {kind}, and not the QueuedRunCoordinator")
    if silence := daemon_silence(instance):
        raise InstanceUnusable(
            f"{silence}, so that nothing would run. Start it (dagster-daemon run), or do the work on the spot: "
            f"dagster asset materialize -m {MODULE} --select '{Stage.DOWNLOADED_BAG}+' --partition RID"
        )


def queue_run(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    partitions: str,
    rid: str,
    stages: Sequence[str],
    run_config: Mapping[str, Any],
    tags: Mapping[str, str],
) -> str:
    """Puts a run of some stages of a work into the queue, and returns the run's id.

    :param partitions: the name of the set of partitions that the works are in.
    """
    instance.add_dynamic_partitions(partitions, [rid])
    origin = RemoteRepositoryOrigin(
        code_location_origin=_code_location(instance), repository_name=SINGLETON_REPOSITORY_NAME
    )
    code = RepositoryPythonOrigin(
        executable_path=sys.executable,
        code_pointer=ModuleCodePointer(module=MODULE, fn_name=DEFINITIONS),
        # As Dagster's code server does: a run in a container gets the image that this process runs in.
        container_image=os.environ.get("DAGSTER_CURRENT_IMAGE"),
        entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
    )
    run = instance.create_run_for_job(
        job,
        run_config=run_config,
        tags={run_tags.PARTITION: rid, **tags},
        asset_selection={dg.AssetKey(stage) for stage in stages},
        remote_job_origin=origin.get_job_origin(job.name),
        job_code_origin=JobPythonOrigin(job.name, code),
    )
    # The instance's own `submit_run` needs a workspace, at which this coordinator does not look.
    instance.run_coordinator.submit_run(dg.SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]
    return run.run_id


def _code_location(instance: dg.DagsterInstance) -> CodeLocationOrigin:
    """Returns where the daemon has the code, as the newest run knows that was started by the daemon or the web page.

    The daemon reads only the location's name from it, and finds no code by a name that is not in its workspace.
    """
    for run in instance.get_runs(limit=_LOOKED_AT):
        if run.remote_job_origin:
            return run.remote_job_origin.repository_origin.code_location_origin
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE)
    return ManagedGrpcPythonEnvCodeLocationOrigin(loadable_target_origin=target, location_name=LOCATION)
