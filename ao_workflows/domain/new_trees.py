"""A tree of files that is made under another name and appears whole, in one rename, or not at all.

What belongs here: making folders and files that nobody else can reach or foresee, and the rename. What does not:
what is in the files.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from ao_workflows.domain.errors import StagingError

_FILE_MODE = 0o644
_FOLDER_MODE = 0o755
_PRIVATE = 0o700
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NewTree:
    """The folder ``under_way``, ours alone until it is published: nobody else may enter it, and whoever makes it
    holds its lock. What an earlier process left there is removed; one that still lives is not disturbed.

    Use it as a context: what has not been published when it ends is gone.

    :raises StagingError: if the folder cannot be made, or another process is making it.
    """

    def __init__(self, under_way: Path) -> None:
        self.path = under_way
        self._published = False
        try:
            self._remove_abandoned()
            under_way.mkdir(_FOLDER_MODE)
            self._descriptor = os.open(under_way, _FOLDER)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mode = stat.S_IMODE(os.fstat(self._descriptor).st_mode)
            os.fchmod(self._descriptor, _PRIVATE)
        except OSError as error:
            raise StagingError(under_way, f"cannot be made: {error.strerror}") from error
        # A umask that takes bits away, and a folder that hands on its set-group-id bit, are seen once, here.
        self._modes_are_right = mode == _FOLDER_MODE

    def _remove_abandoned(self) -> None:
        try:
            descriptor = os.open(self.path, _FOLDER)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(self.path)
        except BlockingIOError as error:
            raise StagingError(self.path, "another process is unpacking there; let it end first") from error
        finally:
            os.close(descriptor)

    def __enter__(self) -> NewTree:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        if not self._published:
            shutil.rmtree(self.path, ignore_errors=True)

    def make_folder(self, path: str) -> None:
        """Makes one folder; its parent is there.

        :raises FileExistsError: if the file system takes the name for that of another one.
        """
        os.mkdir(path, _FOLDER_MODE, dir_fd=self._descriptor)
        if not self._modes_are_right:
            os.chmod(path, _FOLDER_MODE, dir_fd=self._descriptor)

    def set_times(self, times: Iterable[tuple[str, int]]) -> None:
        """Sets folders' modification times, in ns since 1970, once nothing more is put into them."""
        for path, when in times:
            os.utime(path, ns=(when, when), dir_fd=self._descriptor, follow_symlinks=False)

    def writer(self) -> Writer:
        """A writer of files, for one thread."""
        return Writer(self._descriptor, self._modes_are_right)

    def publish(self, into: Path) -> None:
        """Renames the tree to ``into``. What stood there goes once the new one is there.

        :raises StagingError: if the file system refuses; what stood there then stands there again.
        """
        try:
            os.fchmod(self._descriptor, _FOLDER_MODE)
        except OSError as error:
            raise StagingError(self.path, f"cannot be opened to others: {error.strerror}") from error
        put_in_place(self.path, into)
        self._published = True


class Writer:
    """Makes files below the tree, each by its name in a folder that is held open while files go there in turn."""

    def __init__(self, root: int, modes_are_right: bool) -> None:
        self._root = root
        self._modes_are_right = modes_are_right
        self._folder: str | None = None
        self._descriptor = -1

    def new_file(self, path: str) -> int:
        """The descriptor of a new, empty file.

        :raises FileExistsError: if the file system takes the name for that of another one.
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
        """Lets go of the folder."""
        if self._folder is not None:
            os.close(self._descriptor)
            self._folder = None


def put_in_place(new: Path, into: Path) -> None:
    """Renames ``new`` to ``into``, and removes what stood there, which goes last.

    :raises StagingError: if the file system refuses; what stood there then stands there again.
    """
    before = into.with_name(f".{into.name}.before.tmp")
    try:
        _remove(before)
        with contextlib.suppress(FileNotFoundError):
            into.rename(before)
        try:
            new.rename(into)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                before.rename(into)
            raise
        _remove(before)
    except OSError as error:
        raise StagingError(into, f"cannot be put in place: {error.strerror}") from error


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
