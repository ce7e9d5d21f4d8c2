"""The process of a run loads the platform's code, and takes the site's settings, whatever has become of the run in the
storage since it was launched.

What belongs here: that, for containers, Jobs and workers. What does not: what the launchers refuse (``own_code``).

``python -m ao_workflows.instance.run_process`` is Dagster's command line with this difference. Dagster reads the run,
and where its code is, from the storage when the process begins: whoever wrote another place there after the launch had
his code executed with the archive's secrets, and whoever wrote another configuration chose where to. Dagster loads the
code, and begins with the run's configuration, by names that are not public. If they change, no run starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dagster import DagsterEvent, DagsterRun
from dagster._cli import api, main
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.origin import JobPythonOrigin
from dagster._grpc import impl

from ao_workflows.instance.own_code import our_code
from ao_workflows.instance.own_config import brought_settings, refuse_brought

_load = vars(api)["recon_job_from_origin"]
_execute = vars(impl)["execute_run_iterator"]


def load_our_code_only() -> None:
    """Has every run that this process executes from now on load the platform's code, and take the site's settings."""
    api.recon_job_from_origin = _our_job  # type: ignore[attr-defined]
    impl.execute_run_iterator = _with_our_settings  # type: ignore[attr-defined, assignment]


def _our_job(origin: JobPythonOrigin) -> ReconstructableJob:
    job: ReconstructableJob = _load(JobPythonOrigin(origin.job_name, our_code()))
    return job


def _with_our_settings(job: ReconstructableJob, run: DagsterRun, *words: Any, **named: Any) -> Iterator[DagsterEvent]:
    refuse_brought(run.run_id, brought_settings(run.run_config))
    events: Iterator[DagsterEvent] = _execute(job, run, *words, **named)
    return events


if __name__ == "__main__":
    load_our_code_only()
    main()
