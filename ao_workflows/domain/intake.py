"""Intake's decisions: which messages become runs, which are set aside, which may be deleted now.

What belongs here: the protocol's decisions as pure functions, and the cursor that carries it from one tick to the
next. What does not: receiving, deleting and launching (``ao_workflows.sensors``).

SQS delivers at least once, and Dagster creates at most one run for a run key. So a message whose runs were
requested is deleted by a later tick, once the runs are there, and never by the tick that requests them: a daemon
that dies in between leaves the message in the queue.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

from ao_workflows.domain.errors import MessageError, RidError
from ao_workflows.domain.events import ObjectEvent, parse_message
from ao_workflows.domain.works import rid_of_key


@dataclass(frozen=True)
class Received:
    """A message in flight: hidden from other receivers until ``hidden_until`` (seconds since the epoch)."""

    message_id: str
    receipt_handle: str
    body: str
    hidden_until: float


@dataclass(frozen=True)
class Wanted:
    """An event that asks for a run of the work ``rid``."""

    rid: str
    event: ObjectEvent


@dataclass(frozen=True)
class Verdict:
    """What one message comes to: runs to request, and the reason why it cannot be used, if it cannot."""

    wanted: tuple[Wanted, ...] = ()
    rejected: str | None = None


def judge(body: str, bucket: str, events: Sequence[str], keys: Sequence[str]) -> Verdict:
    """What a message comes to at an intake of ``bucket`` that wants these ``events`` and ``keys`` (shell patterns).

    A message with an event that is well formed and cannot be used, because of its RID or its bucket, gives runs for
    its other events, and a rejection. One with a record that cannot be read is rejected whole.
    """
    try:
        found = parse_message(body)
    except MessageError as error:
        return Verdict(rejected=error.reason)
    wanted: list[Wanted] = []
    reasons: list[str] = []
    for event in found:
        if any(fnmatchcase(event.name, pattern) for pattern in events) and any(
            fnmatchcase(event.key, pattern) for pattern in keys
        ):
            if event.bucket != bucket:
                reasons.append(f"it names the bucket {event.bucket!r}, and the intake's is {bucket!r}")
                continue
            try:
                wanted.append(Wanted(rid_of_key(event.key), event))
            except RidError as error:
                reasons.append(str(error))
    return Verdict(tuple(wanted), "; ".join(reasons) or None)


@dataclass(frozen=True)
class Pending:
    """A message whose runs an earlier tick requested and whose deletion is still to come."""

    receipt_handle: str
    run_keys: tuple[str, ...]
    hidden_until: float


@dataclass(frozen=True)
class Cursor:
    """What one tick leaves to the next."""

    pending: tuple[Pending, ...] = ()

    def dump(self) -> str:
        return json.dumps({"pending": [asdict(pending) for pending in self.pending]}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        if not text:
            return cls()
        return cls(
            tuple(
                Pending(entry["receipt_handle"], tuple(entry["run_keys"]), entry["hidden_until"])
                for entry in json.loads(text)["pending"]
            )
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
