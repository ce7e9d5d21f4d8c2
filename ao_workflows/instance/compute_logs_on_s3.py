"""Compute logs on S3: dagster-aws's manager, reached as the platform reaches AWS, and going on after a fault.

What belongs here: the client, and what becomes of a log when S3 fails. What does not: whether S3 is used at all
(``ao_workflows.instance.compute_logs``), and how long S3 keeps a log, which is a rule of the bucket's.

dagster-aws's manager lets nobody choose its client, or what it does after a fault. So this module replaces its client
and some of its methods by their private names. If these change, runs do not use the section of the credentials file
that the site has for their logs, a run that is cancelled or killed leaves no log, and the web page shows half a log as
if it were whole.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION
from dagster_aws.s3 import S3ComputeLogManager

from ao_workflows.aws.connections import AwsConnection, make_client
from ao_workflows.errors import StackError

PROFILE = "compute_logs"
"""The section of the credentials file. The credentials of runs may write, those of web pages may read."""

_READ_SECONDS = 20
_ATTEMPTS = 3
"""With both limits, an S3 that does not answer delays the end of a run by less than a minute."""


class ComputeLogsOnS3(S3ComputeLogManager):
    """The compute logs below ``s3://bucket/prefix``. A log is in ``folder``, too, while it is written, and where it was
    read.

    :param upload_interval: seconds between two uploads of what a run has printed so far.
    :param credentials: AWS credentials files, of which the first one that exists is used.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        folder: str,
        *,
        region: str,
        endpoint: str,
        upload_interval: int,
        credentials: Sequence[str],
        inst_data: Any = None,
    ) -> None:
        super().__init__(
            bucket,
            local_dir=folder,
            prefix=prefix,
            region=region,
            endpoint_url=endpoint or None,
            upload_interval=upload_interval,
            skip_empty_files=True,  # or every tick of a sensor that says nothing leaves two empty objects
            inst_data=inst_data,
        )
        connection = AwsConnection(region=region, endpoint_url=endpoint or None, **_credentials(credentials))
        self._s3_session = make_client("s3", connection, read_seconds=_READ_SECONDS, attempts=_ATTEMPTS)
        self._under_way: set[tuple[str, ...]] = set()
        self._uploading = threading.Lock()

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Captures what a run prints, and uploads it also if the run is cancelled.

        Dagster's own method treats a log as finished only if the run came to its end, so that the last lines of a
        cancelled run would be lost.
        """
        self._under_way.add(tuple(log_key))
        try:
            with super().capture_logs(log_key) as context:
                yield context
        except BaseException:
            self.on_progress(log_key)
            raise
        finally:
            self._under_way.discard(tuple(log_key))

    def on_progress(self, log_key: Sequence[str]) -> None:
        """Uploads what has been printed so far; a failure is logged, and the next interval tries again.

        Dagster's thread would end with the first failure, and a run that is killed hours later would leave no log.
        """
        with self._uploading:
            if tuple(log_key) not in self._under_way:
                return
            try:
                super().on_progress(log_key)
            except (BotoCoreError, Boto3Error, ClientError, OSError) as error:
                logging.getLogger(__name__).warning("the compute log so far is not on S3: %s", error)

    def _on_capture_complete(self, log_key: Sequence[str]) -> None:
        """Uploads the whole log and removes it from the folder.

        An upload of the log so far that begins meanwhile would put an empty file there, which a web page on this host
        would show; so the two exclude each other.
        """
        with self._uploading:
            self._under_way.discard(tuple(log_key))
            super()._on_capture_complete(log_key)

    def download_from_cloud_storage(
        self, log_key: Sequence[str], io_type: ComputeIOType, partial: bool = False
    ) -> None:
        """Copies a log into the folder, whole or not at all: a log that is in the folder is never downloaded again."""
        extension = IO_TYPE_EXTENSION[io_type]
        path = Path(self.local_manager.get_captured_local_path(log_key, extension, partial=partial))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._s3_session.download_file(self._s3_bucket, self._s3_key(log_key, io_type, partial), str(path))


def _credentials(files: Sequence[str]) -> dict[str, str]:
    """Returns the first of the files that exists, with the section to use; nothing if none exists: boto3 then finds
    credentials by itself.

    :raises StackError: if the file has no such section.
    """
    there = next((Path(name) for name in files if Path(name).exists()), None)
    if there is None:
        return {}
    if f"[{PROFILE}]" not in there.read_text(encoding="utf-8"):
        raise StackError(
            "COMPUTE_LOGS", f"names S3, and {there} has no section [{PROFILE}]", "write it there, or empty COMPUTE_LOGS"
        )
    return {"credentials_file": str(there), "profile": PROFILE}
