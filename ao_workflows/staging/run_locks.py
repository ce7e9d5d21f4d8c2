"""Run locks: how anybody on the machine can tell whether a run's process lives.

What belongs here: holding, reading and removing the files in ``<staging>/runs``. What does not: what is done about
a run whose process is gone (``ao_workflows.defs.sensors.lost_runs``), and the locks of works
(``ao_workflows.staging.staging``).

A run's process locks the run's file (flock, shared: a run may have several processes) from its first resource to its
last. When a process ends, however it ends, the kernel unlocks its files, and containers that share the disk see each
other's locks. So a file that nobody has locked belongs to a run that is dead.
"""

from __future__ import annotations

import os
from pathlib import Path

from ao_workflows.machine.disk import disk_error, full_at
from ao_workflows.machine.file_locks import is_at, lock_if_free, take_when_free


class RunLocks:
    """The locks of runs in ``folder``, those of this process and those of others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def hold(self, run_id: str) -> None:
        """Locks the run's file, which shows others that the run is being executed, until ``release`` or until this
        process ends.

        :raises StagingError: if the file cannot be made; ``StagingFull`` if there is no room for it.
        """
        path = self._path(run_id)
        if run_id in self._held:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._held[run_id] = take_when_free(path, shared=True)
        except OSError as error:
            raise disk_error(path, "cannot be opened", error) from error

    def release(self) -> None:
        """Unlocks the files of all runs that this process has locked, and removes those that no other process has
        locked.
        """
        for run_id in list(self._held):
            handle = self._held.pop(run_id)
            try:
                _remove_if_nobodys(handle, self._path(run_id))
            finally:
                os.close(handle)

    def is_held(self, run_id: str) -> bool:
        """Whether a process executes the run: whether the run's file is there and locked."""
        try:
            handle = os.open(self._path(run_id), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not lock_if_free(handle)
        finally:
            os.close(handle)

    def can_be_made(self) -> bool:
        """Whether the disk has room for another lock. If not, a run without a lock may be alive and waiting for it."""
        return full_at(self._folder / "probe", 0) is None

    def left_behind(self) -> list[str]:
        """Returns the ids of the runs whose file is there although no process executes them, in order."""
        names = os.listdir(self._folder) if self._folder.exists() else []
        run_ids = [name.removesuffix(".lock") for name in names if name.endswith(".lock")]
        return sorted(run_id for run_id in run_ids if self._path(run_id).exists() and not self.is_held(run_id))

    def remove(self, run_id: str) -> None:
        """Removes the file of a run; does nothing if a process executes the run or the file is gone."""
        path = self._path(run_id)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            _remove_if_nobodys(handle, path)
        finally:
            os.close(handle)

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.lock"


def _remove_if_nobodys(handle: int, path: Path) -> None:
    if lock_if_free(handle) and is_at(handle, path):
        path.unlink(missing_ok=True)
