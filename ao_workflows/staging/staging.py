"""The scratch disk's client: locks a work, reads and writes its receipts and reports, and frees it when it is due.

What belongs here: making, reading and removing what ``StagingLayout`` names. What does not: moving a work's data,
which its stage does.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import dagster as dg
from pydantic import Field, PrivateAttr

from ao_workflows.errors import Problem, StagingError, StagingFull
from ao_workflows.machine import file_locks
from ao_workflows.machine.disk import disk_error, remove_tree
from ao_workflows.machine.files import made_parents, now, write_whole
from ao_workflows.shown_names import shown_json
from ao_workflows.staging import freeing
from ao_workflows.staging.freeing import Freed
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipt_files import read_placed, read_receipts, read_synced, write_receipt
from ao_workflows.staging.receipts import Placed, Receipt, Synced
from ao_workflows.staging.room import ASK_AGAIN_SECONDS, RESERVE_GIB, ROOM_WAIT_HOURS, Room
from ao_workflows.staging.run_locks import RunLocks
from ao_workflows.works.parts import Part, part_staged_as, staged_parts
from ao_workflows.works.stages import Stage


class Staging(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The scratch disk at ``root``; a synced work stays on it for ``keep_days`` days.

    ``reserve_gib`` of it stay free, and a work waits ``room_wait_hours`` for room. ``places`` has the patterns of the
    keys that one object may have, by the intake: a delivery of another object is held here.
    """

    root: str
    keep_days: int = 0
    reserve_gib: float = RESERVE_GIB
    room_wait_hours: float = ROOM_WAIT_HOURS
    places: dict[str, list[str]] = Field(default={})

    _held: dict[str, int] = PrivateAttr(default_factory=dict)
    _room: Room | None = PrivateAttr(default=None)
    _run_locks: RunLocks | None = PrivateAttr(default=None)

    @property
    def layout(self) -> StagingLayout:
        """The paths of everything on the scratch disk."""
        return StagingLayout(Path(self.root))

    @property
    def room(self) -> Room:
        """The room on the disk, and what this process was promised of it."""
        if self._room is None:
            self._room = Room(self.layout, int(self.reserve_gib * (1 << 30)), self.room_wait_hours * 3600)
        return self._room

    @property
    def run_locks(self) -> RunLocks:
        """The locks of runs, which show whether a run's process lives."""
        if self._run_locks is None:
            self._run_locks = RunLocks(self.layout.runs())
        return self._run_locks

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Locks the run's file, which shows that its process lives; does nothing for a sensor, which has no run.

        On a full disk it waits for room, for ``room_wait_hours`` at most: Dagster's retry policies do not apply to what
        fails here, before the first step.

        :raises StagingFull: if the disk has been full for all that time.
        :raises StagingError: if the file cannot be made.
        """
        until = time.monotonic() + self.room_wait_hours * 3600
        said = False
        while context.run_id:
            try:
                self.run_locks.hold(context.run_id)
            except StagingFull as error:
                if time.monotonic() >= until:
                    raise
                if context.log and not said:
                    context.log.warning(f"{error}. The run waits for that")
                said = True
                time.sleep(ASK_AGAIN_SECONDS)
            else:
                return

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Unlocks the work and the run's file, and gives back the work's room: a run keeps them from its first stage to
        its end.
        """
        try:
            self.release()
        finally:
            self.run_locks.release()

    def hold(self, rid: str, holder: str) -> None:
        """Locks the work for this process, and removes what killed runs of it left half made; does nothing if this
        process has the lock already.

        The parts of a work have one lock. ``rid`` is the name of the part whose left-overs are removed.

        The kernel unlocks it when the process ends, however it ends.

        :param holder: what the process writes about itself into the lock's file, for others to read.
        :raises RidError: if ``rid`` can be no work's name. Whoever may write into Dagster's storage may add a
            partition such as ``../../mnt``, and every folder of the work would be elsewhere.
        :raises WorkBusy: if another process has the lock, with what that process wrote about itself.
        :raises StagingError: if the lock's file cannot be written.
        """
        work = part_staged_as(rid).rid
        if work in self._held:
            return
        self._lock(work)
        # Done before anything is written: on a full disk it is what makes room.
        freeing.sweep(self.layout, rid)
        try:
            file_locks.say_holder(self._held[work], holder)
        except OSError as error:
            self._let_go(work)
            raise disk_error(self.layout.lock(rid), "cannot be written", error) from error

    def _lock(self, work: str) -> None:
        path = self.layout.lock(work)
        made_parents(path)
        try:
            self._held[work] = file_locks.take(path, work)
        except OSError as error:
            raise disk_error(path, "cannot be opened", error) from error

    @contextmanager
    def held_for_no_run(self, rid: str) -> Iterator[None]:
        """Locks the work within a ``with`` block that removes something of it that no run needs.

        :raises WorkBusy: if the lock is held already, be it by this process for its own run.
        :raises StagingError: if the lock's file cannot be made.
        """
        work = part_staged_as(rid).rid
        self._lock(work)
        try:
            # On a full disk the holder's name cannot be written; the work is locked all the same.
            with suppress(OSError):
                file_locks.say_holder(self._held[work], "the freeing of what no run needs")
            yield
        finally:
            self._let_go(work)

    def release(self) -> None:
        """Unlocks all works that this process has locked, removes their lock files, and gives back all its room."""
        self.room.release_all()
        for rid in list(self._held):
            self._let_go(rid)

    def _let_go(self, rid: str) -> None:
        handle = self._held.pop(rid)
        path = self.layout.lock(rid)
        # If a person removed the file meanwhile, the one that is there now is another process's lock.
        with suppress(OSError):  # the kernel unlocks it all the same
            if file_locks.is_at(handle, path):
                path.unlink(missing_ok=True)
        os.close(handle)

    def receipts(self, rid: str) -> Receipts:
        """Reads the receipts of a work. The error of one that cannot be used is in ``refused`` of what is returned.

        :raises StagingError: if a file cannot be read.
        """
        return read_receipts(self.layout, rid)

    def parts_with_receipts(self, rid: str) -> list[Part]:
        """Returns the parts of a work, the one named as the work included, of which the disk has receipts, in order."""
        return staged_parts(freeing.names_in(self.layout.receipt(rid, "any").parent.parent), rid)

    def parts_with_events(self, rid: str) -> list[Part]:
        """Returns the parts of a work of which an event is noted that no run has stored yet, in order."""
        return staged_parts(freeing.names_in(self.layout.events(rid).parent), rid)

    def synced(self, rid: str) -> Synced | None:
        """Reads only the receipt of the work's sync, for callers that look at many works; returns None if there is none
        that can be used.

        :raises StagingError: if the file cannot be read.
        """
        return read_synced(self.layout, rid)

    def placed(self, rid: str, work: str) -> Placed | None:
        """Reads the receipt of one work of a zip; returns None if there is none.

        :param rid: the RID of the partition under which the zip came.
        :param work: the work's own RID.
        :raises ReceiptRefused: if the receipt cannot be used.
        :raises StagingError: if the file cannot be read.
        """
        return read_placed(self.layout, rid, work)

    def write_receipt(self, receipt: Receipt, *, flush: bool = False) -> None:
        """Writes a receipt to its file, replacing the one before.

        :param flush: return only when the file is on the disk, and not in memory alone.
        :raises StagingError: if it cannot be written.
        """
        write_receipt(self.layout, receipt, flush=flush)

    def withdraw(self, rid: str, stage: str) -> None:
        """Removes a stage's receipt before what it names is replaced.

        Otherwise the old receipt could be taken for that of the new files, if their sizes and counts are the same.

        :raises StagingError: if it cannot be removed.
        """
        path = self.layout.receipt(rid, stage)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StagingError(path, f"cannot be removed: {error.strerror}") from error

    def throw_away(self, rid: str, stage: str) -> None:
        """Removes what would let a stage skip its work: its receipts, and the journal by which a download is resumed.

        The caller must hold the work's lock. What the stage made stays until the stage replaces it.

        :raises StagingError: if something cannot be removed.
        """
        layout = self.layout
        # Of the sync, each work of a zip has a receipt of its own too.
        spares = [layout.receipt(rid, stage), *layout.receipt(rid, stage).parent.glob(f"{stage}.*.json")]
        spares += [layout.journal(rid)] if stage == Stage.DOWNLOADED_BAG else []
        for path in spares:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StagingError(path, f"cannot be removed: {error.strerror}") from error

    def write_report(self, rid: str, name: str, problems: Iterable[Problem], run_id: str, source: str) -> Path:
        """Writes the report that says what is wrong with the work's bag, and returns its path.

        :param name: the name of the bag's zip.
        :param source: the address of the object, or the dropped file, that the zip came from.
        :raises StagingError: if it cannot be written.
        """
        path = self.layout.report(rid)
        found = [asdict(problem) for problem in problems]
        report = {
            "rid": rid,
            "bag": name,
            "source": source,
            "run_id": run_id,
            "at": now(),
            "problem_count": len(found),
            "problems": found,
        }
        write_whole(path, shown_json(json.dumps(report, indent=1, ensure_ascii=False)))
        return path

    def remove_report(self, rid: str) -> None:
        """Removes the report of a work whose bag is good now; a report that cannot be removed stays."""
        with suppress(OSError):
            remove_tree(self.layout.report(rid).parent)

    def free(self, rid: str) -> int:
        """Removes the zip and folders of a work that is proven to be in the archive, gives back its room, and returns
        the bytes freed.

        :raises StagingError: if something cannot be removed. What remains is in nobody's way: see ``freeing.free``.
        """
        self.room.release(rid)
        return freeing.free(self.layout, rid)

    def free_synced(self, rid: str) -> Freed:
        """Frees a work that is in the archive, unless the site keeps synced works for some days.

        An error is returned and not raised: the work is in the archive all the same.
        """
        if self.keep_days:
            return Freed()
        try:
            return Freed(rid if self.free(rid) else "")
        except StagingError as error:
            return Freed(stuck=error)
