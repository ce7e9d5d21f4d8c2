"""Events that were taken from a queue and whose run has not begun: each in a file of its own, until its run stores it.

What belongs here: writing, finding and removing those files. What does not: whether Dagster has lost an event's run
(``ao_workflows.status.evidence``).

A message is deleted once Dagster has its runs. If Dagster's database is put back to an earlier state after that, these
files are the only trace of an event whose run had not begun.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from ao_workflows.errors import StagingError
from ao_workflows.events.dropped_files import WorkEvent
from ao_workflows.events.message_parts import WantedRun
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.machine.files import now, write_whole
from ao_workflows.machine.times import in_order, moment
from ao_workflows.staging.staging import Staging
from ao_workflows.status.evidence import NotedEvent
from ao_workflows.works.stages import Stage

_AT_ONCE = 8
"""How many files are written at once: several flushes cost little more than one, because a disk combines them."""

_TRIES = 3

_MANY = 100_000

_LOOKED_AT = 5
"""How many works ``forget_done`` looks at each time."""

Failures = Mapping[str, StagingError]


def check(staging: Staging, intake: str) -> None:
    """Writes a file where the notes are, to see whether that is possible, and removes it again.

    It is called before messages are received: an event that cannot be noted had better stay in its queue.

    :raises StagingError: if no file can be written.
    """
    path = staging.layout.events("any").parent / f".{intake}"
    write_whole(path, now(), flush=True)
    path.unlink(missing_ok=True)


def note(staging: Staging, intake: str, wanted: Collection[WantedRun]) -> Failures:
    """Notes events before their runs are requested. The notes are then on the disk, not only in memory.

    Returns the errors of the events that could not be noted, by the events' identities: their messages must not be
    deleted.
    """
    failures: dict[str, StagingError] = {}

    def write(each: WantedRun) -> None:
        path = _path(staging, each.staged, each.event)
        # Noted before: the event is requested again because its run has not been made yet.
        if path.exists():
            return
        said = {"intake": intake, "rid": each.staged, "at": now(), "event": asdict(each.event)}
        for left in reversed(range(_TRIES)):
            try:
                write_whole(path, json.dumps(said, indent=1, ensure_ascii=False), flush=True)
            except StagingError as error:
                # Another run of the work may just have removed its empty folder.
                if left and isinstance(error.__cause__, FileNotFoundError):
                    continue
                failures[each.event.identity] = error
            return

    if wanted:
        with ThreadPoolExecutor(_AT_ONCE, "note") as pool:
            list(pool.map(write, wanted))
        # The works' folders may be new too.
        with suppress(OSError):
            handle = os.open(staging.layout.events("any").parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    return failures


def forget(staging: Staging, rid: str, stored: WorkEvent) -> None:
    """Removes the notes of the work's events that are not later than the ``stored`` one.

    A note that cannot be removed does no harm: wherever notes are read, they are compared with the stored event.
    """
    with suppress(StagingError, OSError):
        for path, noted in _read_all(staging, rid):
            if not _is_later(noted.event, stored):
                path.unlink(missing_ok=True)
        staging.layout.events(rid).rmdir()


def forget_one(staging: Staging, rid: str, event: ObjectEvent) -> None:
    """Removes the note of one event: it waits for a person's decision, and is kept in a ``Held`` receipt."""
    with suppress(OSError):
        _path(staging, rid, event).unlink(missing_ok=True)
        staging.layout.events(rid).rmdir()


def forget_done(staging: Staging, done_since: Callable[[str, datetime], Iterable[str]]) -> None:
    """Removes notes of events that were done by runs on another host, which has a scratch disk of its own and so could
    not remove them.

    Only a few works are looked at each time. They are chosen at random, so that a work whose notes cannot be removed
    does not keep others from being looked at.

    :param done_since: called with a work's RID and a moment; returns the times of the work's events that were done by
        runs made since then.
    """
    with suppress(StagingError):
        there = works(staging, _MANY)
        for rid in random.sample(there, min(_LOOKED_AT, len(there))):
            with suppress(StagingError, OSError):
                for path, noted in _read_all(staging, rid):
                    if any(in_order(at) >= in_order(noted.event.time) for at in done_since(rid, noted.at)):
                        path.unlink(missing_ok=True)
                staging.layout.events(rid).rmdir()


def works(staging: Staging, most: int) -> list[str]:
    """Returns the works and parts that have notes, by their names on the disk, those whose notes changed last first.

    :param most: how many works at most.
    :raises StagingError: if the folder of the notes cannot be read.
    """
    folder = staging.layout.events("any").parent
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    with suppress(FileNotFoundError):
                        found.append((entry.stat().st_mtime_ns, entry.name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StagingError(folder, f"cannot be read: {error.strerror}") from error
    return [name for _, name in sorted(found, reverse=True)[:most]]


def last_noted(
    staging: Staging, rid: str, stored: WorkEvent | None, before: datetime | None = None
) -> NotedEvent | None:
    """Returns the last of the work's noted events, by the events' times; None if there is none.

    :param stored: only events later than this one count.
    :param before: only events that were noted before this moment count.
    :raises StagingError: if a note cannot be read.
    """
    found = [
        noted
        for _, noted in _read_all(staging, rid)
        if (stored is None or _is_later(noted.event, stored)) and (before is None or noted.at < before)
    ]
    return max(found, key=lambda noted: in_order(noted.event.time), default=None)


def later_config(noted: NotedEvent | None, config: dict[str, Any] | None) -> dict[str, Any] | None:
    """Returns the run config of the later of two events: the ``noted`` one, and the one in a run's ``config``.

    Returns None if there is neither.
    """
    if noted is None:
        return config
    stage = Stage.RESTORED_MESSAGE.value
    if config and in_order(config["ops"][stage]["config"].get("time")) >= in_order(noted.event.time):
        return config
    return {"ops": {stage: {"config": {"intake": noted.intake, **asdict(noted.event)}}}}


def _is_later(event: ObjectEvent, stored: WorkEvent) -> bool:
    return event.identity != stored.identity and in_order(event.time) > in_order(stored.time)


def _read_all(staging: Staging, rid: str) -> Iterator[tuple[Path, NotedEvent]]:
    folder = staging.layout.events(rid)
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StagingError(folder, f"cannot be read: {error.strerror}") from error
    for name in names:
        if name.startswith("."):
            continue
        path = folder / name
        try:
            yield path, _noted(json.loads(path.read_bytes()))
        except FileNotFoundError:  # its run has just stored it
            continue
        except OSError as error:
            raise StagingError(path, f"cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = (
                f"is no event as it was noted ({error}): remove it; if ao status lacks the work then, ask Glacier anew"
            )
            raise StagingError(path, reason) from error


def _noted(said: Any) -> NotedEvent:
    """Returns the note that a file's JSON contains.

    :raises ValueError: if it is not a note; so may be a ``TypeError``, ``KeyError`` or ``AttributeError``.
    """
    event = ObjectEvent(**{each.name: said["event"].get(each.name) for each in fields(ObjectEvent)})
    at = moment(said["at"])
    if at is None or not all((event.name, event.time, event.bucket, event.key)):
        raise ValueError("its times or names are none")
    return NotedEvent(said["intake"], event, at)


def _path(staging: Staging, rid: str, event: ObjectEvent) -> Path:
    digest = hashlib.sha256(event.identity.encode()).hexdigest()[:32]
    return staging.layout.events(rid) / f"{digest}.json"
