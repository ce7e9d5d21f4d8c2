"""A message of many records, taken in parts: no tick asks for more runs than there is room for.

What belongs here: which of a message's events ask for a run of their own, and which of them a tick requests. What does
not: what a message means (``ao_workflows.intake.queue_rules``), and the file
(``ao_workflows.intake.messages_in_parts``).

A message that is taken in parts has its events in a file of staging, which is what the ticks go on with. It stays in
its queue, hidden, until all of its events have runs: whatever becomes of the scratch disk or of Dagster's database, SQS
delivers it again, and what has a run then is not asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.machine.times import in_order


@dataclass(frozen=True)
class Wanted:
    """An event that asks for a run of the work ``rid``."""

    rid: str
    event: ObjectEvent


@dataclass(frozen=True)
class InParts:
    """What one tick leaves to the next of a message in parts: the first ``done`` of its events have runs.

    ``receipt_handle`` is empty, and ``hidden_until`` 0, where SQS shows the message to others again, or will.
    """

    message_id: str
    done: int = 0
    receipt_handle: str = ""
    hidden_until: float = 0.0


@dataclass(frozen=True)
class Part:
    """What a tick takes of a message: the events that have no run, by their identities. ``done`` of the message's
    events, the first, have their runs. ``whole`` says that nothing of it is left to a later tick.
    """

    missing: Mapping[str, Wanted]
    done: int
    whole: bool


def newest_of_each(wanted: Iterable[Wanted]) -> list[Wanted]:
    """The events among these that ask for a run: of several that tell of one object the newest.

    A run downloads the object, and there is one object where bucket, key, version and ETag are the same: what the
    older ones ask for, the newest one's run does. Without version and ETag nobody can say, and each asks for its own.
    """
    newest: dict[object, Wanted] = {}
    for each in wanted:
        event = each.event
        known = event.version_id or event.etag
        same: object = (event.bucket, event.key, event.version_id, event.etag) if known else event.identity
        other = newest.get(same)
        if other is None or in_order(event.time) >= in_order(other.event.time):
            newest[same] = each
    return list(newest.values())


def next_part(
    wanted: Sequence[Wanted],
    done: int,
    has_run: Callable[[str], bool],
    requested: Container[str],
    room: int,
    in_time: Callable[[], bool],
) -> Part:
    """What to take of a message now, of whose events the first ``done`` have runs: as much as there is room for.

    Events that were ``requested`` already by this tick take no room. Each look for a run takes time, so it ends also
    where that is up.
    """
    missing: dict[str, Wanted] = {}
    taken = 0
    for number, each in enumerate(wanted[done:], done):
        key = each.event.identity
        if key not in requested:
            if not in_time():
                return Part(missing, done, whole=False)
            if has_run(key):
                done = number + 1 if not missing else done
                continue
            # Out of time, nobody looked.
            if taken >= room or not in_time():
                return Part(missing, done, whole=False)
            taken += 1
        missing[key] = each
    return Part(missing, done, whole=True)


@dataclass(frozen=True)
class GoneOn:
    """What a tick does with the messages that earlier ones took in parts: the ``requests`` by their events' identities,
    what stays, and what has all its runs.
    """

    requests: Mapping[str, Wanted]
    parts: tuple[InParts, ...]
    ended: tuple[InParts, ...]


def go_on(
    kept: Mapping[str, Sequence[Wanted]],
    parts: Iterable[InParts],
    has_run: Callable[[str], bool],
    room: int,
    in_time: Callable[[], bool],
) -> GoneOn:
    """Goes on with the ``kept`` messages, by their ids, in their order: the first takes the room as long as it can.

    One of which nothing is kept any more is forgotten: SQS delivers it again.
    """
    known = {each.message_id: each for each in parts}
    requests: dict[str, Wanted] = {}
    stays: list[InParts] = []
    ended: list[InParts] = []
    for message_id, wanted in kept.items():
        before = known.get(message_id, InParts(message_id))
        part = next_part(wanted, before.done, has_run, requests, room - len(requests), in_time)
        requests |= part.missing
        now = replace(before, done=part.done)
        (ended if part.whole and not part.missing else stays).append(now)
    return GoneOn(requests, tuple(stays), tuple(ended))


def hidden(part: InParts, asked: Container[str], refused: Container[str], until: float) -> InParts:
    """The same after SQS was ``asked`` to hide messages, by their receipts, ``until`` then, and ``refused`` some."""
    if part.receipt_handle not in asked:
        return part
    if part.receipt_handle in refused:
        return replace(part, receipt_handle="", hidden_until=0.0)
    return replace(part, hidden_until=until)
