"""SQS: receiving and deleting the messages of an intake's queue.

What belongs here: every call to SQS. What does not: what a message means (``ao_workflows.domain.events``).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from ao_workflows.domain.errors import ServiceError
from ao_workflows.domain.intake import Received
from ao_workflows.resources.aws import AwsConnection, calls_explained, make_client

HIDDEN_SECONDS = 600
"""How long a received message is hidden from others: long enough for the next tick to find its runs there."""

READ_SECONDS = 10
"""With two attempts, a queue that does not answer is told of long before the sensor's time limit of 60 s."""

BATCH = 10
"""SQS gives, and deletes, at most ten messages a call."""


class Sqs(dg.ConfigurableResource):  # type: ignore[type-arg]
    """SQS as each intake reaches it; ``connections`` and ``queues`` (queue names) are by the intake's name."""

    connections: Mapping[str, AwsConnection]
    queues: Mapping[str, str]

    _reached: dict[str, tuple[Any, str]] = PrivateAttr(default_factory=dict)

    def tags(self, intake: str) -> dict[str, str]:
        """The queue's tags."""
        client, url = self._queue(intake)
        with calls_explained("reading the tags", self._where(intake)):
            return dict(client.list_queue_tags(QueueUrl=url).get("Tags", {}))

    def receive(self, intake: str, most: int, seconds: float) -> Iterator[Received]:
        """Up to ``most`` messages, until the queue has no more or ``seconds`` are over; each hidden for a while."""
        client, url = self._queue(intake)
        until = time.monotonic() + seconds
        received = 0
        while received < most and time.monotonic() < until:
            asked = time.time()
            try:
                with calls_explained("receiving", self._where(intake)):
                    answer = client.receive_message(
                        QueueUrl=url,
                        MaxNumberOfMessages=min(BATCH, most - received),
                        VisibilityTimeout=HIDDEN_SECONDS,
                        WaitTimeSeconds=1,
                    )
            except ServiceError:
                if received:  # what is here already is worth its runs; the next tick tells of the rest
                    return
                raise
            messages = answer.get("Messages", [])
            for message in messages:
                yield Received(message["MessageId"], message["ReceiptHandle"], message["Body"], asked + HIDDEN_SECONDS)
            if not messages:
                return
            received += len(messages)

    def delete(self, intake: str, receipt_handles: Iterable[str]) -> list[str]:
        """Deletes messages, and returns the receipt handles for which SQS says no. Deleting twice is harmless."""
        client, url = self._queue(intake)
        handles = list(receipt_handles)
        refused = []
        with calls_explained("deleting", self._where(intake)):
            for start in range(0, len(handles), BATCH):
                batch = handles[start : start + BATCH]
                answer = client.delete_message_batch(
                    QueueUrl=url,
                    Entries=[{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(batch)],
                )
                refused += [batch[int(entry["Id"])] for entry in answer.get("Failed", [])]
        return refused

    def _queue(self, intake: str) -> tuple[Any, str]:
        """The client and the queue's URL; kept, since a tick makes several calls."""
        if intake not in self._reached:
            with calls_explained("finding the queue", self._where(intake)):
                client = make_client("sqs", self.connections[intake], read_seconds=READ_SECONDS, attempts=2)
                try:
                    url = client.get_queue_url(QueueName=self.queues[intake])["QueueUrl"]
                except client.exceptions.QueueDoesNotExist as error:
                    raise ServiceError("finding the queue", self._where(intake), "there is no such queue") from error
            self._reached[intake] = (client, url)
        return self._reached[intake]

    def _where(self, intake: str) -> str:
        return f"queue {self.queues[intake]} ({self.connections[intake]})"
