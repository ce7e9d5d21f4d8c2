"""The demo's AWS: moto's server in a process of its own, with a staging bucket that tells a queue what is restored.

What belongs here: making the bucket and the queue, and what staff do by hand: uploading, and asking Glacier. What does
not: anything that the platform does with them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ao_workflows.aws.connections import AwsConnection, make_client
from ao_workflows.demo.processes import Processes
from ao_workflows.site.sections import IntakeSection
from ao_workflows.works.object_keys import LAYOUT, object_key
from ao_workflows.works.parts import part_named

STARTED_WITHIN_SECONDS = 60.0


class EmulatedAws:
    """The intake's bucket and queue, at its ``endpoint_url``; ``credentials`` is a file that has the intake's
    profile.
    """

    def __init__(self, intake: IntakeSection, credentials: Path) -> None:
        connection = AwsConnection(
            region=intake.region,
            profile=intake.aws_profile,
            endpoint_url=intake.endpoint_url,
            credentials_file=str(credentials),
        )
        self._bucket = intake.bucket
        self._queue = intake.queue
        self._s3 = make_client("s3", connection)
        self._sqs = make_client("sqs", connection)

    def make(self) -> None:
        """Makes the bucket and the queue, and has the bucket send an event to the queue for each object that Glacier
        restored.
        """
        self._s3.create_bucket(Bucket=self._bucket)
        self._url = self._sqs.create_queue(QueueName=self._queue, tags={"environment": "demo"})["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self._s3.put_bucket_notification_configuration(
            Bucket=self._bucket,
            NotificationConfiguration={
                "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectRestore:Completed"]}]
            },
        )

    def upload(self, zips: Iterable[Path]) -> None:
        """Puts zips where the archive keeps them, in Glacier: those of works, and those of parts of works."""
        for path in zips:
            with path.open("rb") as body:
                self._s3.put_object(Bucket=self._bucket, Key=_key(path), Body=body, StorageClass="GLACIER")

    def restore(self, zips: Iterable[Path]) -> None:
        """Asks Glacier for zips. The emulator is done at once, and sends the event when the object is next
        looked at.
        """
        for path in zips:
            self._s3.restore_object(
                Bucket=self._bucket,
                Key=_key(path),
                RestoreRequest={"Days": 14, "GlacierJobParameters": {"Tier": "Bulk"}},
            )
            self._s3.head_object(Bucket=self._bucket, Key=_key(path))

    def waiting(self) -> int:
        """Returns the number of messages in the queue, including those that are hidden from other receivers."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found: dict[str, Any] = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def empty_queue(self) -> None:
        """Removes all messages from the queue."""
        self._sqs.purge_queue(QueueUrl=self._url)


def _key(path: Path) -> str:
    """Returns the key of a zip: a part of a work lies in the work's folder."""
    rid = part_named(path.name.removesuffix(".bag.zip")).rid
    return object_key(LAYOUT, rid).replace(f"{rid}.bag.zip", path.name)


def write_credentials(path: Path, profile: str) -> None:
    """Writes an AWS credentials file with made-up keys, new each time: the emulator accepts any."""
    path.write_text(
        f"[{profile}]\naws_access_key_id = {secrets.token_hex(10)}\naws_secret_access_key = {secrets.token_hex(20)}\n"
    )
    path.chmod(0o600)


def start_emulator(processes: Processes, port: int, command: Sequence[str] | None = None) -> None:
    """Starts moto's server, and returns when it answers.

    :param command: Python's arguments for another server to start at ``port`` instead.
    :raises RuntimeError: if it does not answer in time, or has ended.
    """
    import urllib.request
    from urllib.error import URLError

    processes.start("aws", command or ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)])
    until = time.monotonic() + STARTED_WITHIN_SECONDS
    while True:
        processes.check()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5):
                return
        except (URLError, TimeoutError) as error:
            if time.monotonic() > until:
                raise RuntimeError(f"the emulated AWS does not answer on port {port}: {error}") from error
            time.sleep(0.1)
