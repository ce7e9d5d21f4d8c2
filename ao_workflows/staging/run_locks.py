"""Run locks: how anybody on the machine can tell whether a run's process lives.

What belongs here: holding, reading and removing the files in ``<staging>/runs``. What does not: what is done about
a run whose process is gone (``ao_workflows.defs.sensors.lost_runs``), and the locks of works
(``ao_workflows.staging.staging``).

A run's process holds its file (flock, shared: a run may have several processes) from its first resource to its last;
the kernel lets go when the process ends, however it ends, and across containers that share the disk. So a file that
nobody holds is a dead run's.
"""

from __future__ import annotations

import os
from pathlib import Path

from ao_workflows.machine.disk import disk_error, full_at
from ao_workflows.machine.file_locks import is_at, lock_if_free, take_when_free


class RunLocks:
    """The locks of runs in ``folder``, of this process and of others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def hold(self, run_id: str) -> None:
        """Says, for as long as this process lives or until ``release``, that the run is being executed.

        :raises StagingError: where the file cannot be made; StagingFull, where there is no room for it.
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
        """Lets go of every lock of this process's, and removes those that no other process holds."""
        for run_id in list(self._held):
            handle = self._held.pop(run_id)
            try:
                _remove_if_nobodys(handle, self._path(run_id))
            finally:
                os.close(handle)

    def is_held(self, run_id: str) -> bool:
        """Whether some process executes the run."""
        try:
            handle = os.open(self._path(run_id), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not lock_if_free(handle)
        finally:
            os.close(handle)

    def can_be_made(self) -> bool:
        """Whether the disk has room for another lock: else a run that has none may be one that waits for it."""
        return full_at(self._folder / "probe", 0) is None

    def left_behind(self) -> list[str]:
        """The runs whose file is there and which no process executes."""
        names = os.listdir(self._folder) if self._folder.exists() else []
        run_ids = [name.removesuffix(".lock") for name in names if name.endswith(".lock")]
        return sorted(run_id for run_id in run_ids if self._path(run_id).exists() and not self.is_held(run_id))

    def remove(self, run_id: str) -> None:
        """Removes the file of a run that no process executes."""
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
