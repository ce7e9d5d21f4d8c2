"""Locks on files (flock): taking one, and saying in it who has it.

What belongs here: every way in which the package locks a file or a folder. What does not: what a lock protects
(``ao_workflows.staging.staging``, ``ao_workflows.archive.mounted_shares`` and others), and leases
(``ao_workflows.intake.file_writers``).

A lock belongs to an open file: the kernel releases it when the last process that has this file open ends, however it
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
    """Locks a work's lock file, which is made if it is missing, and returns its descriptor.

    :param patience: for how many seconds to wait if another process has the lock.
    :raises WorkBusy: if another process has it for longer, with what that process wrote about itself.
    :raises OSError: if the file cannot be opened or locked.
    """
    until = monotonic() + patience
    while (handle := take_if_free(path)) is None:
        if monotonic() >= until:
            raise WorkBusy(rid, path, _holder(path))
        sleep(_LOOK_AGAIN_SECONDS)
    return handle


def take_if_free(path: Path) -> int | None:
    """Locks a file, which is made if it is missing, and returns its descriptor; None if it is locked already.

    :raises OSError: if the file cannot be opened or locked.
    """
    return _take(path, lock_if_free)


def take_when_free(path: Path, *, shared: bool = False) -> int:
    """Waits until nobody else has the lock of a file, which is made if it is missing; locks it and returns its
    descriptor.

    :param shared: whether others may have the lock at the same time, if they share it, too.
    :raises OSError: if the file cannot be opened or locked.
    """

    def lock(handle: int) -> bool:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        return True

    handle = _take(path, lock)
    assert handle is not None  # noqa: S101 - it was waited for
    return handle


def lock_if_free(handle: int, *, shared: bool = False) -> bool:
    """Locks an open file or folder, and returns whether that was possible: false if somebody else has the lock.

    :param shared: whether others may have the lock at the same time, if they share it, too.
    :raises OSError: if the file system has no locks.
    """
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(handle: int) -> None:
    """Releases a lock, also if other processes have inherited the descriptor: closing it here would not release it
    then.

    :raises OSError: if the file system refuses.
    """
    fcntl.flock(handle, fcntl.LOCK_UN)


def say_holder(handle: int, holder: str) -> None:
    """Writes into a locked file who holds the lock and since when, for whoever finds it locked."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{holder}, process {os.getpid()} on {socket.gethostname()}, since {since}\n".encode(), 0)


def is_at(handle: int, path: Path) -> bool:
    """Whether an open file is still the one at ``path``; false if there is none."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _take(path: Path, lock: Callable[[int], bool]) -> int | None:
    """Opens and locks the file at ``path``; returns None if ``lock`` could not."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            locked = lock(handle)
            # The former holder may have removed the file that was opened: the locked file must be the one that others
            # will open.
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
        return ""  # the lock was released meanwhile
