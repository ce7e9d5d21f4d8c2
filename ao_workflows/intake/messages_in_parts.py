"""The file of a message whose events do not all have runs yet: one a message, until all have.

What belongs here: writing, listing and removing those files. What does not: which of the events a tick requests
(``ao_workflows.events.message_parts``), and the message itself, which stays in its queue.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ao_workflows.errors import StagingError
from ao_workflows.events.message_parts import WantedRun
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.machine.files import write_whole
from ao_workflows.staging.staging import Staging


def keep(staging: Staging, queue: str, region: str, message_id: str, wanted: Sequence[WantedRun]) -> Path:
    """Writes the file of a message, and returns its path. When this returns, the file is on the disk.

    :param wanted: all events of the message that ask for a run.
    :raises StagingError: if it cannot be written.
    """
    path = _path(staging, queue, region, message_id)
    events = [{"rid": each.staged, "event": asdict(each.event)} for each in wanted]
    write_whole(path, json.dumps({"message_id": message_id, "queue": queue, "events": events}), flush=True)
    return path


def of_queue(staging: Staging, queue: str, region: str) -> dict[str, tuple[WantedRun, ...]]:
    """Returns the kept events of a queue's messages, by the message's id, the oldest message first.

    The files are found by the queue's name and region, so the intake may have been renamed. A file that cannot be read
    is left out, since SQS delivers its message again.

    :raises StagingError: if the folder cannot be read.
    """
    folder = staging.layout.messages_in_parts()
    try:
        paths = [(path.stat().st_mtime_ns, path) for path in folder.glob(f"{_of(queue, region)}*.json")]
    except OSError as error:
        raise StagingError(folder, f"cannot be read: {error.strerror}") from error
    found: dict[str, tuple[WantedRun, ...]] = {}
    for _, path in sorted(paths):
        try:
            said = json.loads(path.read_bytes())
            found[said["message_id"]] = tuple(
                WantedRun(each["rid"], ObjectEvent(**each["event"])) for each in said["events"]
            )
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return found


def remove(staging: Staging, queue: str, region: str, message_id: str) -> None:
    """Removes the file of a message; does nothing if there is none.

    :raises StagingError: if it cannot be removed.
    """
    path = _path(staging, queue, region, message_id)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StagingError(path, f"cannot be removed: {error.strerror}") from error


def _of(queue: str, region: str) -> str:
    """Returns the beginning of the names of a queue's files, so that no other queue's files are read."""
    return hashlib.sha256(f"{region}/{queue}".encode()).hexdigest()[:8] + "-"


def _path(staging: Staging, queue: str, region: str, message_id: str) -> Path:
    name = hashlib.sha256(message_id.encode()).hexdigest()[:32]
    return staging.layout.messages_in_parts() / f"{_of(queue, region)}{name}.json"
