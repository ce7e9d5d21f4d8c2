"""Messages that could not be used, each kept whole in a file of its own until a person has dealt with it.

What belongs here: writing, listing and removing those files. What does not: why a message cannot be used
(``ao_workflows.intake.queue_rules``), and sending it back (``ao_workflows.intake.sqs``).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from ao_workflows.errors import StagingError
from ao_workflows.machine.files import now, write_whole
from ao_workflows.staging.rejected_limit import refuse_beyond
from ao_workflows.staging.staging import Staging


@dataclass(frozen=True)
class KeptMessage:
    """A queue message that cannot be used.

    ``intake`` and ``queue`` say where it came from, and ``body`` is its text as it came. ``reason`` says why it cannot
    be used. ``at`` is the time, in RFC 3339, since which it is kept.
    """

    message_id: str
    intake: str
    queue: str
    reason: str
    at: str
    body: str


def keep(staging: Staging, intake: str, queue: str, message_id: str, body: str, reason: str) -> Path:
    """Writes a message, whole, to a file of its own, and returns the file's path. It is then on the disk, not only in
    memory.

    :raises StagingError: if it cannot be written, or as much is kept as may be. The message must not be deleted from
        its queue then.
    """
    path = _path(staging, message_id)
    text = json.dumps(asdict(KeptMessage(message_id, intake, queue, reason, now(), body)), indent=1, ensure_ascii=False)
    refuse_beyond(staging.layout, path, len(text.encode(errors="backslashreplace")))
    write_whole(path, text, flush=True)
    return path


def kept_messages(staging: Staging) -> list[KeptMessage]:
    """Reads all kept messages and returns them, those kept longest first.

    :raises StagingError: if one cannot be read.
    """
    folder = staging.layout.rejected_messages()
    try:
        paths = [path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StagingError(folder, f"cannot be read: {error.strerror}") from error
    return sorted(filter(None, map(_read, paths)), key=lambda kept: (kept.at, kept.message_id))


def remove(staging: Staging, message_id: str) -> None:
    """Removes a kept message; does nothing if it is gone already.

    :raises StagingError: if it cannot be removed.
    """
    path = _path(staging, message_id)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StagingError(path, f"cannot be removed: {error.strerror}") from error


def _read(path: Path) -> KeptMessage | None:
    try:
        return KeptMessage(**json.loads(path.read_bytes()))
    except FileNotFoundError:  # sent back, or removed, by another person just now
        return None
    except OSError as error:
        raise StagingError(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise StagingError(path, f"is no kept message: {error}") from error


def _path(staging: Staging, message_id: str) -> Path:
    plain = re.fullmatch(r"[A-Za-z0-9_-]{1,100}", message_id)
    name = message_id if plain else hashlib.sha256(message_id.encode()).hexdigest()
    return staging.layout.rejected_messages() / f"{name}.json"
