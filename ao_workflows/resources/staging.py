"""The staging disk: locks, receipts, reports, and what is freed when a work is safe in the archive.

What belongs here: making, reading and removing what ``StagingLayout`` names. What does not: moving a work's data,
which its stage does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from ao_workflows.domain.errors import Problem, StagingError, WorkBusy
from ao_workflows.domain.progress import Stage
from ao_workflows.domain.receipts import Receipt, boot_id
from ao_workflows.domain.shown_names import shown_json
from ao_workflows.domain.times import in_order
from ao_workflows.domain.works import StagingLayout
from ao_workflows.resources import file_locks
from ao_workflows.resources.room import Room
from ao_workflows.resources.run_locks import RunLocks


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
        """A run's process shows that it lives; a sensor, which has no run, shows nothing."""
        if context.run_id:
            self.run_locks.hold(context.run_id)

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
        path = self.layout.lock(rid)
        made_parents(path)
        try:
            handle = file_locks.take(path, rid)
        except OSError as error:
            raise StagingError(path, f"cannot be opened: {error.strerror}") from error
        self._held[rid] = handle
        self._sweep(rid)
        try:
            file_locks.say_holder(handle, holder)
        except OSError as error:
            self._let_go(rid)
            raise StagingError(path, f"cannot be written: {error.strerror}") from error

    def release(self) -> None:
        """Gives back every lock of this process, and removes their files; and its room."""
        self.room.release_all()
        for rid in list(self._held):
            self._let_go(rid)

    def _let_go(self, rid: str) -> None:
        handle = self._held.pop(rid)
        path = self.layout.lock(rid)
        # Where a person removed the file meanwhile, the one that is there now is another process's lock.
        if file_locks.is_at(handle, path):
            path.unlink(missing_ok=True)
        os.close(handle)

    def _sweep(self, rid: str) -> None:
        """Removes what runs of the work that were killed left half unpacked, half removed or half written."""
        left_over = re.compile(rf"\.{re.escape(rid)}\.[^.]+\.tmp")
        for parent in (self.layout.incoming(rid).parent, self.layout.work(rid).parent):
            for name in os.listdir(parent) if parent.exists() else ():
                if left_over.fullmatch(name):
                    shutil.rmtree(parent / name, ignore_errors=True)
        for path in self.layout.receipt(rid, "any").parent.glob(".*.tmp"):
            path.unlink(missing_ok=True)

    def receipt(self, rid: str, stage: str) -> Receipt | None:
        """The stage's receipt, or None where there is none, or what is there is none.

        :raises StagingError: if the file cannot be read.
        """
        path = self.layout.receipt(rid, stage)
        try:
            return Receipt.parse(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StagingError(path, f"cannot be read: {error.strerror}") from error

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
        shutil.rmtree(self.layout.report(rid).parent, ignore_errors=True)

    def free(self, rid: str) -> int:
        """Removes a work's zip and folders, which the archive has been proven to hold. Returns the bytes freed.

        :raises StagingError: if they cannot be removed.
        """
        self.room.release(rid)
        going, folder = [], self.layout.root
        try:
            for folder in (self.layout.incoming(rid), self.layout.work(rid)):
                if folder.exists():
                    # Under a name of its own first: half a work must not stand where a receipt says a whole one does.
                    going.append(folder.rename(folder.with_name(f".{rid}.freed.tmp")))
            files = [path for gone in going for path in gone.rglob("*") if path.is_symlink() or not path.is_dir()]
            # To take a file's memory back keeps the kernel busy for a second of each 4 GB: so on all cores.
            with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "free") as pool:
                freed = sum(pool.map(_remove, files))
            for folder in going:
                shutil.rmtree(folder)
        except OSError as error:
            raise StagingError(error.filename or folder, f"cannot be removed: {error.strerror}") from error
        return freed

    def free_outlived(self, archived: Callable[[Iterable[str]], bool]) -> list[str]:
        """Frees the synced works that have been kept for as long as the site wants, and returns their RIDs.

        A work that another run has, or of which something newer than what was synced is here, stays; so does one of
        whose zip's works ``archived`` says that the archive which they were put into is not there.
        """
        oldest = datetime.now(UTC) - timedelta(days=self.keep_days)
        freed = []
        for folder in (self.layout.root / "incoming", self.layout.root / "works"):
            for rid in sorted(os.listdir(folder)) if folder.exists() else ():
                if rid.startswith(".") or not self._synced_before(rid, oldest):
                    continue
                was_held = rid in self._held
                try:
                    self.hold(rid, "the freeing of outlived works")
                except WorkBusy:
                    continue
                try:
                    # Asked again: until the lock was had, another run may have brought the work anew.
                    if self._synced_before(rid, oldest) and archived(self._places_of(rid)):
                        self.free(rid)
                        freed.append(rid)
                finally:
                    if not was_held:
                        self._let_go(rid)
        return freed

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


def now() -> str:
    """The time, RFC 3339 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def made_parents(path: Path) -> Path:
    """``path``, with the folders above it there.

    :raises StagingError: if they cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StagingError(path.parent, f"cannot be made: {error.strerror}") from error
    return path


def write_whole(path: Path, text: str, *, flush: bool = False) -> None:
    """Writes a file that a reader sees whole or not at all; with ``flush``, on the disk and not only in memory.

    :raises StagingError: if it cannot be written.
    """
    made_parents(path)
    under_way = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # A lone surrogate in a message's JSON becomes the escape that JSON has for it.
        with under_way.open("w", encoding="utf-8", errors="backslashreplace") as out:
            out.write(text)
            if flush:
                out.flush()
                os.fsync(out.fileno())
        under_way.replace(path)
        if flush:
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    except OSError as error:
        under_way.unlink(missing_ok=True)
        raise StagingError(path, f"cannot be written: {error.strerror}") from error


def _remove(path: Path) -> int:
    """Removes a file, and returns its bytes."""
    size = path.stat(follow_symlinks=False).st_size
    path.unlink()
    return size
