"""Queues, against moto's server: what is received is hidden, what is deleted is gone, and errors say where."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from ao_workflows.aws.connections import AwsConnection
from ao_workflows.errors import ServiceError
from ao_workflows.intake.sqs import QueueState, Sqs
from ao_workflows_tests.support.moto_server import PROFILE, REGION, Aws


def soon() -> float:
    """Longer than any test: what ends a reception here is what it received."""
    return time.monotonic() + 60


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
    received = reach(aws, queue).receive("fpl", 12, soon())
    assert len({message.message_id for message in received}) == 12
    assert waiting(aws, queue) == (13, 12)
    assert {message.body for message in received} <= {f"body {number}" for number in range(25)}


def test_an_empty_queue_ends_the_reception(aws: Aws) -> None:
    """A tick that waits for more keeps the next one waiting."""
    queue = aws.make_queue()
    send(aws, queue, 3)
    sqs = reach(aws, queue)
    assert len(sqs.receive("fpl", 100, soon())) == 3
    assert sqs.receive("fpl", 100, soon()) == []
    assert sqs.receive("fpl", 0, soon()) == sqs.receive("fpl", 5, 0.0) == []


def test_what_is_deleted_is_gone_and_may_be_deleted_again(aws: Aws) -> None:
    """A tick that dies between deleting and storing its cursor deletes the same again."""
    queue = aws.make_queue()
    send(aws, queue, 13)
    sqs = reach(aws, queue)
    handles = [message.receipt_handle for message in sqs.receive("fpl", 12, soon())]
    assert sqs.delete("fpl", handles, soon()) == []
    assert waiting(aws, queue) == (1, 0)
    sqs.delete("fpl", handles, soon())
    assert sqs.delete("fpl", [], soon()) == []
    assert waiting(aws, queue) == (1, 0)


def test_the_queues_tags_are_read(aws: Aws) -> None:
    """The tag is what keeps another site from eating production's queue."""
    assert reach(aws, aws.make_queue(environment="prod")).tags("fpl", soon()) == {"environment": "prod"}
    assert reach(aws, aws.make_queue()).tags("fpl", soon()) == {}


def test_a_queue_that_is_not_there_is_told_with_region_and_profile(aws: Aws) -> None:
    """Each of the three may be the wrong one."""
    for call in (lambda sqs: sqs.tags("fpl", soon()), lambda sqs: sqs.receive("fpl", 1, soon())):
        with pytest.raises(ServiceError) as raised:
            call(reach(aws, "NoSuchQueue"))
        for part in ("there is no such queue", "NoSuchQueue", REGION, PROFILE):
            assert part in str(raised.value)


def test_a_queue_that_vanishes_is_told_too(aws: Aws) -> None:
    """The queue's address is kept between calls; the queue itself may be deleted meanwhile."""
    queue = aws.make_queue()
    sqs = reach(aws, queue)
    sqs.tags("fpl", soon())
    aws.sqs.delete_queue(QueueUrl=aws.sqs.get_queue_url(QueueName=queue)["QueueUrl"])
    with pytest.raises(ServiceError, match=f"receiving failed at queue {queue} "):
        sqs.receive("fpl", 1, soon())


def test_a_profile_that_is_not_there_is_told(aws: Aws) -> None:
    """A secret that was not mounted must be found by its message."""
    connection = aws.connection.model_copy(update={"profile": "nobody"})
    with pytest.raises(ServiceError, match=r"queue q \(region .*, profile nobody.*nobody"):
        reach(aws, "q", connection).tags("fpl", soon())


def test_what_is_given_back_is_to_be_had_at_once(aws: Aws) -> None:
    """A look at the queue must not keep the sensor waiting."""
    queue = aws.make_queue()
    send(aws, queue, 13)
    sqs = reach(aws, queue)
    handles = [message.receipt_handle for message in sqs.receive("fpl", 13, soon())]
    assert sqs.give_back("fpl", handles, soon()) == []
    assert waiting(aws, queue) == (13, 0)
    assert [message.times for message in sqs.receive("fpl", 13, soon())] == [2] * 13


def test_a_message_that_is_hidden_anew_stays_hidden_and_a_stale_receipt_is_told(aws: Aws) -> None:
    """A message in parts that its hiding time ran out for is delivered again, and after some times a dead letter."""
    queue = aws.make_queue()
    send(aws, queue, 1)
    sqs = reach(aws, queue)
    (message,) = sqs.receive("fpl", 1, soon(), hidden=2)
    assert sqs.hide("fpl", [message.receipt_handle, "of an earlier delivery"], soon()) == ["of an earlier delivery"]
    time.sleep(2.5)
    assert waiting(aws, queue) == (0, 1)
    assert sqs.hide("fpl", [message.receipt_handle], 0.0) == [message.receipt_handle], "there was no time"


def test_a_reception_ends_where_what_is_here_is_enough(aws: Aws) -> None:
    """Ten messages of a thousand records each fill the run queue: a hundred of them would be hidden for nothing."""
    queue = aws.make_queue()
    send(aws, queue, 25)
    received = reach(aws, queue).receive("fpl", 25, soon(), enough=lambda here: len(here) >= 10)
    assert len(received) < 25
    assert waiting(aws, queue)[0] > 0


def test_what_there_is_no_time_for_is_told(aws: Aws) -> None:
    """Taken for deleted, it would be forgotten, and come back."""
    queue = aws.make_queue()
    sqs = reach(aws, queue)
    sqs.tags("fpl", soon())
    assert sqs.delete("fpl", ["a", "b"], time.monotonic()) == ["a", "b"]


def test_the_state_of_a_queue_names_where_its_dead_letters_go(aws: Aws) -> None:
    """Whoever looks too often sends messages there."""
    queue, dead = aws.make_queue(), aws.make_queue()
    url = aws.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = aws.sqs.get_queue_attributes(
        QueueUrl=aws.sqs.get_queue_url(QueueName=dead)["QueueUrl"], AttributeNames=["QueueArn"]
    )
    redrive = {"deadLetterTargetArn": found["Attributes"]["QueueArn"], "maxReceiveCount": 5}
    send(aws, queue, 3)
    assert reach(aws, queue).state("fpl", soon()) == QueueState(3, 0, 0, None, None)
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(redrive)})
    assert reach(aws, queue).state("fpl", soon()) == QueueState(3, 0, 0, 5, dead)


def test_a_message_can_be_sent_to_a_queue_of_either_kind(aws: Aws) -> None:
    """One that was kept goes back to where it came from."""
    ordered = f"{aws.make_queue()}.fifo"
    aws.sqs.create_queue(QueueName=ordered, Attributes={"FifoQueue": "true"})
    for queue in (aws.make_queue(), ordered):
        sqs = reach(aws, queue)
        assert sqs.send("fpl", "body", soon())
        assert [message.body for message in sqs.receive("fpl", 1, soon())] == ["body"]


@pytest.fixture
def drip() -> Iterator[str]:
    """A server that answers byte by byte, and never comes to an end."""
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            try:
                while not ended.wait(0.2):
                    connection.sendall(b"x")
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection = server.accept()[0]
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    ended.set()
    server.close()


def test_a_queue_that_answers_byte_by_byte_is_given_up(aws: Aws, drip: str) -> None:
    """The time-outs of boto3 are for each read: such a call would never end."""
    sqs = reach(aws, "q", aws.connection.model_copy(update={"endpoint_url": drip}))
    with pytest.raises(ServiceError, match=r"finding the queue failed at queue q .*no answer within"):
        sqs.tags("fpl", time.monotonic() + 0.5)
