"""Queues, against moto's server: what is received is hidden, what is deleted is gone, and errors say where."""

from __future__ import annotations

import pytest

from ao_workflows.domain.errors import ServiceError
from ao_workflows.resources.aws import AwsConnection
from ao_workflows.resources.sqs import Sqs
from ao_workflows_tests.resources.moto_server import PROFILE, REGION, Aws

SECONDS = 30.0
"""Longer than any test: what ends a reception here is what it received."""


def reach(aws: Aws, queue: str, connection: AwsConnection | None = None) -> Sqs:
    return Sqs(connections={"fpl": connection or aws.connection}, queues={"fpl": queue})


def send(aws: Aws, queue: str, count: int) -> None:
    url = aws.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    for start in range(0, count, 10):
        entries = [{"Id": str(n), "MessageBody": f"body {n}"} for n in range(start, min(start + 10, count))]
        aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)


def waiting(aws: Aws, queue: str) -> tuple[int, int]:
    """The messages that others see, and those that are hidden."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = aws.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def test_no_more_is_received_than_asked_for(aws: Aws) -> None:
    """What is received beyond the run queue's room is hidden from everybody for nothing."""
    queue = aws.make_queue()
    send(aws, queue, 25)
    received = list(reach(aws, queue).receive("fpl", 12, SECONDS))
    assert len({message.message_id for message in received}) == 12
    assert waiting(aws, queue) == (13, 12)
    assert {message.body for message in received} <= {f"body {number}" for number in range(25)}


def test_an_empty_queue_ends_the_reception(aws: Aws) -> None:
    """A tick that waits for more keeps the next one waiting."""
    queue = aws.make_queue()
    send(aws, queue, 3)
    sqs = reach(aws, queue)
    assert len(list(sqs.receive("fpl", 100, SECONDS))) == 3
    assert list(sqs.receive("fpl", 100, SECONDS)) == []
    assert list(sqs.receive("fpl", 0, SECONDS)) == list(sqs.receive("fpl", 5, 0.0)) == []


def test_what_is_deleted_is_gone_and_may_be_deleted_again(aws: Aws) -> None:
    """A tick that dies between deleting and storing its cursor deletes the same again."""
    queue = aws.make_queue()
    send(aws, queue, 13)
    sqs = reach(aws, queue)
    handles = [message.receipt_handle for message in sqs.receive("fpl", 12, SECONDS)]
    assert sqs.delete("fpl", handles) == []
    assert waiting(aws, queue) == (1, 0)
    sqs.delete("fpl", handles)
    assert sqs.delete("fpl", []) == []
    assert waiting(aws, queue) == (1, 0)


def test_the_queues_tags_are_read(aws: Aws) -> None:
    """The tag is what keeps another site from eating production's queue."""
    assert reach(aws, aws.make_queue(environment="prod")).tags("fpl") == {"environment": "prod"}
    assert reach(aws, aws.make_queue()).tags("fpl") == {}


def test_a_queue_that_is_not_there_is_told_with_region_and_profile(aws: Aws) -> None:
    """Each of the three may be the wrong one."""
    for call in (lambda sqs: sqs.tags("fpl"), lambda sqs: list(sqs.receive("fpl", 1, SECONDS))):
        with pytest.raises(ServiceError) as raised:
            call(reach(aws, "NoSuchQueue"))
        for part in ("there is no such queue", "NoSuchQueue", REGION, PROFILE):
            assert part in str(raised.value)


def test_a_queue_that_vanishes_is_told_too(aws: Aws) -> None:
    """The queue's address is kept between calls; the queue itself may be deleted meanwhile."""
    queue = aws.make_queue()
    sqs = reach(aws, queue)
    sqs.tags("fpl")
    aws.sqs.delete_queue(QueueUrl=aws.sqs.get_queue_url(QueueName=queue)["QueueUrl"])
    with pytest.raises(ServiceError, match=f"receiving failed at queue {queue} "):
        list(sqs.receive("fpl", 1, SECONDS))


def test_a_profile_that_is_not_there_is_told(aws: Aws) -> None:
    """A secret that was not mounted must be found by its message."""
    connection = aws.connection.model_copy(update={"profile": "nobody"})
    with pytest.raises(ServiceError, match=r"queue q \(region .*, profile nobody.*nobody"):
        reach(aws, "q", connection).tags("fpl")
