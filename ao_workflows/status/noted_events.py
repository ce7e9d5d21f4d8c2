"""Events that were taken from a queue and whose run has not begun: each in a file of its own, until its run stores it.

What belongs here: writing, finding and removing those files. What does not: whether Dagster has lost an event's run
(``ao_workflows.status.evidence``).

A message is deleted once Dagster has its runs. If Dagster's database is put back to an earlier state after that, these
files are all that is left of an event whose run had not begun.
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
"""Several flushes at once cost little more than one: a disk puts them together."""

_TRIES = 3

_MANY = 100_000

_LOOKED_AT = 5
"""So many works are looked at for what was done elsewhere, each time."""

Failures = Mapping[str, StagingError]


def check(staging: Staging, intake: str) -> None:
    """Sees that the scratch disk takes a note: what could not be noted is better left in its queue.

    :raises StagingError: if it does not.
    """
    path = staging.layout.events("any").parent / f".{intake}"
    write_whole(path, now(), flush=True)
    path.unlink(missing_ok=True)


def note(staging: Staging, intake: str, wanted: Collection[WantedRun]) -> Failures:
    """Notes events before their runs are requested; they are on the disk when this returns.

    Returns those that could not be noted, by their identities: their messages must not be deleted.
    """
    failures: dict[str, StagingError] = {}

    def write(each: WantedRun) -> None:
        path = _path(staging, each.rid, each.event)
        # It is asked for again, since its run is not there yet.
        if path.exists():
            return
        said = {"intake": intake, "rid": each.rid, "at": now(), "event": asdict(each.event)}
        for left in reversed(range(_TRIES)):
            try:
                write_whole(path, json.dumps(said, indent=1, ensure_ascii=False), flush=True)
            except StagingError as error:
                # Another run of the work may have removed its empty folder under way.
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
    """Removes the notes of the work's events that are no later than the one which is ``stored`` now.

    A note that cannot be removed does no harm: it is compared with what is stored wherever it is read.
    """
    with suppress(StagingError, OSError):
        for path, noted in _read_all(staging, rid):
            if not _is_later(noted.event, stored):
                path.unlink(missing_ok=True)
        staging.layout.events(rid).rmdir()


def forget_one(staging: Staging, rid: str, event: ObjectEvent) -> None:
    """Removes the note of an event that waits for a person's word, and is kept as such."""
    with suppress(OSError):
        _path(staging, rid, event).unlink(missing_ok=True)
        staging.layout.events(rid).rmdir()


def forget_done(staging: Staging, done_since: Callable[[str, datetime], Iterable[str]]) -> None:
    """Removes notes whose events were done by runs that could not remove them: on another host, with a scratch disk of
    its own. ``done_since`` has the times of the events of a work that were done since then.

    A few works are looked at, by chance, so that none is in the others' way. What cannot be removed is looked at again.
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
    """The names of the works that have notes, of ``most`` at most, those with the newest first.

    :raises StagingError: if they cannot be read.
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
    """The work's last noted event, where it is later than the ``stored`` one, and was noted ``before`` then.

    :raises StagingError: if one cannot be read.
    """
    found = [
        noted
        for _, noted in _read_all(staging, rid)
        if (stored is None or _is_later(noted.event, stored)) and (before is None or noted.at < before)
    ]
    return max(found, key=lambda noted: in_order(noted.event.time), default=None)


def later_config(noted: NotedEvent | None, config: dict[str, Any] | None) -> dict[str, Any] | None:
    """The run config of the later event: of the ``noted`` one, or of the one in ``config``, which a run was given."""
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
    """What is in a file; raises what looking for it raises, where it is not there."""
    event = ObjectEvent(**{each.name: said["event"].get(each.name) for each in fields(ObjectEvent)})
    at = moment(said["at"])
    if at is None or not all((event.name, event.time, event.bucket, event.key)):
        raise ValueError("its times or names are none")
    return NotedEvent(said["intake"], event, at)


def _path(staging: Staging, rid: str, event: ObjectEvent) -> Path:
    digest = hashlib.sha256(event.identity.encode()).hexdigest()[:32]
    return staging.layout.events(rid) / f"{digest}.json"
