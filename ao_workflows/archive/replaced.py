"""What syncs take from the archive: listed before, kept on the same share for a while, and removed when that is over.

What belongs here: making and removing those copies, and the lists beside the script's log. What does not: which files
will be changed or removed (``before_sync``), and where they are kept (``shares``).

A file that will be removed is kept as a hard link, since nobody writes into what he removes. A file that will be
changed is copied: a site's own script may write in place, and so through every link. Where the file system can share
blocks between files, the copy costs nothing; elsewhere it costs about what the new file costs.
"""

from __future__ import annotations

import errno
import filecmp
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ao_workflows.archive.before_sync import SyncChanges
from ao_workflows.archive.shares import REPLACED_AT
from ao_workflows.errors import ReplacedNotKept
from ao_workflows.fixity.trees import files_beside
from ao_workflows.machine.disk import Removed, disk_error, remove_tree

SHOWN = 20
_UNDER_WAY = ".part"
_BLOCK = 1 << 24
_NOT_IN_THE_KERNEL = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ETXTBSY}


def write_changed(path: Path, names: Iterable[str]) -> Path:
    """Writes the list of the files that are missing or differ in the archive, which the sync script reads.

    Returns the list's path. Each name in it ends with a zero byte.

    :raises StagingError: if it cannot be written.
    """
    return _written(path, b"".join(os.fsencode(name) + b"\0" for name in names))


def list_changes(path: Path, going: SyncChanges, off_the_web: Sequence[str], say: Callable[[str], None]) -> None:
    """Reports which files the sync will change or remove, and writes their names to ``path``.

    The report has the first 20 names of each kind; the file has all of them. If there are none, nothing is written.

    :param going: the archive's files that the sync will change or remove.
    :param off_the_web: the keys that the sync will remove from the web.
    :raises StagingError: if the list cannot be written.
    """
    kinds = {"changed": going.changed, "removed": going.removed, "removed from the web": off_the_web}
    lines = [f"{kind}\t{_on_one_line(name)}\n" for kind, names in kinds.items() for name in names]
    if not lines:
        return
    _written(path, os.fsencode("".join(lines)))
    for kind, names in kinds.items():
        shown = ", ".join(_on_one_line(name) for name in names[:SHOWN])
        more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
        if names:
            # A name in the archive may be no UTF-8, which Dagster's page cannot show.
            say(os.fsencode(f"will be {kind}: {len(names):,}: {shown}{more}; all in {path}").decode(errors="replace"))


def keep_replaced(place: Path, going: SyncChanges, into: Path) -> None:
    """Keeps the files that the sync will change or remove, in a folder that appears only once it is complete.

    It must be called under the lock of the work's place. If an earlier sync kept the same files and then failed before
    it changed them, its folder is renamed to ``into``: otherwise each attempt would put one more copy on the share. An
    incomplete folder that a killed process left behind is removed.

    :param place: the work's folder in the archive.
    :param going: the files to keep.
    :param into: the folder that they are kept in.
    :raises ReplacedNotKept: if not all of it can be kept.
    """
    under_way = into.with_name(f"{into.name}{_UNDER_WAY}")
    try:
        earlier = _inside(into.parent, [])
        for half in (path for path in earlier if path.name.endswith(_UNDER_WAY)):
            remove_tree(half)
        whole = [path for path in earlier if not path.name.endswith(_UNDER_WAY)]
        if whole and _has_all(whole[-1], place, going):
            whole[-1].rename(into)
            return
        for names, put in ((going.changed, _copied), (going.removed, _linked)):
            folder = None
            for name in names:
                to = under_way / name
                if to.parent != folder:
                    folder = to.parent
                    folder.mkdir(parents=True, exist_ok=True)
                put(place / name, to)
        under_way.rename(into)
    except OSError as error:
        with suppress(OSError):
            remove_tree(under_way)
        raise ReplacedNotKept(place, into, error.strerror or str(error)) from error


def remove_outlived(folders: Iterable[Path], before: datetime) -> Removed:
    """Removes the replaced files that were kept before a certain moment.

    If something cannot be removed, the result says so, and the rest is removed all the same.

    :param folders: the folder of each share that has the kept files, as ``<RID>/<moment>``.
    """
    count = size = 0
    oldest: datetime | None = None
    stuck: list[str] = []
    for folder in folders:
        for work in _inside(folder, stuck):
            for kept in _inside(work, stuck):
                try:
                    at = _kept_at(kept)
                    if at >= before:
                        oldest = min(oldest or at, at)
                        continue
                    size += remove_tree(kept)
                    count += 1
                except FileNotFoundError:  # Another host's housekeeping was there first.
                    continue
                except OSError as error:
                    stuck.append(f"{error.filename or kept}: {error.strerror}")
            try:
                work.rmdir()
            except OSError:  # It has others, which are younger.
                continue
    return Removed(count, size, oldest, tuple(stuck))


def _has_all(kept: Path, place: Path, going: SyncChanges) -> bool:
    """Whether ``kept`` has exactly the files that the sync will change or remove, with the bytes that they have now.

    A file that the sync will change must be a copy: a script that writes in place would change a hard link as well.
    """
    if {*files_beside(kept, ())} != {*going.changed, *going.removed}:
        return False
    try:
        return all(_is_same(kept / name, place / name) for name in (*going.changed, *going.removed)) and not any(
            (kept / name).samefile(place / name) for name in going.changed
        )
    except OSError:
        return False


def _is_same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.readlink() == other.readlink()
    return filecmp.cmp(one, other, shallow=False)


def _written(path: Path, data: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise disk_error(path, "cannot be written", error, len(data)) from error
    return path


def _on_one_line(name: str) -> str:
    for character in "%\n\r":
        name = name.replace(character, f"%{ord(character):02X}")
    return name


def _linked(path: Path, to: Path) -> None:
    try:
        os.link(path, to, follow_symlinks=False)
    except OSError:  # The file system has none, or forbids them for another user's files.
        if path.is_symlink():
            to.symlink_to(path.readlink())
        else:
            _copied(path, to)


def _copied(path: Path, to: Path) -> None:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        _linked(path, to)
        return
    if not stat.S_ISREG(status.st_mode):
        os.link(path, to, follow_symlinks=False)
        return
    try:
        with path.open("rb") as source, to.open("xb") as copy:
            _copy(source.fileno(), copy.fileno(), status.st_size)
        os.utime(to, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # A file that the disk cannot read any more must still be repairable: a link keeps what there is of it.
        to.unlink(missing_ok=True)
        os.link(path, to)


def _copy(source: int, copy: int, size: int) -> None:
    """Copies in the kernel if possible: some file systems then share the blocks; some servers copy by themselves."""
    done = 0
    try:
        while done < size and (got := os.copy_file_range(source, copy, min(_BLOCK, size - done))):
            done += got
    except OSError as error:
        if error.errno not in _NOT_IN_THE_KERNEL:
            raise
    while block := os.read(source, _BLOCK):
        left = memoryview(block)
        while left:
            left = left[os.write(copy, left) :]


def _inside(folder: Path, stuck: list[str]) -> list[Path]:
    try:
        return sorted(Path(entry) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
    except OSError as error:
        stuck.append(f"{folder}: {error.strerror}")
        return []


def _kept_at(kept: Path) -> datetime:
    """Returns when something was kept, by the folder's name; if it was not completed, by the folder's own time.

    The files' times do not say it: they are those that the files had in the archive.
    """
    try:
        return datetime.strptime(kept.name, REPLACED_AT).replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(kept.stat().st_mtime, UTC)
