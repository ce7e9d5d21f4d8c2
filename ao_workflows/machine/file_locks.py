"""Locks on files (flock): taking one, and saying in it who has it.

What belongs here: what every lock needs that one process at a time may hold. What does not: what is locked by it
(``ao_workflows.staging.staging``, ``ao_workflows.archive.mounted_shares``), and locks of other kinds.

The kernel lets go of a lock when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

from ao_workflows.errors import WorkBusy

_LOOK_AGAIN_SECONDS = 0.2


def take(path: Path, rid: str, patience: float = 0) -> int:
    """Locks the work's file at ``path``, made where it is missing; returns its descriptor.

    :raises WorkBusy: where another process has it for longer than ``patience`` seconds, with what it wrote of itself.
    :raises OSError: where the file cannot be opened or locked.
    """
    until = monotonic() + patience
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before may have removed the file that was opened: what is locked must be what others will open.
            if is_at(handle, path):
                return handle
        except BlockingIOError:
            if monotonic() >= until:
                said = os.pread(handle, 4096, 0).decode(errors="replace").strip()
                os.close(handle)
                raise WorkBusy(rid, path, said) from None
            sleep(_LOOK_AGAIN_SECONDS)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def say_holder(handle: int, holder: str) -> None:
    """Writes into a locked file who has it, for who finds it locked."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{holder}, process {os.getpid()} on {socket.gethostname()}, since {since}\n".encode(), 0)


def is_at(handle: int, path: Path) -> bool:
    """Whether what is open is what the path leads to."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
