"""The archive's shares as they are mounted now: markers and notes read and written, and works' places locked.

What belongs here: reading and writing markers, notes and locks. What does not: the conclusions from them (``shares``).

Each process checks the shares itself: a process whose mounts date from before a share was mounted, as in a container
that was started earlier, sees another file system at the share's path than a new process does.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from ao_workflows.archive.places import share_number, share_tree
from ao_workflows.archive.shares import (
    MARKER,
    OWN_FOLDER,
    SHARES,
    Device,
    Marker,
    ShareNote,
    device_of,
    dump_notes,
    fault_of,
    parse_notes,
    place_lock,
    refusal_of,
)
from ao_workflows.errors import AoError, ArchiveNotSetUp, ArchiveShareLost, StagingError
from ao_workflows.machine import file_locks
from ao_workflows.machine.disk import FULL
from ao_workflows.machine.files import write_whole

PATIENCE_SECONDS = 20
"""How long a run waits for another one that writes the same work, before it fails and is tried again later."""

_LARGEST_MARKER = 1 << 16
_MAKE_USABLE = f"Mount it; the folder {OWN_FOLDER} in it must belong to the user that runs this"


@dataclass(frozen=True)
class ArchiveShares:
    """The shares of an archive, as this process sees them mounted.

    ``parent`` is the shares' path without the digit at its end. ``notes`` is the file with the notes of how each share
    can be recognized.
    """

    parent: Path
    notes: Path

    def tree(self, share: int) -> Path:
        """Returns the folder that the share is mounted on."""
        return share_tree(self.parent, share)

    def noted(self) -> Mapping[int, ShareNote]:
        """Returns the notes of the shares by their numbers; none if no share was set up yet.

        :raises StagingError: if the notes cannot be read.
        """
        try:
            return parse_notes(self.notes.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StagingError(self.notes, f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            reason = f"is not what was noted of the archive's shares ({error}): remove it, and run ao archive init"
            raise StagingError(self.notes, reason) from error

    def look(self, share: int) -> ShareNote:
        """Checks that what is mounted is the share that was noted, and returns the note.

        :raises ArchiveNotSetUp: if there is no note of this share.
        :raises ArchiveShareLost: if nothing, or something else, is mounted in its place.
        :raises StagingError: if the notes cannot be read.
        """
        tree, noted = self.tree(share), self.noted().get(share)
        if noted is None:
            raise ArchiveNotSetUp(tree)
        try:
            marker, device = found_at(tree)
        except OSError as error:
            _lost(tree, error)
        if fault := fault_of(share, noted, marker, device):
            raise ArchiveShareLost(tree, fault)
        return noted

    def look_for(self, work: str) -> None:
        """Checks the share that a work is in, as ``look`` does and with the same errors."""
        self.look(share_number(work))

    def look_for_all(self, works: Iterable[str]) -> None:
        """Checks each share that some of the works are in, as ``look`` does and with the same errors."""
        for share in sorted({share_number(work) for work in works}):
            self.look(share)

    def trees_there(self) -> list[Path]:
        """Returns the folders of those shares that are mounted as they were noted."""
        there = []
        for share in SHARES:
            with suppress(ArchiveNotSetUp, ArchiveShareLost):
                self.look(share)
                there.append(self.tree(share))
        return there

    @contextmanager
    def blamed_first(self, work: str) -> Iterator[None]:
        """Checks the work's share if the block fails, so that a lost share is reported as the cause.

        If the share is lost, a script that fails or a file that is missing says nothing about the work, which must be
        tried again.

        :raises ArchiveShareLost: instead of the block's own error, if the share is lost.
        """
        try:
            yield
        except (AoError, OSError):
            self.look_for(work)
            raise

    @contextmanager
    def place_held(self, work: str, holder: str) -> Iterator[int]:
        """Holds the lock of a work's place during the block, in which something is written there.

        Yields the descriptor of the lock's file, for a script to inherit. The file is not removed afterwards: if
        several hosts use the share, a host may for a while still see a file that another one has removed, and the two
        could then each lock a different file.

        :param holder: a description of who holds the lock, for the messages of those who wait for it.
        :raises WorkBusy: if another process holds it for longer than ``PATIENCE_SECONDS``.
        :raises ArchiveShareLost: if the share is not there, or nothing can be locked on it.
        """
        self.look_for(work)
        path = place_lock(self.parent, work)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = file_locks.take(path, work, PATIENCE_SECONDS)
        except OSError as error:
            _lost(self.tree(share_number(work)), error)
        try:
            with suppress(OSError):  # It is only for people to read. If the archive is full, the script will report it.
                file_locks.say_holder(handle, holder)
            yield handle
        finally:
            with suppress(OSError):
                os.ftruncate(handle, 0)
            # Closing is not enough: a process that the script started and that still runs would keep the lock.
            with suppress(OSError):
                file_locks.unlock(handle)
            os.close(handle)

    def set_up(
        self, plain_folders: frozenset[int] = frozenset(), exchanged: frozenset[int] = frozenset()
    ) -> tuple[dict[int, ShareNote], dict[int, str]]:
        """Sets up each share that is not set up yet: writes a marker into it, unless it has one, and notes the share.

        Returns the notes of the shares that are set up now, and the reasons for which the others were refused, both by
        the shares' numbers.

        :param plain_folders: the shares that are allowed to be plain folders on the disk of their parent folder.
        :param exchanged: the shares whose disk was exchanged on purpose, so that they may differ from their notes.
        :raises StagingError: if the notes cannot be read or written.
        """
        before = self.noted()
        done: dict[int, ShareNote] = {}
        refused: dict[int, str] = {}
        for share in SHARES:
            noted, tree = before.get(share), self.tree(share)
            try:
                marker, device = found_at(tree)
                refused[share] = refusal_of(
                    share, noted, marker, device, plain_folder=share in plain_folders, exchanged=share in exchanged
                )
                if refused[share]:
                    continue
                marker = marker or _mark(tree, share)
            except OSError as error:
                refused[share] = f"{_said(tree, error)}. {_way_out(error)}"
                continue
            same = noted is not None and (noted.id, noted.device) == (marker.id, device)
            done[share] = noted if noted and same else ShareNote(marker.id, device, _now())
        notes = {**before, **done}
        if notes != before:
            write_whole(self.notes, dump_notes(notes), flush=True)
        return done, {share: reason for share, reason in refused.items() if reason}


def make_archive(shares: ArchiveShares) -> None:
    """Makes the shares as plain folders, and sets them up. This is for a demo, a trial or a test.

    :raises ArchiveShareLost: if one cannot be set up.
    """
    for share in SHARES:
        shares.tree(share).mkdir(parents=True, exist_ok=True)
    _, refused = shares.set_up(plain_folders=frozenset(SHARES))
    for share, reason in refused.items():
        raise ArchiveShareLost(shares.tree(share), reason)


def found_at(tree: Path) -> tuple[Marker | None, Device]:
    """Returns the marker in a share's folder, or None if it has none, and the device that the folder is on.

    Both are read through one descriptor of the folder, so that they belong to the same file system even if something is
    mounted there in the meantime.

    :raises OSError: if the folder cannot be read.
    """
    folder = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        above = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            mounts = _mount_id(folder), _mount_id(above)
        finally:
            os.close(above)
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        return _marker_in(folder), device_of(*mounts, mountinfo)
    finally:
        os.close(folder)


def _marker_in(folder: int) -> Marker | None:
    try:
        handle = os.open(MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    try:
        return Marker.parse(os.read(handle, _LARGEST_MARKER))
    finally:
        os.close(handle)


def _mark(tree: Path, share: int) -> Marker:
    """Writes the share's marker and returns it; if another host has just written one, returns that one."""
    path = tree / MARKER
    path.parent.mkdir(exist_ok=True)
    marker = Marker(str(uuid.uuid4()), share, _now(), socket.gethostname())
    try:
        with path.open("x", encoding="utf-8") as out:
            try:
                out.write(marker.dump())
                out.flush()
                os.fsync(out.fileno())
            except OSError:
                # With half a marker there, the next attempt could not make its own.
                path.unlink(missing_ok=True)
                raise
    except FileExistsError as error:
        there = Marker.parse(path.read_bytes())
        if there is None:
            raise OSError(error.errno, "is there, and is no marker that can be read: remove it", str(path)) from error
        return there
    return marker


def _mount_id(handle: int) -> int:
    """Returns the id of the mount that an open file is on.

    Source: https://man7.org/linux/man-pages/man5/proc_pid_fdinfo.5.html
    """
    text = Path(f"/proc/self/fdinfo/{handle}").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("mnt_id:"))


def _lost(tree: Path, error: OSError) -> NoReturn:
    raise ArchiveShareLost(
        tree, f"cannot be used: {_said(tree, error)}", f"It is tried again. {_way_out(error)}"
    ) from error


def _said(tree: Path, error: OSError) -> str:
    """Returns the system's message, to be put after the share's name; with the file's name if that is another one."""
    other = error.filename and Path(error.filename) != tree
    return f"{error.filename}: {error.strerror}" if other else str(error.strerror)


def _way_out(error: OSError) -> str:
    return "Free some room on it" if error.errno in FULL else _MAKE_USABLE


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
