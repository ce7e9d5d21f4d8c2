"""The process of a run loads the platform's code, whatever has become of the run in the storage since it was launched.

What belongs here: that, for containers, Jobs and workers. What does not: what the launchers refuse (``own_code``).

``python -m ao_workflows.instance.run_process`` is Dagster's command line with this difference. Dagster reads the run,
and where its code is, from the storage when the process begins: whoever wrote another place there after the launch had
his code executed with the archive's secrets. Dagster loads the code by a name that is not public. If it changes, no run
starts.
"""

from __future__ import annotations

from dagster._cli import api, main
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.origin import JobPythonOrigin

from ao_workflows.instance.own_code import our_code

_load = vars(api)["recon_job_from_origin"]


def load_our_code_only() -> None:
    """Has every run that this process executes from now on load the platform's code."""
    api.recon_job_from_origin = _our_job  # type: ignore[attr-defined]


def _our_job(origin: JobPythonOrigin) -> ReconstructableJob:
    job: ReconstructableJob = _load(JobPythonOrigin(origin.job_name, our_code()))
    return job


if __name__ == "__main__":
    load_our_code_only()
    main()
