"""Where what a run prints is kept, so that the web page can read it: in a folder, or on S3.

What belongs here: the choice between the two, by one setting of the environment. What does not: how they are kept on S3
(``ao_workflows.instance.compute_logs_on_s3``), which a site that keeps them in a folder never imports.

Neither Dagster's manager for a folder nor the data that it makes dagster.yaml's classes from has a public name. If one
is renamed, no process of a deployment can open its instance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import Array, Field, IntSource, StringSource
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData

from ao_workflows.errors import StackError


class ComputeLogs(LocalComputeLogManager):
    """The manager of compute logs that dagster.yaml names: Dagster's own for ``folder``, or dagster-aws's where ``to``
    is ``s3://bucket/prefix``.

    dagster.yaml names one class and cannot choose it by the environment, so this class makes the choice.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Returns the settings that the manager has in dagster.yaml."""
        return {
            "to": Field(StringSource, description="s3://bucket/prefix; if it is empty, the folder."),
            "folder": Field(StringSource, description="Where they are; with S3, until they are there, and when read."),
            "region": Field(StringSource, is_required=False, default_value="us-east-1"),
            "endpoint": Field(StringSource, is_required=False, default_value="", description="Another S3 than AWS's."),
            "upload_interval": Field(
                IntSource,
                is_required=False,
                default_value=30,
                description="So many seconds pass between two uploads of what a run has printed so far.",
            ),
            "credentials": Field(
                Array(str),
                is_required=False,
                default_value=[],
                description="AWS credentials files: the first that is there is taken, and its section compute_logs.",
            ),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Any:
        """Returns the manager that the settings choose.

        :raises StackError: if ``to`` is neither empty nor of the form ``s3://bucket/prefix``.
        """
        settings = dict(config_value)
        to, folder = settings.pop("to"), settings.pop("folder")
        if not to:
            return LocalComputeLogManager(folder, inst_data=inst_data)
        bucket, _, prefix = to.removeprefix("s3://").strip("/").partition("/")
        if not (to.startswith("s3://") and bucket and prefix):
            raise StackError("COMPUTE_LOGS", f"is {to!r}, and must be s3://bucket/prefix or empty")
        from ao_workflows.instance.compute_logs_on_s3 import ComputeLogsOnS3

        return ComputeLogsOnS3(bucket, prefix, folder, inst_data=inst_data, **settings)
