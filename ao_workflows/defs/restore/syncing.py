"""One work's sync: its options, the look at what the archive has of it, the script, the proof, and its own receipt.

What belongs here: the order of these, and when a work need not be synced again. What does not: the script itself
(``ao_workflows.archive.sync_script``), and the outcome of all works of a zip together
(``ao_workflows.defs.restore.synced_works``).

If a zip brings other works than the one that its event is for, they are called guests: their files are added to the
archive, but change nothing that is there, unless a person names them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ao_workflows.archive.before_sync import ArchivedCopy, changes_by_sync, compare_copy
from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.archive.places import archive_place, standing_place
from ao_workflows.archive.replaced import keep_replaced, list_changes, write_changed
from ao_workflows.archive.shares import replaced_place
from ao_workflows.archive.sync_options import SyncOptions
from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.archive.web_copy import ComparedWeb, compare_web, images_beside
from ao_workflows.defs.restore.own_part import OwnPart, tree_without
from ao_workflows.defs.restore.synced_works import SyncedWork
from ao_workflows.errors import (
    ArchiveMismatch,
    CopyMismatch,
    Problem,
    ReceiptRefused,
    WebMismatch,
    WorkHeld,
)
from ao_workflows.fixity.trees import Depth, FileFixity, compare_tree, files_beside, read_fixity
from ao_workflows.shown_names import shown
from ao_workflows.staging.receipts import Origin, Placed, placed_name
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.validity import depth_for
from ao_workflows.works.parts import Part
from ao_workflows.works.stages import Stage

EXTRA_SHOWN = 100


@dataclass(frozen=True)
class Syncing:
    """The syncing of the works that came in one zip.

    ``own`` is what the zip came as, a part of the event's own work or all of it, and ``run_id`` the run. ``origin`` is
    the event and the zip. ``staged`` says that the works are on the scratch disk; otherwise they were synced before,
    and the archive's copies are only compared again. ``say`` writes to the run's log.

    The place of the event's own work in the archive is locked until ``until_recorded`` is closed, and that of another
    one until it is synced. ``still_wanted`` raises ``DeliveryHeld`` if the delivery may not be synced any more; it is
    called for each work under the lock, when nobody else can write to the work's place. ``record_guest`` notes a work
    beside the event's own in DRS, by its receipt, while its place is still locked.

    A person may ask three things of a run: ``replace`` has the archive's copy replaced; ``others`` names works beside
    the event's own that may change what is there; ``leave`` names those whose copies in the archive stay as they are.

    ``superseded`` has the files of the event's own work that a newer part has written, with that part's name. They are
    neither synced nor compared.
    """

    staging: Staging
    script: SyncScript
    own: OwnPart
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
    superseded: dict[str, str] = field(default_factory=dict)

    @property
    def part(self) -> Part:
        """What the run is for."""
        return self.own.part

    @property
    def rid(self) -> str:
        """The event's own work, which is the run's partition."""
        return self.part.rid

    @property
    def parent(self) -> Path:
        """The path of the archive's shares without their digit."""
        return Path(self.script.archive_parent)

    @property
    def shares(self) -> ArchiveShares:
        """The archive's shares, which the works are written to."""
        return ArchiveShares(self.parent, self.staging.layout.archive_shares())

    @contextmanager
    def place_held(self, work: str) -> Iterator[int]:
        """Holds the lock of a work's place in the archive, and yields its descriptor.

        The lock is the same for a work in whichever zip it came. For the event's own work it is kept after the block,
        until ``until_recorded`` is closed.

        :raises WorkBusy: if another run holds it.
        :raises ArchiveShareLost, ArchiveNotSetUp: if the work's share cannot be used.
        """
        held = self.shares.place_held(work, f"run {self.run_id}")
        if work == self.rid:
            yield self.until_recorded.enter_context(held)
        else:
            with held as lock:
                yield lock

    def sync(self, work: str, lock: int) -> SyncedWork:
        """Has the script put the work into the archive, unless it is there already, and proves the archive's copy.

        :param lock: the descriptor of the lock on the work's place. The script inherits it, so that the place stays
            locked if the script outlives this process.
        :raises WorkHeld: if the work is a guest and would change what is there.
        :raises SyncError: if the script fails, or the archive does not have the work afterwards.
        :raises ServiceError: if the web's S3 does not answer.
        :raises ObjectError: if the web's S3 refuses.
        """
        earlier = self._earlier(work)
        if work == self.rid:
            self.superseded.update(self.own.left_to_newer(self.say))
        if not self.staged:
            log, web = (earlier.log, earlier.web) if earlier else ("", None)
            return self._prove(work, log, web, self.script.verify, earlier)
        folder = self.staging.layout.work(self.part.staged) / work
        options = self._options(work, folder)
        words = tuple(options.words(self.script.archive_parent, self.script.web_parent))
        environment = options.environment()
        # If a person asks again for a replacement, it is done again, even if an earlier run did the same.
        anew = self._replaces(work) and not (earlier and earlier.run_id == self.run_id)
        if earlier and not anew and (earlier.options, earlier.environment) == (words, environment):
            # If this same run has proven it and something else failed afterwards, each byte need not be read again.
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
        # Until it is proven anew, nothing says that the archive has it: what is kept on the scratch disk stays.
        self.staging.withdraw(self.part.staged, placed_name(work))
        at, log = datetime.now().astimezone(), ""
        web = self.script.web_place(work, options)
        before = ArchivedCopy(there=False)
        if options.archive:
            self._flush(standing_place(self.parent, work))
            before = compare_copy(standing_place(self.parent, work), self._bagged(work))
        if self.is_guest(work) and self._has_all_of_guest(work, web, before):
            self.say(f"{work} came beside {self.rid}, and the archive has it as it was bagged: nothing is done")
            self.own.note_beside(work)
        elif next(self._bagged(work), None):
            log = self._run_script(work, folder, options, self._ready(work, options, before, web, at), at, lock)
        self.shares.look_for(work)
        self._flush(self._place(work))
        try:
            proven = self._prove(work, log, web, self.script.verify, None, before)
        except ArchiveMismatch as error:
            if options.archive:
                raise
            left_out = f"{work}: sync.yml says archive: false, and {error.place} does not hold the work"
            return SyncedWork(str(error.place), log, web, (), 0, 0, None, left_out)
        # There is hardly anything left to flush; but if anyone else wrote in the meantime, that is on the disk, too.
        self._flush(self._place(work))
        receipt = Placed(
            rid=self.part.staged,
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

    def _run_script(
        self, work: str, folder: Path, options: SyncOptions, changed: Path | None, at: datetime, lock: int
    ) -> str:
        """Runs the script, and returns the path of its log."""
        # The share is checked again: comparing and keeping what is there may have taken hours.
        self.shares.look_for(work)
        left_out = {}
        if work == self.rid:
            self.own.check_structure()
            # Noted before the script writes: killed behind it, an older part would go over what it wrote.
            self.own.note()
            left_out = self.superseded
        else:
            self.own.note_beside(work)
        with tree_without(folder, left_out, self.staging.layout.work_under_way(self.part.staged, self.run_id)) as tree:
            called = self._called(work)
            return str(self.script.run(work, tree, options, self.run_id, self.say, at, (lock,), changed, called).log)

    def _called(self, work: str) -> str:
        """What a failure names: the part, where it is one."""
        return str(self.part) if work == self.rid else work

    def is_guest(self, work: str) -> bool:
        """Whether the work came beside the event's own, and no person has named it."""
        return work != self.rid and work not in self.others

    def _redo(self, work: str) -> str:
        """Returns the arguments of ``ao reprocess`` that name the work, so that it may be changed or replaced."""
        return self.part.redo if work == self.rid else f"{self.rid} --others {work}"

    def _replaces(self, work: str) -> bool:
        return self.replace and not self.is_guest(work)

    def _options(self, work: str, folder: Path) -> SyncOptions:
        options = self.script.options_of(folder, self._redo(work), replacing=self._replaces(work))
        if options.replace and (self.is_guest(work) or self.own.is_only_a_part):
            came = f"beside {self.rid}" if self.is_guest(work) else "in parts"
            self.say(f"{work} came {came}: it is added to what is there, and replaces nothing")
            return replace(options, replace=False)
        return options

    def _has_all_of_guest(self, work: str, web: str | None, before: ArchivedCopy) -> bool:
        """Whether everything that a guest brings is there already.

        :raises WorkHeld: if the guest would change what is there.
        """
        if before.changing:
            raise WorkHeld(work, self.rid, standing_place(self.parent, work), before.changing)
        lacking: Sequence[Problem] = ()
        if web:
            folder = self.staging.layout.work(self.part.staged) / work
            # They are compared by checksum whatever the site's setting: if one is missing, the script sends them all.
            lacking = compare_web(self.script.web_connection(), web, self._bagged(work), folder, "checksum").problems
            if changing := [problem for problem in lacking if problem.kind != "missing"]:
                raise WorkHeld(work, self.rid, web, changing)
        if before.there and before.problems:
            self.say(f"{work} came beside {self.rid}: {len(before.problems):,} files that the archive lacks are added")
        in_place = before.there and standing_place(self.parent, work) == self._place(work)
        return in_place and not before.problems and not lacking

    def _ready(
        self, work: str, options: SyncOptions, before: ArchivedCopy, web: str | None, at: datetime
    ) -> Path | None:
        """Lists and keeps the files that the script will change or remove; returns the list of those that differ."""
        place, logs = standing_place(self.parent, work), self.script.log_folder(work, at, self.run_id)
        taken = changes_by_sync(place, before, (file.path for file in self._bagged(work)), replace=options.replace)
        off_the_web: list[str] = []
        if web and options.replace:
            off_the_web = images_beside(self.script.web_connection(), web, self._bagged(work))
        list_changes(logs / f"replaced-{work}.txt", taken, off_the_web, lambda said: self.say(f"{work}: {said}"))
        if self.script.keep_replaced_days and (taken.changed or taken.removed):
            kept = replaced_place(self.parent, work, at)
            self.shares.look_for(work)
            keep_replaced(place, taken, kept)
            # It must be on the disk before the script changes the original: after a power cut there might be neither.
            self._flush(kept)
            self.say(f"{work}: what the archive had of these is kept in {kept}")
        if not before.there:
            return None
        return write_changed(logs / "tempFiles" / f"{work}.changed", (each.path for each in before.problems))

    def _place(self, work: str) -> Path:
        return archive_place(self.parent, work)

    def _earlier(self, work: str) -> Placed | None:
        """Returns the work's receipt of an earlier sync, if it is of this delivery and can be used."""
        try:
            earlier = self.staging.placed(self.part.staged, work)
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
        """Proves the archive's copy, and the web's.

        If the place was compared ``before`` the script ran, files that were right then and still have their mark are
        not read again, and files that were wrong then are read whatever the depth.
        """
        place = self._place(work)
        # The web comes first, since a work that goes only to the web has nothing else to prove; but not if the web must
        # be compared with the archive's copy, which must be proven before that.
        seen = self._prove_web(work, web, place) if web and self.staged else ComparedWeb(0, 0, [])
        files = ((file.path, file) for file in self._bagged(work))
        problems = compare_tree(place, files, depth, dropping_cache=True, marks=before.marks if before else None)
        if before and depth == "size":
            # A script that compares by size would miss these, and so would a comparison by size.
            wrong = {problem.path for problem in before.changing}
            read = ((file.path, file) for file in self._bagged(work) if file.path in wrong)
            known = {problem.path for problem in problems}
            found = compare_tree(place, read, "checksum", dropping_cache=True)
            problems += [problem for problem in found if problem.path not in known]
        # The share is checked before the result is used: if it is lost, what was compared is not the archive.
        self.shares.look_for(work)
        if problems:
            called, replacing, first = self._called(work), f"{self._redo(work)} --replace", Stage.DOWNLOADED_BAG
            raise ArchiveMismatch(called, place, problems, staged=self.staged, replacing=replacing, start_from=first)
        if web and not self.staged:
            seen = self._prove_web(work, web, place)
        extra, count = [], 0
        # What other parts brought is beside this one, but not in the folders that this one has whole.
        of_part = work == self.rid and self.own.is_only_a_part
        for name in self.own.extra() if of_part else files_beside(place, {each.path for each in self._bagged(work)}):
            count += 1
            if count <= EXTRA_SHOWN:
                # A name in the archive may be no UTF-8, which Dagster's page cannot show.
                extra.append(shown(os.fsencode(name).decode(errors="replace")))
        return SyncedWork(str(place), log, web, tuple(extra), count, seen.images, receipt, by_size=seen.by_size)

    def _flush(self, place: Path) -> None:
        """Flushes the place if it exists, so that what is read afterwards is what the disk has."""
        if place.exists():
            self.script.flush(place)

    def _prove_web(self, work: str, web: str, place: Path) -> ComparedWeb:
        """Compares the images on the web as the site says, even if the archive's copy is not read again, since no
        receipt says of which images S3 states a checksum.
        """
        local = self.staging.layout.work(self.part.staged) / work if self.staged else place
        seen = compare_web(self.script.web_connection(), web, self._bagged(work), local, self.script.verify)
        if seen.problems:
            raise WebMismatch(self._called(work), web, seen.problems, start_from=Stage.SYNCED_ARCHIVE)
        return seen

    def _bagged(self, work: str) -> Iterator[FileFixity]:
        left_out = self.superseded if work == self.rid else ()
        listed = read_fixity(self.staging.layout.fixity(self.part.staged))
        return (file for file in listed if file.work == work and file.path not in left_out)
