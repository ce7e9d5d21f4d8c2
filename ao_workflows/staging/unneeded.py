"""Frees what no run needs, for who needs room and by night: what killed runs left, and kept works whose time is over.

A run that needs room frees as much as it needs, and the nightly housekeeping frees everything. What belongs here: the
order, and what is checked before each removal. What does not: when a work's time is over
(``ao_workflows.staging.retention``), and the removal itself (``ao_workflows.staging.freeing``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ao_workflows.errors import AoError, StagingError, WorkBusy
from ao_workflows.machine.disk import Removed
from ao_workflows.staging import freeing
from ao_workflows.staging.receipts import Synced
from ao_workflows.staging.retention import kept_until
from ao_workflows.staging.staging import Staging


@dataclass
class _Tally:
    """What was removed of one kind of thing; ``stuck`` has, by its work, a sentence for each that could not be."""

    rids: list[str] = field(default_factory=list)
    count: int = 0
    bytes: int = 0
    oldest_kept: datetime | None = None
    stuck: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def removed(self) -> Removed:
        stuck = tuple(said for of_work in self.stuck.values() for said in of_work)
        return Removed(self.count, self.bytes, self.oldest_kept, stuck)


class Unneeded:
    """Frees what no run needs, each work under its lock.

    What cannot be freed is logged once, with its path and the reason; no error is raised for it.

    :param look_for_shares: called with the RIDs of works; raises an ``AoError`` if the archive's shares that hold them
        are not mounted, because the staged copy may then be the only one that anybody can read.
    :param has_run: whether a work has a run that has not ended. Such a run may begin at a stage that needs the files.
    """

    def __init__(
        self,
        staging: Staging,
        look_for_shares: Callable[[Iterable[str]], None],
        has_run: Callable[[str], bool],
        log: logging.Logger,
    ) -> None:
        self._staging = staging
        self._look_for_shares = look_for_shares
        self._has_run = has_run
        self._log = log
        self._left_overs = _Tally()
        self._kept = _Tally()
        self._wanted: set[str] = set()

    @property
    def left_overs(self) -> Removed:
        """What was removed so far of the files and folders that killed runs left half unpacked or half removed."""
        return self._left_overs.removed()

    @property
    def kept(self) -> Removed:
        """What was removed so far of synced works whose time was over.

        ``oldest_kept`` is when the first synced of the others was synced, None if there are none.
        """
        return self._kept.removed()

    @property
    def freed(self) -> tuple[str, ...]:
        """The RIDs of the synced works that were freed."""
        return tuple(self._kept.rids)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The RIDs of the works whose time was over, but which were not freed because somebody works on them or a run
        of theirs has not ended.
        """
        return tuple(sorted(self._wanted))

    def free_next(self) -> bool:
        """Frees the left-overs of one work; if there are none, the work that was synced first of those whose time is
        over. Returns whether something was removed.
        """
        return any(self._removals())

    def free_all(self) -> None:
        """Frees everything that no run needs now."""
        for _ in self._removals():
            pass

    def _removals(self) -> Iterator[bool]:
        """Tries one removal after the other, and yields after each whether it removed something."""
        for rid in freeing.works_with_left_overs(self._staging.layout):
            yield self._sweep(rid)
        for rid in self._due():
            yield self._free(rid)

    def _sweep(self, rid: str) -> bool:
        try:
            with self._staging.held_for_no_run(rid):
                removed = freeing.sweep(self._staging.layout, rid)
        except WorkBusy:
            return False
        except StagingError as error:
            removed = Removed(stuck=(str(error),))
        self._left_overs.count += removed.count
        self._left_overs.bytes += removed.bytes
        self._note(self._left_overs, rid, removed.stuck)
        return removed.count > 0

    def _due(self) -> list[str]:
        """Returns the RIDs of the works whose time is over, those synced first before the others."""
        now, synced_at, kept_since = datetime.now(UTC), {}, []
        for rid in freeing.works_there(self._staging.layout):
            try:
                # For most works this one receipt is enough to see that their time is not over.
                synced = self._staging.synced(rid)
                if synced is None:
                    continue
                if synced.at + timedelta(days=self._staging.keep_days) > now:
                    kept_since.append(synced.at)
                elif self._whose_time_is_over(rid):
                    synced_at[rid] = synced.at
            except StagingError as error:
                self._note(self._kept, rid, (str(error),))
        self._kept.oldest_kept = min(kept_since, default=None)
        return sorted(synced_at, key=lambda rid: synced_at[rid])

    def _whose_time_is_over(self, rid: str) -> Synced | None:
        """Returns the receipt of the work's sync if its time is over, else None."""
        receipts = self._staging.receipts(rid)
        synced, until = receipts.synced, kept_until(receipts, self._staging.keep_days)
        if synced is None or until is None or until > datetime.now(UTC):
            return None
        # One that has none is being synced once more, or that failed: the archive may have half of it.
        return synced if all(self._staging.placed(rid, work) for work in synced.places) else None

    def _free(self, rid: str) -> bool:
        try:
            with self._staging.held_for_no_run(rid):
                # Checked again: before the lock was got, a run may have brought the work anew, or somebody freed it.
                synced = self._whose_time_is_over(rid)
                if synced is None or not freeing.is_there(self._staging.layout, rid):
                    return False
                if self._is_wanted(rid):
                    self._wanted.add(rid)
                    return False
                self._look_for_shares(synced.places)
                size = freeing.free(self._staging.layout, rid)
        except WorkBusy:
            self._wanted.add(rid)
            return False
        except AoError as error:
            self._note(self._kept, rid, (f"{rid}, in the archive and no longer to be kept, was not freed: {error}",))
            return False
        self._note(self._kept, rid, ())
        self._kept.rids.append(rid)
        self._kept.count += 1
        self._kept.bytes += size
        days = self._staging.keep_days
        self._log.info(
            f"freed {size:,} bytes of {rid}: in the archive since {synced.at.isoformat()}, and kept for {days} days"
        )
        return True

    def _is_wanted(self, rid: str) -> bool:
        try:
            return self._has_run(rid)
        except Exception as error:
            # Each of Dagster's storages has errors of its own; who waits for room outlasts them, as it does the rest.
            said = str(error).partition("\n")[0] or type(error).__name__
            reason = f"Dagster does not say whether a run has it: {said}"
            raise StagingError(self._staging.layout.work(rid), reason) from error

    def _note(self, tally: _Tally, rid: str, stuck: tuple[str, ...]) -> None:
        if rid not in tally.stuck:
            for said in stuck:
                self._log.warning(said)
        if stuck:
            tally.stuck[rid] = stuck
        else:
            tally.stuck.pop(rid, None)
