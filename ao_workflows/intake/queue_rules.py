"""Intake's decisions: which messages become runs, which are set aside, which may be deleted now.

What belongs here: the protocol's decisions as pure functions, and the cursor that carries it from one tick to the
next. What does not: receiving, deleting and launching (``ao_workflows.defs.sensors.queues``).

SQS delivers at least once, and Dagster creates at most one run for a run key. So a message whose runs were
requested is deleted by a later tick, once the runs are there, and never by the tick that requests them: a daemon
that dies in between leaves the message in the queue.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase

from ao_workflows.errors import MessageError, RidError
from ao_workflows.events.message_parts import InParts, Wanted, newest_of_each, next_part
from ao_workflows.events.s3_events import ObjectEvent, parse_message
from ao_workflows.works.rids import rid_of_key


@dataclass(frozen=True)
class Received:
    """A message in flight: hidden from other receivers until ``hidden_until``.

    ``times`` is how often it has been received, this time included; ``sent`` is when it came into the queue. Times
    are in seconds since the epoch.
    """

    message_id: str
    receipt_handle: str
    body: str
    hidden_until: float
    times: int = 1
    sent: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What one message comes to: runs to request, and the reason why it cannot be used, if it cannot."""

    wanted: tuple[Wanted, ...] = ()
    rejected: str | None = None


def judge(body: str, bucket: str, events: Sequence[str], keys: Sequence[str]) -> Verdict:
    """What a message comes to at an intake of ``bucket`` that wants these ``events`` and ``keys`` (shell patterns).

    A message may be both: of several records, one that cannot be used, because it cannot be read, or because of its
    RID or its bucket, is the reason for a rejection, and the others still give their runs.
    """
    try:
        found = parse_message(body)
    except MessageError as error:
        return Verdict(rejected=error.reason)
    wanted: list[Wanted] = []
    reasons: list[str] = []
    for number, record in enumerate(found, 1):
        try:
            event = _readable(record)
            if _matches(event.name, events) and _matches(event.key, keys):
                wanted.append(Wanted(_rid_of(event, bucket), event))
        except (MessageError, RidError) as error:
            reasons.append(f"record {number} of {len(found)}: {error}" if len(found) > 1 else str(error))
    return Verdict(tuple(wanted), "; ".join(reasons) or None)


def _readable(record: ObjectEvent | MessageError) -> ObjectEvent:
    if isinstance(record, MessageError):
        raise record
    return record


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _rid_of(event: ObjectEvent, bucket: str) -> str:
    if event.bucket != bucket:
        raise MessageError(f"it names the bucket {event.bucket!r}, and the intake's is {bucket!r}")
    return rid_of_key(event.key)


@dataclass(frozen=True)
class Pending:
    """A message whose runs an earlier tick requested and whose deletion is still to come."""

    receipt_handle: str
    run_keys: tuple[str, ...]
    hidden_until: float


@dataclass(frozen=True)
class Cursor:
    """What one tick leaves to the next: messages whose runs are all requested, and messages in parts."""

    pending: tuple[Pending, ...] = ()
    parts: tuple[InParts, ...] = ()

    def dump(self) -> str:
        said = {"pending": [asdict(pending) for pending in self.pending]}
        if self.parts:
            said["parts"] = [asdict(part) for part in self.parts]
        return json.dumps(said, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        if not text:
            return cls()
        said = json.loads(text)
        return cls(
            tuple(
                Pending(entry["receipt_handle"], tuple(entry["run_keys"]), entry["hidden_until"])
                for entry in said["pending"]
            ),
            tuple(InParts(**entry) for entry in said.get("parts", ())),
        )


@dataclass(frozen=True)
class Acknowledgement:
    """The pending messages, sorted by what may be done with each now."""

    deletable: tuple[Pending, ...]
    waiting: tuple[Pending, ...]


def acknowledge(pending: Iterable[Pending], has_run: Callable[[str], bool], now: float) -> Acknowledgement:
    """Sorts pending messages: those whose runs are all there may be deleted; of the others, one that SQS shows to
    others again is forgotten here, since it will be delivered again.
    """
    deletable: list[Pending] = []
    waiting: list[Pending] = []
    for message in pending:
        if all(has_run(key) for key in message.run_keys):
            deletable.append(message)
        elif message.hidden_until > now:
            waiting.append(message)
    return Acknowledgement(tuple(deletable), tuple(waiting))


@dataclass(frozen=True)
class Taken:
    """A message that a tick dealt with. With no ``run_keys`` to wait for, and no ``rest``, it may be deleted now.

    ``rejected`` is why it must be kept before it is deleted, whenever that is. ``rest`` has all of its events where it
    is taken in parts, ``done`` of which, the first, have runs. So many records were ``passed_over``: others beside
    them tell of the same object, and are newer.
    """

    message: Received
    run_keys: tuple[str, ...]
    rejected: str | None
    rest: tuple[Wanted, ...] = ()
    done: int = 0
    passed_over: int = 0

    @property
    def pending(self) -> Pending:
        return Pending(self.message.receipt_handle, self.run_keys, self.message.hidden_until)

    @property
    def part(self) -> InParts:
        message = self.message
        return InParts(message.message_id, self.done, message.receipt_handle, message.hidden_until)


@dataclass(frozen=True)
class Plan:
    """What a tick does with what it received: each event's run is requested once; what is ``left`` goes back."""

    requests: tuple[Wanted, ...]
    taken: tuple[Taken, ...]
    left: tuple[Received, ...]


def plan(
    received: Sequence[Received],
    verdict_on: Callable[[str], Verdict],
    has_run: Callable[[str], bool],
    most: int,
    in_time: Callable[[], bool] = lambda: True,
) -> Plan:
    """Requests ``most`` runs at most; a message that does not fit is taken in parts, and none after the time is up.

    One that came this far is not given back for want of room: each delivery brings it nearer to the dead letters. An
    event that has its run already, such as one that SQS delivers again or that came by another intake's name, asks
    for none.
    """
    requests: dict[str, Wanted] = {}
    taken: list[Taken] = []
    for number, message in enumerate(received):
        if not in_time():
            return Plan(tuple(requests.values()), tuple(taken), tuple(received[number:]))
        verdict = verdict_on(message.body)
        wanted = newest_of_each(verdict.wanted)
        part = next_part(wanted, 0, has_run, requests, most - len(requests), in_time)
        if not (part.whole or part.done or part.missing or in_time()):
            return Plan(tuple(requests.values()), tuple(taken), tuple(received[number:]))
        requests |= part.missing
        rest = () if part.whole else tuple(wanted)
        passed_over = len(verdict.wanted) - len(wanted)
        taken.append(Taken(message, tuple(part.missing), verdict.rejected, rest, part.done, passed_over))
    return Plan(tuple(requests.values()), tuple(taken), ())


def received_again(parts: Sequence[InParts], received: Iterable[Received]) -> tuple[list[InParts], list[Received]]:
    """The messages in parts, with the receipts of those that SQS has delivered again; and what was received else."""
    here = {message.message_id: message for message in received}
    again = [
        replace(part, receipt_handle=message.receipt_handle, hidden_until=message.hidden_until)
        if (message := here.pop(part.message_id, None))
        else part
        for part in parts
    ]
    return again, list(here.values())
