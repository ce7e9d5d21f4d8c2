"""Room on the scratch disk: promised to a work before its first byte, counting what others were promised.

What belongs here: the promises, and the wait for one. What does not: how much a work needs.

A promise is a file that is locked (flock) by the process to which it was made. If that process dies, its promise counts
no more, and the next one to look removes the file. A promise says how many bytes the work needs in all. How many of
them are already on the disk is found by looking there, so no file need be updated while a work is fetched and unpacked.
Works get room in the order in which they asked, so that small ones do not overtake a large one for ever.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

from ao_workflows.errors import NoRoom
from ao_workflows.machine.disk import disk_error, files_below, is_removal_name
from ao_workflows.machine.file_locks import lock_if_free, take_when_free
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.staging.rejected_limit import kept_size
from ao_workflows.works.parts import part_staged_as

RESERVE_GIB = 10
"""How many GiB of the scratch disk stay free, unless the site says otherwise."""

ROOM_WAIT_HOURS = 24
"""How many hours a work waits for room on the scratch disk, unless the site says otherwise."""

ASK_AGAIN_SECONDS = 10.0
SAY_AGAIN_SECONDS = 600.0
_ST_BLOCK = 512
_WAIT = Event().wait


def _nothing_to_free() -> bool:
    return False


@dataclass(frozen=True)
class Promise:
    """The room that a work was promised, or, if ``waiting``, that it waits for.

    ``bytes`` is what the work needs in all. ``asked`` is the time of its request, in nanoseconds since 1970 began, by
    which those that wait are put into order.
    """

    rid: str
    bytes: int
    waiting: bool
    asked: int


@dataclass(frozen=True)
class Figures:
    """The room on the disk as one work finds it, in bytes.

    ``needs`` is what the work still has to write, ``free`` what the disk has free, ``promised`` how much of that other
    works have still to write, ``reserve`` how much is to stay free, and ``disk`` the size of the disk.
    """

    needs: int
    free: int
    promised: int
    reserve: int
    disk: int


class Room:
    """The room on the scratch disk, and what this process was promised of it.

    ``reserve`` bytes of the disk are no work's; kept messages that could not be used count in them. A work that gets no
    room waits for it for ``patience`` seconds.
    """

    def __init__(self, layout: StagingLayout, reserve: int, patience: float) -> None:
        self._layout = layout
        self._reserve = reserve
        self._patience = patience
        self._held: dict[str, int] = {}

    def promise(
        self,
        rid: str,
        needed: int,
        say: Callable[[str], None],
        free_next: Callable[[], bool] = _nothing_to_free,
        wait: Callable[[float], object] = _WAIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Waits until there is room for the work, and promises it. The promise holds until ``release``, or until the
        process ends.

        :param needed: how many bytes the work needs in all, with what it already has on the disk.
        :param say: called with a sentence that says what the work waits for: at first and then every ten minutes.
        :param free_next: frees something that no run needs, and returns whether there was anything. It is called only
            while the work lacks room, and only when it is the work's turn: otherwise the work ahead would get the room.
        :param wait: waits for so many seconds; ``clock`` returns seconds. Tests give others.
        :raises NoRoom: if there was no room for as long as the site allows, or the disk is too small for the work.
        :raises StagingError: if the promise cannot be written.
        """
        until = clock() + self._patience
        say_at = clock()
        asked = time.time_ns()
        while True:
            with self._one_at_a_time():
                figures, ahead = self._look(rid, needed, asked)
                fits = figures.needs <= max(0, figures.free - figures.promised - figures.reserve)
                granted = figures.needs == 0 or (fits and not ahead)
                self._write(Promise(rid, needed, not granted, asked))
            if granted:
                return
            if figures.needs + self._reserve > figures.disk:
                self.release(rid)
                raise self._no_room(rid, figures, "the disk is too small for it even when it is empty")
            if not ahead and free_next():
                continue
            if clock() >= until:
                self.release(rid)
                raise self._no_room(
                    rid,
                    figures,
                    f"it waited {self._patience / 3600:g} hours, as long as [staging] room_wait_hours allows. Free "
                    f"some of {self._layout.root}, then reprocess the work",
                )
            if clock() >= say_at:
                say_at = clock() + SAY_AGAIN_SECONDS
                turn = (
                    f"it is the turn of {part_staged_as(ahead)} first"
                    if ahead
                    else "waiting for other works to be done"
                )
                say(str(self._no_room(rid, figures, turn)))
            wait(ASK_AGAIN_SECONDS)

    def release(self, rid: str) -> None:
        """Gives back the work's room, promised or waited for; does nothing if this process has none for the work."""
        handle = self._held.pop(rid, None)
        if handle is not None:
            # If the file cannot be removed, it does not matter: a promise that nobody has locked does not count.
            with suppress(OSError):
                self._layout.reservation(rid).unlink(missing_ok=True)
            os.close(handle)

    def release_all(self) -> None:
        """Gives back the room of every work for which this process has any."""
        for rid in list(self._held):
            self.release(rid)

    def _look(self, rid: str, needed: int, asked: int) -> tuple[Figures, str | None]:
        """Returns the figures, and the RID of the work that has waited longest, if that asked before this one."""
        others = [promise for promise in self._promises() if promise.rid != rid]
        promised = sum(self._outstanding(other.rid, other.bytes) for other in others if not other.waiting)
        ahead = min((other for other in others if other.waiting), key=lambda other: other.asked, default=None)
        disk = shutil.disk_usage(self._layout.root)
        figures = Figures(
            needs=self._outstanding(rid, needed),
            free=disk.free,
            promised=promised,
            reserve=max(0, self._reserve - kept_size(self._layout).bytes),
            disk=disk.total,
        )
        return figures, ahead.rid if ahead and ahead.asked < asked else None

    def _outstanding(self, rid: str, needed: int) -> int:
        """Returns how many bytes of a work's room it has not used yet."""
        works, left_over = self._layout.work(rid).parent, self._layout.left_over(rid)
        names = os.listdir(works) if works.exists() else []
        # Something that could not be removed is not a part of what the work has written.
        under_way = [works / name for name in names if left_over.fullmatch(name) and not is_removal_name(name)]
        places = [self._layout.incoming(rid), self._layout.work(rid), *under_way]
        return max(0, needed - sum(map(_allocated, places)))

    def _promises(self) -> Iterator[Promise]:
        """Yields every promise that a living process has, and removes the files of processes that died."""
        for path in self._layout.reservations_lock().parent.glob("*.json"):
            try:
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                if path.stem not in self._held and lock_if_free(handle):
                    path.unlink(missing_ok=True)
                    continue
                text = os.pread(handle, 4096, 0)
            finally:
                os.close(handle)
            try:
                yield Promise(**json.loads(text))
            except (ValueError, TypeError):
                continue

    def _write(self, promise: Promise) -> None:
        handle = self._held.get(promise.rid)
        if handle is None:
            path = self._layout.reservation(promise.rid)
            try:
                handle = take_when_free(path)
            except OSError as error:
                raise disk_error(path, "cannot be written", error) from error
            self._held[promise.rid] = handle
        text = json.dumps(asdict(promise)).encode()
        try:
            os.pwrite(handle, text, 0)
            os.ftruncate(handle, len(text))
        except OSError as error:
            # A promise that is half written cannot be read. If this process kept its lock, others would wait in vain.
            self.release(promise.rid)
            raise disk_error(self._layout.reservation(promise.rid), "cannot be written", error) from error

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Holds a lock, so that looking and promising are one step although other processes do the same."""
        path = self._layout.reservations_lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = take_when_free(path)
        except OSError as error:
            raise disk_error(path, "cannot be written", error) from error
        try:
            yield
        finally:
            os.close(handle)

    def _no_room(self, rid: str, figures: Figures, reason: str) -> NoRoom:
        return NoRoom(
            self._layout.root,
            str(part_staged_as(rid)),
            figures.needs,
            figures.free,
            figures.reserve,
            figures.promised,
            reason,
        )


def _allocated(folder: Path) -> int:
    """Returns how many bytes the files below a folder take up on the disk."""
    total = 0
    for entry in files_below(folder):
        with suppress(OSError):
            total += entry.stat(follow_symlinks=False).st_blocks * _ST_BLOCK
    return total
