"""Locks on files (flock): taking one, and saying in it who has it.

What belongs here: every way in which the package locks a file or a folder. What does not: what is locked by it
(``ao_workflows.staging.staging``, ``ao_workflows.archive.mounted_shares`` and others), and leases
(``ao_workflows.intake.file_writers``).

A lock belongs to an open file: the kernel lets go of it when the last process that has that open ends, however it
ends.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

from ao_workflows.errors import WorkBusy

_LOOK_AGAIN_SECONDS = 0.2
_LONGEST_HOLDER = 4096


def take(path: Path, rid: str, patience: float = 0) -> int:
    """Locks the work's file at ``path``, made where it is missing; returns its descriptor.

    :raises WorkBusy: where another process has it for longer than ``patience`` seconds, with what it wrote of itself.
    :raises OSError: where the file cannot be opened or locked.
    """
    until = monotonic() + patience
    while (handle := take_if_free(path)) is None:
        if monotonic() >= until:
            raise WorkBusy(rid, path, _holder(path))
        sleep(_LOOK_AGAIN_SECONDS)
    return handle


def take_if_free(path: Path) -> int | None:
    """Locks the file at ``path``, made where it is missing; returns its descriptor, or None where it is locked already.

    :raises OSError: where the file cannot be opened or locked.
    """
    return _take(path, lock_if_free)


def take_when_free(path: Path, *, shared: bool = False) -> int:
    """Locks the file at ``path``, made where it is missing, once nobody else has it; returns its descriptor.

    :param shared: Whether others may have it at the same time who share it, too.
    :raises OSError: where the file cannot be opened or locked.
    """

    def lock(handle: int) -> bool:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        return True

    handle = _take(path, lock)
    assert handle is not None  # noqa: S101 - it was waited for
    return handle


def lock_if_free(handle: int, *, shared: bool = False) -> bool:
    """Locks an open file or folder, and says whether it could: whether nobody else has it.

    :raises OSError: where the file system knows no locks.
    """
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(handle: int) -> None:
    """Gives a lock back, also where other processes have inherited the descriptor: closing it here would not.

    :raises OSError: where the file system refuses.
    """
    fcntl.flock(handle, fcntl.LOCK_UN)


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


def _take(path: Path, lock: Callable[[int], bool]) -> int | None:
    """Opens and locks the file at ``path``; None where ``lock`` could not."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            locked = lock(handle)
            # The holder before may have removed the file that was opened: what is locked must be what others will open.
            if locked and is_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if not locked:
            return None


def _holder(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_HOLDER).decode(errors="replace").strip()
    except OSError:
        return ""  # it was given back meanwhile
