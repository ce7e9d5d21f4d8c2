"""One work's sync: its options, the look at what the archive has of it, the script, the proof, and its own receipt.

What belongs here: the order of these, and what spares a work that is done. What does not: the script itself
(``ao_workflows.archive.sync_script``), and what became of the zip's works together
(``ao_workflows.defs.restore.synced_works``).

A zip's works beside the event's own are guests: they add, and change nothing that is there, unless a person names them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ao_workflows.archive.before_sync import ArchivedCopy, changes_by_sync, compare_copy
from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.archive.places import archive_place
from ao_workflows.archive.replaced import keep_replaced, list_changes, write_changed
from ao_workflows.archive.shares import replaced_place
from ao_workflows.archive.sync_options import SyncOptions
from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.archive.web_copy import compare_web, images_beside
from ao_workflows.defs.restore.synced_works import SyncedWork
from ao_workflows.errors import (
    AoError,
    ArchiveMismatch,
    CopyMismatch,
    DeliveryHeld,
    Problem,
    ReceiptRefused,
    WebMismatch,
    WordInVain,
    WorkHeld,
)
from ao_workflows.fixity.trees import Depth, FileFixity, compare_tree, files_beside, read_fixity
from ao_workflows.shown_names import shown
from ao_workflows.staging.receipts import Origin, Placed
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.validity import depth_for
from ao_workflows.works.stages import Stage

EXTRA_SHOWN = 100


@dataclass(frozen=True)
class Syncing:
    """The syncing of the works that came in one zip, under the partition ``rid``, by the run ``run_id``.

    ``origin`` is the event and the zip. ``staged`` says that the works are on the scratch disk; else they were synced
    before, and the archive's copies are compared again. The event's own work has its place in the archive locked until
    ``until_recorded`` is left, another one of the zip until it is synced. ``still_wanted`` raises ``DeliveryHeld``
    where the delivery may not be done any more; it is asked before each work, when nobody else can write to its place.
    ``record_guest`` notes a work beside the event's own in DRS, by its receipt, before another run may have its place.
    A person's word: ``replace`` has the archive's copy replaced, ``others`` names works beside the event's own that
    may change what is there, and ``leave`` those that stay as the archive has them.
    """

    staging: Staging
    script: SyncScript
    rid: str
    origin: Origin
    run_id: str
    staged: bool
    say: Callable[[str], None]
    until_recorded: ExitStack
    still_wanted: Callable[[], None]
    record_guest: Callable[[Placed], None]
    replace: bool = False
    others: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()

    @property
    def shares(self) -> ArchiveShares:
        """The archive's shares, into which the works go."""
        return ArchiveShares(Path(self.script.archive_parent), self.staging.layout.archive_shares())

    def heed_word(self, works: Sequence[str]) -> None:
        """Looks whether a person's word for this run is for some of the zip's ``works``.

        :raises WordInVain: if it is not: a run that did nothing of what it was asked for would end well.
        """
        if unknown := [name for name in self.others if name not in works]:
            raise WordInVain(self.rid, f"--others {', '.join(unknown)} is none of these", works)
        if unknown := [name for name in self.leave if name == self.rid or name not in works]:
            raise WordInVain(self.rid, f"--leave {', '.join(unknown)} is none of these beside its own", works)
        if both := [name for name in self.leave if name in self.others]:
            raise WordInVain(self.rid, f"--others and --leave both name {', '.join(both)}", works)
        if self.staged:
            # What is passed over is freed on the scratch disk too: it must be somewhere.
            self.shares.look_for_all(self.leave)
            if nowhere := [name for name in self.leave if not self._standing(name).is_dir()]:
                said = f"the archive has nothing of {', '.join(nowhere)} that --leave could leave"
                raise WordInVain(self.rid, said, works)
        if self.replace and all(map(self._is_guest, works)):
            raise WordInVain(self.rid, f"--replace is for {self.rid} itself, which did not come", works)

    @contextmanager
    def place_held(self, work: str) -> Iterator[int]:
        """Holds the lock of the work's place in the archive, whatever partition it came under; its descriptor.

        :raises WorkBusy: if another run has it; ``ArchiveShareLost`` and ``ArchiveNotSetUp`` of its share.
        """
        held = self.shares.place_held(work, f"run {self.run_id}")
        if work == self.rid:
            yield self.until_recorded.enter_context(held)
        else:
            with held as lock:
                yield lock

    def sync(self, work: str, lock: int) -> SyncedWork:
        """Has the script put the work into the archive, unless it is there already, and proves it.

        The script inherits the ``lock`` of the work's place: what outlives this process has it, too.

        :raises WorkHeld: if it came beside the event's own, and would change what is there.
        :raises SyncError: if it is not there afterwards.
        :raises ServiceError: if the web's S3 does not answer, ``ObjectError`` if it refuses.
        """
        earlier = self._earlier(work)
        if not self.staged:
            log, web = (earlier.log, earlier.web) if earlier else ("", None)
            return self._prove(work, log, web, self.script.verify, earlier)
        folder = self.staging.layout.work(self.rid) / work
        options = self._options(work, folder)
        words = tuple(options.words(self.script.archive_parent, self.script.web_parent))
        environment = options.environment()
        # A person's word given anew is done anew, also where an earlier run did the same.
        anew = self._replaces(work) and not (earlier and earlier.run_id == self.run_id)
        if earlier and not anew and (earlier.options, earlier.environment) == (words, environment):
            # Where it was this run that proved it, and another thing that failed, each byte need not be read again.
            by_this = earlier.run_id == self.run_id and depth_for(earlier) == "size"
            depth: Depth = "size" if by_this else self.script.verify
            try:
                done = self._prove(work, earlier.log, earlier.web, depth, earlier)
            except CopyMismatch as error:
                self.say(f"{error}. It is synced again")
            else:
                then = earlier.at.isoformat()
                self.say(f"{work}: synced at {then} by run {earlier.run_id}, and still as it was bagged")
                return done
        at, log = datetime.now().astimezone(), ""
        web = self.script.web_place(work, options)
        before = ArchivedCopy(there=False)
        if options.archive:
            self._flush(self._standing(work))
            before = compare_copy(self._standing(work), self._bagged(work))
        if self._is_guest(work) and self._has_all_of_guest(work, web, before):
            self.say(f"{work} came beside {self.rid}, and the archive has it as it was bagged: nothing is done")
        else:
            changed = self._ready(work, options, before, web, at)
            # To look at what is there, and to keep it, may have taken hours.
            self.shares.look_for(work)
            log = str(self.script.run(work, folder, options, self.run_id, self.say, at, (lock,), changed).log)
        self.shares.look_for(work)
        self._flush(self._place(work))
        try:
            proven = self._prove(work, log, web, self.script.verify, None, before)
        except ArchiveMismatch as error:
            if options.archive:
                raise
            left_out = f"{work}: sync.yml says archive: false, and {error.place} does not hold the work"
            return SyncedWork(str(error.place), log, web, (), 0, 0, None, left_out)
        # Hardly anything is left to flush; but what was proven is on the disk, whoever wrote meanwhile.
        self._flush(self._place(work))
        receipt = Placed(
            rid=self.rid,
            run_id=self.run_id,
            work=work,
            origin=self.origin,
            options=words,
            environment=environment,
            place=proven.place,
            log=log,
            web=web,
        )
        self.staging.write_receipt(receipt)
        self.say(f"{work}: {proven.place} holds what was bagged" + (f", and {web} its images" if web else ""))
        return replace(proven, receipt=receipt)

    def _is_guest(self, work: str) -> bool:
        return work != self.rid and work not in self.others

    def _redo(self, work: str) -> str:
        """How ``ao reprocess`` names the work, so that it may change, or be replaced."""
        return self.rid if work == self.rid else f"{self.rid} --others {work}"

    def _replaces(self, work: str) -> bool:
        return self.replace and not self._is_guest(work)

    def _options(self, work: str, folder: Path) -> SyncOptions:
        options = self.script.options_of(folder, self._redo(work), replacing=self._replaces(work))
        if options.replace and self._is_guest(work):
            self.say(f"{work} came beside {self.rid}: it is added to what is there, and replaces nothing")
            return replace(options, replace=False)
        return options

    def _has_all_of_guest(self, work: str, web: str | None, before: ArchivedCopy) -> bool:
        """Whether all that a guest brings is there already.

        :raises WorkHeld: if it would change what is there.
        """
        if before.changing:
            raise WorkHeld(work, self.rid, self._standing(work), before.changing)
        lacking: Sequence[Problem] = ()
        if web:
            folder = self.staging.layout.work(self.rid) / work
            # By their bytes, however the site compares the outcome: where one is missing, the script sends them all.
            _, lacking = compare_web(self.script.web_connection(), web, self._bagged(work), folder, "checksum")
            if changing := [problem for problem in lacking if problem.kind != "missing"]:
                raise WorkHeld(work, self.rid, web, changing)
        if before.there and before.problems:
            self.say(f"{work} came beside {self.rid}: {len(before.problems):,} files that the archive lacks are added")
        in_place = before.there and self._standing(work) == self._place(work)
        return in_place and not before.problems and not lacking

    def _ready(
        self, work: str, options: SyncOptions, before: ArchivedCopy, web: str | None, at: datetime
    ) -> Path | None:
        """Lists and keeps what the script will take from what is there, and returns the list of what differs for it."""
        place, logs = self._standing(work), self.script.log_folder(work, at, self.run_id)
        taken = changes_by_sync(place, before, (file.path for file in self._bagged(work)), replace=options.replace)
        off_the_web: list[str] = []
        if web and options.replace:
            off_the_web = images_beside(self.script.web_connection(), web, self._bagged(work))
        list_changes(logs / f"replaced-{work}.txt", taken, off_the_web, lambda said: self.say(f"{work}: {said}"))
        if self.script.keep_replaced_days and (taken.changed or taken.removed):
            kept = replaced_place(Path(self.script.archive_parent), work, at)
            self.shares.look_for(work)
            keep_replaced(place, taken, kept)
            # On the disk before the script takes the original: a power cut would leave neither.
            self._flush(kept)
            self.say(f"{work}: what the archive had of these is kept in {kept}")
        if not before.there:
            return None
        return write_changed(logs / "tempFiles" / f"{work}.changed", (each.path for each in before.problems))

    def _place(self, work: str) -> Path:
        return archive_place(Path(self.script.archive_parent), work)

    def _standing(self, work: str) -> Path:
        """Where the archive's copy stands: beside its place, where the reference script was killed between its two
        renames. The script puts it back first, and it is not to pass for a work that the archive has not.
        """
        place = self._place(work)
        old = place.with_name(f".{work}.sync") / "old"
        return old if old.is_dir() and not os.path.lexists(place) else place

    def _earlier(self, work: str) -> Placed | None:
        """The receipt of the work, where it is of this delivery and can be used."""
        try:
            earlier = self.staging.placed(self.rid, work)
        except ReceiptRefused as error:
            self.say(str(error))
            return None
        return earlier if earlier and earlier.origin == self.origin else None

    def _prove(
        self,
        work: str,
        log: str,
        web: str | None,
        depth: Depth,
        receipt: Placed | None,
        before: ArchivedCopy | None = None,
    ) -> SyncedWork:
        """The proof. Where the place was looked at ``before`` the script, what was right then, and still has its mark,
        is not read again; what was known to be wrong is read, whatever the depth.
        """
        place = self._place(work)
        # The web first: a work that is to be on the web alone has nothing else to prove. Not so where the archive's
        # copy, not proven yet, is what the web would be compared with.
        images = self._prove_web(work, web, place, depth) if web and self.staged else 0
        files = ((file.path, file) for file in self._bagged(work))
        problems = compare_tree(place, files, depth, dropping_cache=True, marks=before.marks if before else None)
        if before and depth == "size":
            # A script that goes by size would otherwise be believed by size.
            wrong = {problem.path for problem in before.changing}
            read = ((file.path, file) for file in self._bagged(work) if file.path in wrong)
            known = {problem.path for problem in problems}
            found = compare_tree(place, read, "checksum", dropping_cache=True)
            problems += [problem for problem in found if problem.path not in known]
        # Before anything is said of the work: below a mount point nothing is as it was bagged, or everything.
        self.shares.look_for(work)
        if problems:
            replacing, first = f"{self._redo(work)} --replace", Stage.DOWNLOADED_BAG
            raise ArchiveMismatch(work, place, problems, staged=self.staged, replacing=replacing, start_from=first)
        if web and not self.staged:
            images = self._prove_web(work, web, place, depth)
        extra, count = [], 0
        for name in files_beside(place, {file.path for file in self._bagged(work)}):
            count += 1
            if count <= EXTRA_SHOWN:
                # A name in the archive may be no UTF-8, which Dagster's page cannot show.
                extra.append(shown(os.fsencode(name).decode(errors="replace")))
        return SyncedWork(str(place), log, web, tuple(extra), count, images, receipt)

    def _flush(self, place: Path) -> None:
        """So that who reads it finds what the disk has; where there is nothing, it says so."""
        if place.exists():
            self.script.flush(place)

    def _prove_web(self, work: str, web: str, place: Path, depth: Depth) -> int:
        local = self.staging.layout.work(self.rid) / work if self.staged else place
        images, problems = compare_web(self.script.web_connection(), web, self._bagged(work), local, depth)
        if problems:
            raise WebMismatch(work, web, problems, start_from=Stage.SYNCED_ARCHIVE)
        return images

    def _bagged(self, work: str) -> Iterator[FileFixity]:
        return (file for file in read_fixity(self.staging.layout.fixity(self.rid)) if file.work == work)


