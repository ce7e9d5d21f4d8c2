"""SQS: the messages of an intake's queue, received, deleted, given back and sent.

What belongs here: every call to SQS, each with a time limit. What does not: what a message means
(``ao_workflows.events.s3_events``).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import dagster as dg
from pydantic import PrivateAttr

from ao_workflows.aws.connections import AwsConnection, answered_within, calls_explained, make_client
from ao_workflows.errors import ServiceError
from ao_workflows.intake.queue_rules import ReceivedMessage

HIDDEN_SECONDS = 600
"""How long a received message is hidden from others: long enough for the next tick to find its runs there."""

CALL_SECONDS = 6
"""How long one call may take; a queue that has not answered by then is reported."""

LEAST_SECONDS = 2
"""No messages are received in less time than this: they would be hidden, and nobody would know of them."""

BATCH = 10
"""SQS gives, deletes and gives back at most ten messages a call."""

T = TypeVar("T")


@dataclass(frozen=True)
class QueueState:
    """What SQS says about a queue: about how many messages can be received, are hidden and are delayed.

    Messages that were received ``max_receives`` times go to the queue ``dead_letters``; both are None if the queue does
    not do that.
    """

    visible: int
    hidden: int
    delayed: int
    max_receives: int | None
    dead_letters: str | None


class Sqs(dg.ConfigurableResource):  # type: ignore[type-arg]
    """SQS as each intake reaches it; ``connections`` and ``queues`` (queue names) are by the intake's name.

    ``until`` is the moment of ``time.monotonic()`` at which a method gives up, whatever the queue does.
    """

    connections: Mapping[str, AwsConnection]
    queues: Mapping[str, str]

    _reached: dict[str, tuple[Any, str]] = PrivateAttr(default_factory=dict)

    def tags(self, intake: str, until: float) -> dict[str, str]:
        """Returns the queue's tags.

        :raises ServiceError: as every method that asks SQS: if SQS refuses, or does not answer in time.
        """
        client, url = self._queue(intake, until)
        answer = self._ask("reading the tags", intake, until, lambda: client.list_queue_tags(QueueUrl=url))
        return dict(answer.get("Tags", {}))

    def state(self, intake: str, until: float) -> QueueState:
        """Returns what SQS says of the queue."""
        client, url = self._queue(intake, until)
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
            "RedrivePolicy",
        ]
        answer = self._ask(
            "reading the attributes",
            intake,
            until,
            lambda: client.get_queue_attributes(QueueUrl=url, AttributeNames=names),
        )
        found = answer.get("Attributes", {})
        redrive = json.loads(found.get("RedrivePolicy") or "{}")
        visible, hidden, delayed = (int(found.get(name, 0)) for name in names[:3])
        return QueueState(
            visible,
            hidden,
            delayed,
            max_receives=int(redrive["maxReceiveCount"]) if "maxReceiveCount" in redrive else None,
            dead_letters=str(redrive.get("deadLetterTargetArn", "")).rpartition(":")[2] or None,
        )

    def receive(
        self,
        intake: str,
        most: int,
        until: float,
        hidden: int = HIDDEN_SECONDS,
        enough: Callable[[Sequence[ReceivedMessage]], bool] = lambda _received: False,
    ) -> list[ReceivedMessage]:
        """Receives up to ``most`` messages, until there are no more, the time is up, or there are enough.

        If SQS fails after some messages were received, these are returned, and no error is raised.

        :param hidden: for how many seconds each message is hidden from other receivers.
        :param enough: called with the messages received so far; returns whether these are enough.
        """
        client, url = self._queue(intake, until)
        received: list[ReceivedMessage] = []
        while len(received) < most and not enough(received) and until - time.monotonic() >= LEAST_SECONDS:
            asked = time.time()
            try:
                answer = self._ask(
                    "receiving",
                    intake,
                    until,
                    lambda: client.receive_message(
                        QueueUrl=url,
                        MaxNumberOfMessages=min(BATCH, most - len(received)),
                        VisibilityTimeout=hidden,
                        WaitTimeSeconds=1,
                        MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                    ),
                )
            except ServiceError:
                if received:  # these messages shall get their runs; the next tick reports the error if it persists
                    break
                raise
            messages = answer.get("Messages", [])
            for message in messages:
                attributes = message.get("Attributes", {})
                received.append(
                    ReceivedMessage(
                        message["MessageId"],
                        message["ReceiptHandle"],
                        message["Body"],
                        asked + hidden,
                        int(attributes.get("ApproximateReceiveCount", 1)),
                        int(attributes.get("SentTimestamp", 0)) / 1000,
                    )
                )
            if not messages:
                break
        return received

    def delete(self, intake: str, receipt_handles: Iterable[str], until: float) -> list[str]:
        """Deletes messages, and returns the receipt handles that SQS refused, or for which there was no time.

        Deleting a message twice is harmless.
        """
        client, url = self._queue(intake, until)
        return self._in_batches(
            "deleting",
            intake,
            receipt_handles,
            until,
            lambda entries: client.delete_message_batch(QueueUrl=url, Entries=entries),
        )

    def give_back(self, intake: str, receipt_handles: Iterable[str], until: float) -> list[str]:
        """Shows messages to other receivers again at once; returns the receipt handles of those that stay hidden."""
        return self._hidden_for(0, "giving messages back", intake, receipt_handles, until)

    def hide(
        self, intake: str, receipt_handles: Iterable[str], until: float, hidden: int = HIDDEN_SECONDS
    ) -> list[str]:
        """Hides received messages for so many seconds from now on; returns the receipt handles of those that SQS will
        show to other receivers again.

        SQS does not hide a message whose time was up already, or that has been hidden for 12 hours in all.
        """
        return self._hidden_for(hidden, "hiding messages", intake, receipt_handles, until)

    def _hidden_for(
        self, seconds: int, doing: str, intake: str, receipt_handles: Iterable[str], until: float
    ) -> list[str]:
        client, url = self._queue(intake, until)
        return self._in_batches(
            doing,
            intake,
            receipt_handles,
            until,
            lambda entries: client.change_message_visibility_batch(
                QueueUrl=url, Entries=[entry | {"VisibilityTimeout": seconds} for entry in entries]
            ),
        )

    def send(self, intake: str, body: str, until: float) -> str:
        """Sends a message to the intake's queue, and returns its id."""
        client, url = self._queue(intake, until)
        fifo = {"MessageGroupId": "ao", "MessageDeduplicationId": uuid.uuid4().hex} if url.endswith(".fifo") else {}
        answer = self._ask(
            "sending", intake, until, lambda: client.send_message(QueueUrl=url, MessageBody=body, **fifo)
        )
        return str(answer["MessageId"])

    def where(self, intake: str) -> str:
        """Returns the queue, region and profile of an intake, in words."""
        return f"queue {self.queues[intake]} ({self.connections[intake]})"

    def _in_batches(
        self, doing: str, intake: str, handles: Iterable[str], until: float, call: Callable[[list[dict[str, str]]], Any]
    ) -> list[str]:
        left = list(handles)
        refused: list[str] = []
        while left and time.monotonic() < until:
            batch = left[:BATCH]
            entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(batch)]
            answer = self._ask(doing, intake, until, lambda entries=entries: call(entries))  # type: ignore[misc]
            refused += [batch[int(entry["Id"])] for entry in answer.get("Failed", [])]
            left = left[BATCH:]
        return refused + left

    def _queue(self, intake: str, until: float) -> tuple[Any, str]:
        """Returns the client and the queue's URL. Both are kept, since a tick makes several calls."""
        if intake not in self._reached:
            doing = "finding the queue"
            with calls_explained(doing, self.where(intake)):
                client = make_client("sqs", self.connections[intake], read_seconds=CALL_SECONDS, attempts=2)
            try:
                answer = self._ask(doing, intake, until, lambda: client.get_queue_url(QueueName=self.queues[intake]))
            except ServiceError as error:
                if isinstance(error.__cause__, client.exceptions.QueueDoesNotExist):
                    raise ServiceError(doing, self.where(intake), "there is no such queue") from error
                raise
            self._reached[intake] = (client, answer["QueueUrl"])
        return self._reached[intake]

    def _ask(self, doing: str, intake: str, until: float, call: Callable[[], T]) -> T:
        with calls_explained(doing, self.where(intake)):
            return answered_within(min(CALL_SECONDS, until - time.monotonic()), call)
