"""One Job of Kubernetes a run: dagster-k8s's launcher, which takes all settings from dagster.yaml and none from a run.

What belongs here: that, and nothing else. What does not: what a Job has (``docker/kubernetes/dagster.yaml``).

A launcher's contexts and the settings of a run's container have no public names. If these change, a run may bring
settings of its own, or none starts.
"""

from __future__ import annotations

from dagster import DagsterRun
from dagster._core.launcher.base import LaunchRunContext, ResumeRunContext
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext

from ao_workflows.instance.own_code import as_launched, without_settings


class RunJobs(K8sRunLauncher):
    """Launches each run in a Job whose image, command, user, disks and limits are those of this deployment."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Makes the run's Job.

        :raises RunRefused: if the run brings code or settings of its own.
        """
        super().launch_run(context._replace(dagster_run=as_launched(context.dagster_run, self.job_image)))

    def resume_run(self, context: ResumeRunContext) -> None:
        """Makes another Job for a run.

        :raises RunRefused: if the run brings code or settings of its own.
        """
        super().resume_run(context._replace(dagster_run=as_launched(context.dagster_run, self.job_image)))

    def get_container_context_for_run(self, dagster_run: DagsterRun) -> K8sContainerContext:
        """Returns the settings of a run's Job: those of dagster.yaml, whatever the run's own and its tags say."""
        return K8sContainerContext.create_for_run(without_settings(dagster_run), self, include_run_tags=False)