def sync_each(syncing: Syncing, works: Sequence[str]) -> tuple[dict[str, SyncedWork], dict[str, AoError]]:
    """Syncs each of a zip's works, and returns those that are done and what went wrong with the others. One that a
    person has left alone is in neither.

    The event's own work comes last: its place stays locked until the work is recorded, and two runs of which each has
    the other's work in its zip would wait for one another.

    :raises DeliveryHeld: where another host has synced a newer delivery meanwhile.
    :raises WordInVain, SyncScriptMissing: before anything starts, if there is no such work, or no script.
    """
    syncing.heed_word(works)
    if syncing.staged:
        syncing.script.found()
    synced: dict[str, SyncedWork] = {}
    failed: dict[str, AoError] = {}
    for work in sorted(works, key=lambda work: work == syncing.rid):
        if work in syncing.leave:
            syncing.say(f"{work} came beside {syncing.rid}, and is left as it is in the archive, by a person's word")
            continue
        try:
            with syncing.place_held(work) as lock:
                syncing.still_wanted()
                with syncing.shares.blamed_first(work):
                    done = syncing.sync(work, lock)
                if work != syncing.rid and done.receipt:
                    syncing.record_guest(done.receipt)
                synced[work] = done
        except DeliveryHeld:
            raise
        except AoError as error:
            failed[work] = error
            if len(works) > 1:
                syncing.say(f"{work} failed: {error}")
    in_order = (work for work in works if work in synced)
    return {work: synced[work] for work in in_order}, failed
