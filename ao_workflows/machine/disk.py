"""The disk: its refusals as errors, and removing a tree, however deep, under a hidden name.

What belongs here: those two, for any folder. What does not: making a tree (``new_trees``), and which trees may be
removed (``ao_workflows.staging.freeing``).
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ao_workflows.errors import StagingError, StagingFull

FULL = {errno.ENOSPC, errno.EDQUOT}
"""The system's errors for a disk, or a user's share of it, that is full."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OURS = 0o700
_HIDDEN = re.compile(r"\.(.+)\.[^.]+\.tmp")
_GOING = re.compile(r"\..+\.going-[0-9a-f]{8}\.tmp", re.ASCII)
_BATCH = 64
"""Files in one task: a task costs more than the removal of a small file."""


def disk_error(path: Path, what: str, error: OSError, wanted: int = 0) -> StagingError:
    """Returns the error for what the disk refused at ``path``: ``StagingFull`` if the disk is full.

    :param what: what was tried, such as "cannot be written".
    :param wanted: the bytes for which there was no room.
    """
    if error.errno in FULL:
        return StagingFull(path, wanted, _free(path))
    return StagingError(path, f"{what}: {error.strerror or error}")


def full_at(path: Path, wanted: int) -> StagingFull | None:
    """Tries whether there is room beside ``path`` for a file of ``wanted`` bytes, and returns the error if there is
    not.

    The file is removed again. None also stands for a disk that refuses it for another reason.
    """
    probe = unfinished_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(bytes(wanted))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        refused = disk_error(path, "cannot be written", error)
        return refused if isinstance(refused, StagingFull) else None
    return None


def _free(path: Path) -> int:
    """Returns the bytes that are free where ``path`` is or would be; 0 if that cannot be known."""
    for place in (path, *path.parents):
        try:
            return shutil.disk_usage(place).free
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return 0
    return 0


def unfinished_name(path: Path) -> Path:
    """Returns a hidden name beside ``path`` for the file while it is being written.

    The name is random: two machines, or two containers, may share the disk and have the same process ids.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def removal_name(path: Path) -> Path:
    """Returns a hidden name beside ``path`` for what is there and is about to be removed.

    The name is another one each time, so what could not be removed the last time is not in the way. In a name that is
    hidden already, ``.<name>.<anything>.tmp``, the last part before ``.tmp`` is replaced.
    """
    hidden = _HIDDEN.fullmatch(path.name)
    return path.with_name(f".{hidden[1] if hidden else path.name}.going-{secrets.token_hex(4)}.tmp")


def is_removal_name(name: str) -> bool:
    """Whether ``name`` is one that ``removal_name`` returned."""
    return _GOING.fullmatch(name) is not None


def remove_tree(top: Path) -> int:
    """Removes a file, or a folder with all that is in it, and returns the bytes of its files; does nothing if there is
    none.

    If a file cannot be removed, all others are still removed. A link is removed itself, not what it leads to; another
    file system that is mounted below is left as it is.

    :raises OSError: the first refusal, with the path at which the thing now is.
    """
    try:
        status = top.lstat()
        if not stat.S_ISDIR(status.st_mode):
            top.unlink()
            return status.st_size
        if status.st_mode & _OURS != _OURS:
            top.chmod(_OURS)
        descriptor = os.open(top, _FOLDER)
    except FileNotFoundError:
        return 0
    try:
        removal = _Removal(top, descriptor)
        removal.bring_up()
        removed = removal.remove()
    finally:
        os.close(descriptor)
    with removal.noting_refusal(""):
        top.rmdir()
    if removal.refused:
        raise removal.refused[0]
    return removed


class _Removal:
    """One removal. Each folder is first renamed into the top folder: so nothing recurses, no path grows longer than the
    system can name, and few folders are open at a time.
    """

    def __init__(self, top: Path, descriptor: int) -> None:
        self._top = top
        self._descriptor = descriptor
        self._token = secrets.token_hex(8)
        self._folders = ["."]
        self._files: list[str] = []
        self.refused: list[OSError] = []

    def bring_up(self) -> None:
        """Renames every folder into the top one, and lists the files of each."""
        disk = os.fstat(self._descriptor).st_dev
        for folder in self._folders:  # grows meanwhile
            with self.noting_refusal(folder):
                here = self._opened(folder)
                try:
                    status = os.fstat(here)
                    if status.st_dev != disk:
                        raise OSError(errno.EXDEV, "another file system is mounted there")
                    if status.st_mode & _OURS != _OURS:
                        os.fchmod(here, _OURS)
                    self._look(folder, here)
                finally:
                    os.close(here)

    def _look(self, folder: str, here: int) -> None:
        with os.scandir(here) as entries:
            found = list(entries)
        below = "" if folder == "." else f"{folder}/"
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                self._files.append(f"{below}{entry.name}")
            elif not below:
                self._folders.append(entry.name)
            else:
                with self.noting_refusal(f"{below}{entry.name}"):
                    self._folders.append(self._brought_up(entry.name, here))

    def _brought_up(self, name: str, here: int) -> str:
        new = f".{self._token}-{len(self._folders)}"
        try:
            os.rename(name, new, src_dir_fd=here, dst_dir_fd=self._descriptor)
        except PermissionError:
            # A folder can be moved to another parent only if its owner may write to it.
            os.chmod(name, _OURS, dir_fd=here)
            os.rename(name, new, src_dir_fd=here, dst_dir_fd=self._descriptor)
        return new

    def _opened(self, folder: str) -> int:
        try:
            return os.open(folder, _FOLDER, dir_fd=self._descriptor)
        except PermissionError:
            os.chmod(folder, _OURS, dir_fd=self._descriptor)
            return os.open(folder, _FOLDER, dir_fd=self._descriptor)

    def remove(self) -> int:
        """Removes the files and the folders, and returns the files' bytes."""
        batches = (self._files[start : start + _BATCH] for start in range(0, len(self._files), _BATCH))
        # To free a file's memory keeps the kernel busy for a second for each 4 GB, so this uses all cores.
        with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "remove") as pool:
            removed = sum(pool.map(self._remove_some, batches))
        for folder in self._folders[1:]:
            with self.noting_refusal(folder):
                os.rmdir(folder, dir_fd=self._descriptor)
        return removed

    def _remove_some(self, files: Sequence[str]) -> int:
        removed = 0
        for name in files:
            with self.noting_refusal(name):
                size = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_size
                os.unlink(name, dir_fd=self._descriptor)
                removed += size
        return removed

    def noting_refusal(self, name: str) -> _NoteRefusal:
        """Keeps a refusal for the end, so that the rest goes on."""
        return _NoteRefusal(self.refused, self._top / name)


class _NoteRefusal:
    """Notes what the system refuses in its ``with`` block, with the path. A file that somebody else has removed is no
    refusal.
    """

    def __init__(self, refused: list[OSError], path: Path) -> None:
        self._refused = refused
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            self._refused.append(OSError(error.errno, error.strerror, str(self._path)))
        return isinstance(error, OSError)


def files_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Finds every file below ``folder``, in no order; links, and whatever is not a folder, count as files.

    What cannot be looked at, or is removed meanwhile, is left out.
    """
    folders = [str(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    yield entry


@dataclass(frozen=True)
class Removed:
    """What was removed of one kind of thing: how many, and how many bytes.

    ``oldest_kept`` is the time of the oldest thing that was kept; ``stuck`` has a sentence for each thing that could
    not be removed.
    """

    count: int = 0
    bytes: int = 0
    oldest_kept: datetime | None = None
    stuck: tuple[str, ...] = ()
