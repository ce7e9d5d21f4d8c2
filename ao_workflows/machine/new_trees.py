"""A tree of files that is made under another name and appears whole, in one rename, or not at all.

What belongs here: making folders and files that nobody else can reach or foresee, and the rename. What does not: what
is in the files.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from ao_workflows.errors import StagingError
from ao_workflows.machine.disk import disk_error, is_removal_name, removal_name, remove_tree
from ao_workflows.machine.file_locks import lock_if_free

_FILE_MODE = 0o644
_FOLDER_MODE = 0o755
_PRIVATE = 0o700
_TAKEN = "another process is unpacking there; let it end first"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# ioctl_iflags(2), and linux/fs.h.
_GET_FLAGS, _SET_FLAGS, _TOP_OF_TREES = 0x80086601, 0x40086602, 0x00020000


class NewTree:
    """A tree that is being made inside the folder ``under_way``, which only this process may enter until it is
    published.

    It is a context manager: at the end of the ``with`` block, a tree that has not been published is removed. Its maker
    holds the lock of ``under_way``. What a dead process left in that folder is removed first; a live process is not
    disturbed.

    :raises StagingError: if the folder cannot be made, or another process is making a tree there.
    """

    def __init__(self, under_way: Path) -> None:
        self._outer = under_way
        # ext4 chooses a region of the disk by the name, so no other tree has the same one: see ``_spread``.
        self.path = under_way / secrets.token_hex(8)
        try:
            self._remove_abandoned()
            under_way.mkdir(_PRIVATE)
            self._lock = os.open(under_way, _FOLDER)
            locked = lock_if_free(self._lock)
        except OSError as error:
            raise disk_error(under_way, "cannot be made", error) from error
        if not locked:
            os.close(self._lock)
            raise StagingError(under_way, _TAKEN)
        try:
            os.fchmod(self._lock, _PRIVATE)
            _spread(self._lock)
            self.path.mkdir(_FOLDER_MODE)
            self._descriptor = os.open(self.path, _FOLDER)
            # The umask may remove bits from the modes: this is the one place that looks.
            self._modes_are_right = stat.S_IMODE(os.fstat(self._descriptor).st_mode) == _FOLDER_MODE
            if not self._modes_are_right:
                os.fchmod(self._descriptor, _FOLDER_MODE)
        except OSError as error:
            self._clear_away()
            raise disk_error(under_way, "cannot be made", error) from error

    def _remove_abandoned(self) -> None:
        try:
            descriptor = os.open(self._outer, _FOLDER)
        except FileNotFoundError:
            return
        try:
            if not lock_if_free(descriptor):
                raise StagingError(self._outer, _TAKEN)
            try:
                remove_tree(self._outer)
            except OSError:
                # What cannot be removed must not be in the way for ever; the next clean-up of this folder tries again.
                self._outer.rename(removal_name(self._outer))
        finally:
            os.close(descriptor)

    def __enter__(self) -> NewTree:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        self._clear_away()

    def _clear_away(self) -> None:
        try:
            self._outer.rmdir()
        except OSError:
            with contextlib.suppress(OSError):
                remove_tree(self._outer)
        os.close(self._lock)

    def make_folder(self, path: str) -> None:
        """Makes one folder, whose parent is there already.

        :raises FileExistsError: if the file system treats the name as that of another file or folder.
        :raises StagingError: if the disk refuses.
        """
        try:
            os.mkdir(path, _FOLDER_MODE, dir_fd=self._descriptor)
            if not self._modes_are_right:
                os.chmod(path, _FOLDER_MODE, dir_fd=self._descriptor)
        except FileExistsError:
            raise
        except OSError as error:
            raise disk_error(self.path / path, "cannot be made", error) from error

    def set_times(self, times: Iterable[tuple[str, int]]) -> None:
        """Sets the modification times of folders. Call it when nothing more is put into them.

        :param times: pairs of a folder's path and its time in nanoseconds since 1970.
        """
        for path, when in times:
            os.utime(path, ns=(when, when), dir_fd=self._descriptor, follow_symlinks=False)

    def writer(self) -> Writer:
        """Returns a writer of files, for use by one thread."""
        return Writer(self._descriptor, self._modes_are_right)

    def publish(self, into: Path) -> None:
        """Renames the tree to ``into``; what was there is then removed.

        :raises StagingError: if the file system refuses; what was there before is then there again.
        """
        put_in_place(self.path, into)


class Writer:
    """Makes files below the tree; the folder that it made the last file in is kept open for the next one."""

    def __init__(self, root: int, modes_are_right: bool) -> None:
        self._root = root
        self._modes_are_right = modes_are_right
        self._folder: str | None = None
        self._descriptor = -1

    def new_file(self, path: str) -> int:
        """Makes an empty file and returns its descriptor.

        :raises FileExistsError: if the file system treats the name as that of another file or folder.
        """
        folder, _, name = path.rpartition("/")
        if folder != self._folder:
            self.close()
            self._descriptor = os.open(folder or ".", _FOLDER, dir_fd=self._root)
            self._folder = folder
        descriptor = os.open(name, _NEW_FILE, _FILE_MODE, dir_fd=self._descriptor)
        if not self._modes_are_right:
            os.fchmod(descriptor, _FILE_MODE)
        return descriptor

    def close(self) -> None:
        """Closes the folder that is open."""
        if self._folder is not None:
            os.close(self._descriptor)
            self._folder = None


def put_in_place(new: Path, into: Path) -> Path | None:
    """Renames ``new`` to ``into``, and then removes what was there before.

    If that cannot be removed, it stays under a hidden name, which is returned, and is removed the next time.

    :raises StagingError: if the file system refuses; what was there before is then there again.
    """
    before = removal_name(into)
    try:
        _remove_what_went_before(into)
        with contextlib.suppress(FileNotFoundError):
            into.rename(before)
        try:
            new.rename(into)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                before.rename(into)
            raise
    except OSError as error:
        raise disk_error(into, "cannot be put in place", error) from error
    try:
        remove_tree(before)
    except OSError:
        return before
    return None


def _remove_what_went_before(into: Path) -> None:
    """Removes what an earlier ``put_in_place`` could not remove, or would have removed if it had not been killed."""
    for name in os.listdir(into.parent):
        if is_removal_name(name) and name.startswith(f".{into.name}.going-"):
            with contextlib.suppress(OSError):
                remove_tree(into.with_name(name))


def _spread(folder: int) -> None:
    """Asks ext4 to give each folder made in this one a region of its own, as it does for those of the root.

    For five minutes ext4 keeps from using the inodes of deleted files again, and looks through all of them for each
    new file nearby: where a work of 2,000 files had just been freed, that was a quarter of what the next one cost.
    """
    flags = bytearray(8)
    with contextlib.suppress(OSError):
        fcntl.ioctl(folder, _GET_FLAGS, flags)
        wanted = struct.unpack("=l", flags[:4])[0] | _TOP_OF_TREES
        fcntl.ioctl(folder, _SET_FLAGS, struct.pack("=l", wanted))
