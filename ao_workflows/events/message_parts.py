"""A message of many records, taken in parts: no tick asks for more runs than there is room for.

What belongs here: which of a message's events ask for a run of their own, and which of them a tick requests. What does
not: what a message means (``ao_workflows.intake.queue_rules``), and the file
(``ao_workflows.intake.messages_in_parts``).

If a message is taken in parts, its events are kept in a file in staging, from which later ticks continue. The message
stays in its queue, hidden, until all of its events have runs. So if the scratch disk or Dagster's database is lost, SQS
delivers the message again, and events that have a run then are not requested again.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.machine.times import in_order


@dataclass(frozen=True)
class WantedRun:
    """An event for which a run of a work or a part is wanted, by the name that this has on the scratch disk."""

    staged: str
    event: ObjectEvent


@dataclass(frozen=True)
class MessageInParts:
    """What one tick passes to the next about a message in parts: the first ``done`` of its events have runs.

    ``hidden_until`` is in seconds since 1970. It is 0, and ``receipt_handle`` is empty, if SQS shows the message to
    other receivers again, or soon will.
    """

    message_id: str
    done: int = 0
    receipt_handle: str = ""
    hidden_until: float = 0.0


@dataclass(frozen=True)
class MessagePart:
    """The part of a message that a tick takes.

    ``missing`` has the events without a run, by their identities. The first ``done`` of the message's events have runs.
    ``whole`` says that no event remains for a later tick.
    """

    missing: Mapping[str, WantedRun]
    done: int
    whole: bool


def newest_of_each(wanted: Iterable[WantedRun]) -> list[WantedRun]:
    """Returns the events that need a run: of several events about one object, only the newest.

    A run downloads the object, so the run of the newest event does what the older ones ask for. Two events are about
    one object if bucket, key, version and ETag are the same. An event with neither version nor ETag needs its own run.
    """
    newest: dict[object, WantedRun] = {}
    for each in wanted:
        event = each.event
        known = event.version_id or event.etag
        same: object = (event.bucket, event.key, event.version_id, event.etag) if known else event.identity
        other = newest.get(same)
        if other is None or in_order(event.time) >= in_order(other.event.time):
            newest[same] = each
    return list(newest.values())


def next_part(
    wanted: Sequence[WantedRun],
    done: int,
    has_run: Callable[[str], bool],
    requested: Container[str],
    room: int,
    in_time: Callable[[], bool],
) -> MessagePart:
    """Returns the next part of a message: as many of its events as there is room for.

    The search for an event's run takes time, so the part also ends when time is up.

    :param wanted: the message's events, of which the first ``done`` have runs.
    :param has_run: returns whether the event with this identity has a run.
    :param requested: the identities of the events that this tick has requested already; they take no room.
    :param room: how many more runs may be requested.
    :param in_time: returns false once the tick's time is up.
    """
    missing: dict[str, WantedRun] = {}
    taken = 0
    for number, each in enumerate(wanted[done:], done):
        key = each.event.identity
        if key not in requested:
            if not in_time():
                return MessagePart(missing, done, whole=False)
            if has_run(key):
                done = number + 1 if not missing else done
                continue
            # The time may be up by now, in which case ``has_run`` did not look.
            if taken >= room or not in_time():
                return MessagePart(missing, done, whole=False)
            taken += 1
        missing[key] = each
    return MessagePart(missing, done, whole=True)


@dataclass(frozen=True)
class PartsPlan:
    """What a tick does with the messages that earlier ticks began.

    ``requests`` has the events to request runs for, by their identities; ``parts`` the messages that are not done yet;
    ``ended`` those whose events all have runs.
    """

    requests: Mapping[str, WantedRun]
    parts: tuple[MessageInParts, ...]
    ended: tuple[MessageInParts, ...]


def plan_parts(
    kept: Mapping[str, Sequence[WantedRun]],
    parts: Iterable[MessageInParts],
    has_run: Callable[[str], bool],
    room: int,
    in_time: Callable[[], bool],
) -> PartsPlan:
    """Decides what a tick does with the messages that earlier ticks began, in their order: the first gets all the room
    it needs.

    A message whose events are not kept any more is forgotten, since SQS will deliver it again.

    :param kept: the events of each kept message, by the message's id.
    :param parts: how far each message is.
    :param room: how many more runs may be requested.
    """
    known = {each.message_id: each for each in parts}
    requests: dict[str, WantedRun] = {}
    stays: list[MessageInParts] = []
    ended: list[MessageInParts] = []
    for message_id, wanted in kept.items():
        before = known.get(message_id, MessageInParts(message_id))
        part = next_part(wanted, before.done, has_run, requests, room - len(requests), in_time)
        requests |= part.missing
        now = replace(before, done=part.done)
        (ended if part.whole and not part.missing else stays).append(now)
    return PartsPlan(requests, tuple(stays), tuple(ended))


def after_hiding(part: MessageInParts, asked: Container[str], refused: Container[str], until: float) -> MessageInParts:
    """Returns the message as it is after SQS was asked to hide it.

    :param asked: the receipt handles that SQS was asked to hide.
    :param refused: those among them that SQS did not hide.
    :param until: when the others become visible again, in seconds since 1970.
    """
    if part.receipt_handle not in asked:
        return part
    if part.receipt_handle in refused:
        return replace(part, receipt_handle="", hidden_until=0.0)
    return replace(part, hidden_until=until)
