"""What a run in the storage may say of the process that executes it: nothing but which job it is.

What belongs here: finding what a run says besides, and the code and image that the launchers use in its place. What
does not: launching, and what its stages may be told (``own_config``).

Dagster stores with each run where its code is, its image, the first words of its command, and settings of its
container, and each launcher does as these say. Every process of ours writes into the storage. So whoever had taken one
of them over would choose a container's user and the folders of the host that are in it: he would be root on the host.

These parts of a run have no public names. If they change, every run is refused, or none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dagster import DagsterRun
from dagster._core.code_pointer import CodePointer, ModuleCodePointer
from dagster._core.origin import (
    DEFAULT_DAGSTER_ENTRY_POINT,
    JobPythonOrigin,
    RepositoryPythonOrigin,
    get_python_environment_entry_point,
)

from ao_workflows.errors import StackError
from ao_workflows.instance.dagster_processes import MODULE
from ao_workflows.instance.own_config import brought_settings, refuse_brought
from ao_workflows.shown_names import shown

DEFINITIONS = "defs"
"""What the code server loads of the module."""

_STARTS = ["python", "-m", "ao_workflows.instance.run_process"]
_SETTINGS_IN_TAGS = ("dagster-k8s/", "dagster-celery/queue")
_LETTERS_AT_MOST = 200
_RUN_ID = re.compile("[A-Za-z0-9-]{1,64}")


def check_run(run: DagsterRun) -> None:
    """Checks that a run says nothing of the process that executes it, and changes none of the site's settings.

    :raises RunRefused: if it brings code, a command or settings of its own; the error names each, without its value.
    """
    refuse_brought(run.run_id, _brought(run))


def as_launched(run: DagsterRun, image: str | None) -> DagsterRun:
    """Returns the run as it is handed to Dagster's launcher: with the code, command and image of this deployment.

    :param image: the launcher's setting; without it, it is the image of the process that launches.
    :raises RunRefused: if the run brings code, a command or settings of its own.
    :raises StackError: if neither says which image.
    """
    check_run(run)
    return run._replace(job_code_origin=JobPythonOrigin(run.job_name, our_code(image or _own_image())))


def our_code(image: str | None = None) -> RepositoryPythonOrigin:
    """Returns where the platform's code is, in that image, and the command by which a run of it starts."""
    return RepositoryPythonOrigin("python", ModuleCodePointer(MODULE, DEFINITIONS), image, entry_point=_STARTS)


def without_settings(run: DagsterRun) -> DagsterRun:
    """Returns the run without what it says of its process, for what asks about a container that was launched."""
    return run._replace(job_code_origin=None)


def other_image(run: DagsterRun, image: str) -> str | None:
    """Returns the image that the run names, if it is not the one that it gets: an update came while it was queued."""
    named = run.job_code_origin.repository_origin.container_image if run.job_code_origin else None
    return shown(named[:_LETTERS_AT_MOST]) if named and named != image else None


def _own_image() -> str:
    try:
        return os.environ["DAGSTER_CURRENT_IMAGE"]
    except KeyError:
        raise StackError("run_launcher", "DAGSTER_CURRENT_IMAGE, a run's image, is not in the environment") from None


def _brought(run: DagsterRun) -> Iterator[str]:
    if not _RUN_ID.fullmatch(run.run_id):
        yield "run id (it would name folders)"
    origin = run.job_code_origin
    if origin is None:
        yield "code (it names none)"
        return
    code = origin.repository_origin
    if not _is_ours(code.code_pointer):
        yield f"code ({code.code_pointer.describe()})"
    ours = (None, DEFAULT_DAGSTER_ENTRY_POINT, get_python_environment_entry_point(code.executable_path))
    if code.entry_point not in ours:
        yield "entry point"
    yield from (f"setting {name}" for name in _names(code.container_context or {}))
    yield from (f"tag {tag}" for tag in sorted(run.tags) if tag.startswith(_SETTINGS_IN_TAGS))
    yield from brought_settings(run.run_config)


def _is_ours(code: CodePointer) -> bool:
    """Whether this is where the platform's definitions are. The code server's working directory is this process's too;
    from another one, other modules would be imported in place of ours.
    """
    return code in [ModuleCodePointer(MODULE, DEFINITIONS, place) for place in (None, str(Path.cwd()))]


def _names(settings: Mapping[str, Any]) -> Iterator[str]:
    """The names of settings, with those in which they are: an engine's settings are told one by one."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from (f"{name}.{inner}" for inner in _names(value))
        else:
            yield name
