"""A queue intake's decisions: which messages become runs, which are set aside, which may be deleted now.

What belongs here: the protocol's decisions as pure functions, and the cursor that carries its state from one tick to
the next. What does not: receiving, deleting and launching (``ao_workflows.defs.sensors.queues``).

SQS delivers at least once, and Dagster creates at most one run for a run key. So a message whose runs were requested is
deleted by a later tick, once the runs exist, and never by the tick that requests them: if the daemon dies in between,
the message is still in the queue.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase

from ao_workflows.errors import MessageError, RidError
from ao_workflows.events.message_parts import MessageInParts, WantedRun, newest_of_each, next_part
from ao_workflows.events.s3_events import ObjectEvent, parse_message
from ao_workflows.works.parts import Layout, Part, part_of_key


@dataclass(frozen=True)
class ReceivedMessage:
    """A message that was received, and is hidden from other receivers until ``hidden_until``.

    ``times`` is how often it has been received, this time included; ``sent`` is when it was sent to the queue. Times
    are in seconds since 1970.
    """

    message_id: str
    receipt_handle: str
    body: str
    hidden_until: float
    times: int = 1
    sent: float = 0.0


@dataclass(frozen=True)
class Selection:
    """What one message contains for an intake: the runs that are wanted, and in ``rejected`` why the message cannot be
    used; None if it can.
    """

    wanted: tuple[WantedRun, ...] = ()
    rejected: str | None = None


def select_events(
    body: str, bucket: str, events: Sequence[str], keys: Sequence[str], layout: Layout = "either"
) -> Selection:
    """Returns the runs for which an intake's message asks.

    A message may have several records. If one of them cannot be used, because it cannot be read, or because of its RID
    or its bucket, the message is rejected, and the other records still get their runs.

    :param bucket: the intake's bucket.
    :param events: shell patterns, one of which the event's name must match.
    :param keys: shell patterns, one of which the object's key must match.
    :param layout: whether the intake's zips are works or parts of works.
    """
    try:
        found = parse_message(body)
    except MessageError as error:
        return Selection(rejected=error.reason)
    wanted: list[WantedRun] = []
    reasons: list[str] = []
    for number, record in enumerate(found, 1):
        try:
            event = _readable(record)
            if _matches(event.name, events) and _matches(event.key, keys):
                wanted.append(WantedRun(_part_of(event, bucket, layout).staged, event))
        except (MessageError, RidError) as error:
            reasons.append(f"record {number} of {len(found)}: {error}" if len(found) > 1 else str(error))
    return Selection(tuple(wanted), "; ".join(reasons) or None)


def _readable(record: ObjectEvent | MessageError) -> ObjectEvent:
    if isinstance(record, MessageError):
        raise record
    return record


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _part_of(event: ObjectEvent, bucket: str, layout: Layout) -> Part:
    if event.bucket != bucket:
        raise MessageError(f"it names the bucket {event.bucket!r}, and the intake's is {bucket!r}")
    return part_of_key(event.key, layout)


@dataclass(frozen=True)
class PendingMessage:
    """A message whose runs an earlier tick requested, and that has not been deleted yet.

    ``hidden_until`` is in seconds since 1970.
    """

    receipt_handle: str
    run_keys: tuple[str, ...]
    hidden_until: float


@dataclass(frozen=True)
class QueueCursor:
    """What one tick passes to the next: the messages whose runs are all requested, and the messages in parts."""

    pending: tuple[PendingMessage, ...] = ()
    parts: tuple[MessageInParts, ...] = ()

    def dump(self) -> str:
        """Returns the cursor as text."""
        said = {"pending": [asdict(pending) for pending in self.pending]}
        if self.parts:
            said["parts"] = [asdict(part) for part in self.parts]
        return json.dumps(said, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | None) -> QueueCursor:
        """Reads a cursor from its text; returns an empty cursor if there is no text."""
        if not text:
            return cls()
        said = json.loads(text)
        return cls(
            tuple(
                PendingMessage(entry["receipt_handle"], tuple(entry["run_keys"]), entry["hidden_until"])
                for entry in said["pending"]
            ),
            tuple(MessageInParts(**entry) for entry in said.get("parts", ())),
        )


@dataclass(frozen=True)
class Acknowledgement:
    """The pending messages: those that may be deleted now, and those that wait for their runs."""

    deletable: tuple[PendingMessage, ...]
    waiting: tuple[PendingMessage, ...]


def acknowledge(pending: Iterable[PendingMessage], has_run: Callable[[str], bool], now: float) -> Acknowledgement:
    """Decides which pending messages may be deleted: those whose runs all exist.

    Of the others, a message that SQS shows to other receivers again is dropped here, since it will be delivered again.

    :param has_run: returns whether there is a run for a run key.
    :param now: in seconds since 1970.
    """
    deletable: list[PendingMessage] = []
    waiting: list[PendingMessage] = []
    for message in pending:
        if all(has_run(key) for key in message.run_keys):
            deletable.append(message)
        elif message.hidden_until > now:
            waiting.append(message)
    return Acknowledgement(tuple(deletable), tuple(waiting))


@dataclass(frozen=True)
class HandledMessage:
    """A message that a tick dealt with. If it has no ``run_keys`` to wait for, and no ``rest``, it may be deleted now.

    ``rejected`` is why the message must be kept on disk before it is deleted; None if it need not be. ``rest`` has all
    of its events if it is taken in parts; the first ``done`` of them have runs. ``passed_over`` is the number of
    records that need no run, since another record about the same object is newer.
    """

    message: ReceivedMessage
    run_keys: tuple[str, ...]
    rejected: str | None
    rest: tuple[WantedRun, ...] = ()
    done: int = 0
    passed_over: int = 0

    @property
    def pending(self) -> PendingMessage:
        """The same message as one whose runs were requested."""
        return PendingMessage(self.message.receipt_handle, self.run_keys, self.message.hidden_until)

    @property
    def part(self) -> MessageInParts:
        """The same message as one that is taken in parts."""
        message = self.message
        return MessageInParts(message.message_id, self.done, message.receipt_handle, message.hidden_until)


@dataclass(frozen=True)
class TickPlan:
    """What a tick does with the messages that it received.

    ``requests`` has each event for which a run is requested, once. ``taken`` has the messages that the tick deals with;
    those that are ``given_back`` are made visible to other receivers again.
    """

    requests: tuple[WantedRun, ...]
    taken: tuple[HandledMessage, ...]
    given_back: tuple[ReceivedMessage, ...]


def plan_tick(
    received: Sequence[ReceivedMessage],
    select: Callable[[str], Selection],
    has_run: Callable[[str], bool],
    most: int,
    in_time: Callable[[], bool] = lambda: True,
) -> TickPlan:
    """Decides what a tick does with the messages that it received.

    A message with more events than there is room for is taken in parts, not given back, since each delivery brings it
    nearer to the dead letters. Once the time is up, the remaining messages are given back. For an event that has a run
    already, such as one that SQS delivers again or that came by another intake's name, no run is requested.

    :param select: returns what a message's body contains for the intake.
    :param has_run: returns whether there is a run for a run key.
    :param most: how many runs may be requested.
    :param in_time: returns false once the tick's time is up.
    """
    requests: dict[str, WantedRun] = {}
    taken: list[HandledMessage] = []
    for number, message in enumerate(received):
        if not in_time():
            return TickPlan(tuple(requests.values()), tuple(taken), tuple(received[number:]))
        selection = select(message.body)
        wanted = newest_of_each(selection.wanted)
        part = next_part(wanted, 0, has_run, requests, most - len(requests), in_time)
        if not (part.whole or part.done or part.missing or in_time()):
            return TickPlan(tuple(requests.values()), tuple(taken), tuple(received[number:]))
        requests |= part.missing
        rest = () if part.whole else tuple(wanted)
        passed_over = len(selection.wanted) - len(wanted)
        taken.append(HandledMessage(message, tuple(part.missing), selection.rejected, rest, part.done, passed_over))
    return TickPlan(tuple(requests.values()), tuple(taken), ())


def received_again(
    parts: Sequence[MessageInParts], received: Iterable[ReceivedMessage]
) -> tuple[list[MessageInParts], list[ReceivedMessage]]:
    """Separates the messages in parts from the other messages.

    Returns the messages in parts, with the new receipt handles of those that were received again, and the other
    messages that were received.
    """
    here = {message.message_id: message for message in received}
    again = [
        replace(part, receipt_handle=message.receipt_handle, hidden_until=message.hidden_until)
        if (message := here.pop(part.message_id, None))
        else part
        for part in parts
    ]
    return again, list(here.values())
