"""The scratch disk's client: locks a work, reads and writes its receipts and reports, and frees it when it is due.

What belongs here: making, reading and removing what ``StagingLayout`` names. What does not: moving a work's data,
which its stage does.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from ao_workflows.errors import Problem, StagingError, StagingFull, WorkBusy
from ao_workflows.machine import file_locks
from ao_workflows.machine.boot import boot_id
from ao_workflows.machine.disk import Removed, refusal, remove_tree
from ao_workflows.machine.files import made_parents, now, write_whole
from ao_workflows.machine.times import in_order
from ao_workflows.shown_names import shown_json
from ao_workflows.staging import freeing
from ao_workflows.staging.freeing import Freed
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.staging.receipts import Receipt
from ao_workflows.staging.room import ASK_AGAIN_SECONDS, Room
from ao_workflows.staging.run_locks import RunLocks
from ao_workflows.works.stages import Stage


class Staging(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The scratch disk at ``root``; a synced work stays on it for ``keep_days`` days.

    ``reserve_gib`` of it stay free, and a work waits ``room_wait_hours`` for room.
    """

    root: str
    keep_days: int = 0
    reserve_gib: float = 0
    room_wait_hours: float = 24

    _held: dict[str, int] = PrivateAttr(default_factory=dict)
    _room: Room | None = PrivateAttr(default=None)
    _run_locks: RunLocks | None = PrivateAttr(default=None)

    @property
    def layout(self) -> StagingLayout:
        return StagingLayout(Path(self.root))

    @property
    def room(self) -> Room:
        """The disk's room, and what this process has been promised of it."""
        if self._room is None:
            self._room = Room(self.layout, int(self.reserve_gib * (1 << 30)), self.room_wait_hours * 3600)
        return self._room

    @property
    def run_locks(self) -> RunLocks:
        """By which it can be told whether a run's process lives."""
        if self._run_locks is None:
            self._run_locks = RunLocks(self.layout.runs())
        return self._run_locks

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """A run's process shows that it lives; a sensor, which has no run, shows nothing.

        On a full disk it waits for room: no retry policy holds for what fails here, before the first step.
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
        """A run keeps its work's lock from its first stage to its end."""
        try:
            self.release()
        finally:
            self.run_locks.release()

    def hold(self, rid: str, holder: str) -> None:
        """Takes the work's lock for this process; does nothing where this process has it.

        The kernel lets go of it when the process ends, however it ends.

        :raises WorkBusy: where another process has it, saying what that one wrote of itself.
        :raises StagingError: where the lock's file cannot be written.
        """
        if rid in self._held:
            return
        self._lock(rid)
        # First of all: on a full disk it is what makes room.
        freeing.sweep(self.layout, rid)
        try:
            file_locks.say_holder(self._held[rid], holder)
        except OSError as error:
            self._let_go(rid)
            raise refusal(self.layout.lock(rid), "cannot be written", error) from error

    def _lock(self, rid: str) -> None:
        path = self.layout.lock(rid)
        made_parents(path)
        try:
            self._held[rid] = file_locks.take(path, rid)
        except OSError as error:
            raise refusal(path, "cannot be opened", error) from error

    def release(self) -> None:
        """Gives back every lock of this process, and removes their files; and its room."""
        self.room.release_all()
        for rid in list(self._held):
            self._let_go(rid)

    def _let_go(self, rid: str) -> None:
        handle = self._held.pop(rid)
        path = self.layout.lock(rid)
        # Where a person removed the file meanwhile, the one that is there now is another process's lock.
        with suppress(OSError):  # the kernel lets go of it all the same
            if file_locks.is_at(handle, path):
                path.unlink(missing_ok=True)
        os.close(handle)

    def receipt(self, rid: str, stage: str) -> Receipt | None:
        """The stage's receipt, or None where there is none, or what is there is none.

        On a disk that takes ``w1`` and ``W1`` for one name, the other work's receipt is none of this one's.

        :raises StagingError: if the file cannot be read.
        """
        path = self.layout.receipt(rid, stage)
        try:
            found = Receipt.parse(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StagingError(path, f"cannot be read: {error.strerror}") from error
        return found if found and found.rid == rid else None

    def write_receipt(
        self,
        rid: str,
        stage: str,
        took: Mapping[str, Any],
        left: Mapping[str, Any],
        run_id: str,
        *,
        flush: bool = False,
    ) -> Receipt:
        receipt = Receipt(stage, rid, took, left, run_id, boot_id(), now())
        write_whole(self.layout.receipt(rid, stage), receipt.dump(), flush=flush)
        return receipt

    def withdraw(self, rid: str, stage: str) -> None:
        """Removes a stage's receipt before what it names is replaced: sizes and counts may be those of the new one.

        :raises StagingError: if it cannot be removed.
        """
        path = self.layout.receipt(rid, stage)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StagingError(path, f"cannot be removed: {error.strerror}") from error

    def throw_away(self, rid: str, stage: str) -> None:
        """Removes what would spare a stage its work: its receipts, and of a download what is there of it.

        The work's lock is to be held. What the stage left is replaced when it has been done anew, and not before.
        """
        layout = self.layout
        # Of syncing, each work of a zip has a receipt of its own.
        spares = [layout.receipt(rid, stage), *layout.receipt(rid, stage).parent.glob(f"{stage}.*.json")]
        spares += [layout.journal(rid)] if stage == Stage.DOWNLOADED_BAG else []
        for path in spares:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StagingError(path, f"cannot be removed: {error.strerror}") from error

    def write_report(self, rid: str, name: str, problems: Iterable[Problem], run_id: str, source: str) -> Path:
        """Writes what is wrong with the work's bag, every problem of it, and says where."""
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
        """A bag that is good now is in no quarantine."""
        with suppress(OSError):
            remove_tree(self.layout.report(rid).parent)

    def free(self, rid: str) -> int:
        """Removes a work's zip and folders, which the archive has been proven to hold. Returns the bytes freed.

        :raises StagingError: if they cannot be removed; they are in nobody's way then.
        """
        self.room.release(rid)
        return freeing.free(self.layout, rid)

    def free_synced(self, rid: str, archived: Callable[[Iterable[str]], bool]) -> Freed:
        """Frees a work that is in the archive, or, where the site keeps works, those that have been kept for so long.

        A failure is told, and raised to nobody: no work is less in the archive for it.
        """
        if self.keep_days:
            return self.free_outlived(archived)
        try:
            return Freed((rid,) if self.free(rid) else ())
        except StagingError as error:
            return Freed((), (error,))

    def free_outlived(self, archived: Callable[[Iterable[str]], bool]) -> Freed:
        """Frees the synced works that have been kept for as long as the site wants.

        A work that another run has, or of which something newer than what was synced is here, stays; so does one of
        whose zip's works ``archived`` says that the archive which they were put into is not there.
        """
        oldest = datetime.now(UTC) - timedelta(days=self.keep_days)
        freed, stuck = [], []
        for rid in freeing.works_there(self.layout):
            try:
                if self._synced_before(rid, oldest) and self._freed_now(rid, oldest, archived):
                    freed.append(rid)
            except StagingError as error:
                stuck.append(error)
        return Freed(tuple(freed), tuple(stuck))

    def _freed_now(self, rid: str, oldest: datetime, archived: Callable[[Iterable[str]], bool]) -> bool:
        was_held = rid in self._held
        try:
            self.hold(rid, "the freeing of outlived works")
        except WorkBusy:
            return False
        try:
            # Asked again: until the lock was had, another run may have brought the work anew.
            if not (self._synced_before(rid, oldest) and archived(self._places_of(rid))):
                return False
            self.free(rid)
        finally:
            if not was_held:
                self._let_go(rid)
        return True

    def sweep(self) -> Removed:
        """Removes what was left half made, or could not be freed, of the works that no run has now."""
        count, size, stuck = 0, 0, []
        for rid in freeing.works_with_left_overs(self.layout):
            try:
                self._lock(rid)
            except WorkBusy:
                continue
            except StagingError as error:
                stuck.append(str(error))
                continue
            try:
                removed = freeing.sweep(self.layout, rid)
            finally:
                self._let_go(rid)
            count, size = count + removed.count, size + removed.bytes
            stuck += removed.stuck
        return Removed(count, size, stuck=tuple(stuck))

    def _places_of(self, rid: str) -> list[str]:
        """The works of the zip that were put into the archive."""
        synced = self.receipt(rid, "synced_archive")
        return list(synced.left.get("places", [rid])) if synced else []

    def _synced_before(self, rid: str, oldest: datetime) -> bool:
        """Whether what is here of the work is what was synced, and that before ``oldest``, and kept since."""
        synced = self.receipt(rid, "synced_archive")
        if synced is None or not synced.left.get("kept") or in_order(synced.at) >= oldest:
            return False
        downloaded, debagged = self.receipt(rid, "downloaded_bag"), self.receipt(rid, "debagged_work")
        if debagged is not None and debagged.took != synced.took:
            return False
        # A version that did not name the whole chain left no event in it.
        event = {name: value for name, value in synced.took.items() if name == "event"}
        if downloaded is None:
            # Withdrawn: something is being downloaded, for the event that is stored now.
            stored = self.receipt(rid, "restored_message")
            return stored is None or not event or dict(stored.took) == event
        same_event = not event or dict(downloaded.took) == event
        return same_event and all(
            downloaded.left.get(name) == value for name, value in synced.took.items() if name != "event"
        )
