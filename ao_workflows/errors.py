"""Every error that the platform raises on purpose.

What belongs here: the classes, their facts as fields, and their messages (what happened, to what, and what
the reader can do about it). What does not: the decision what to do about one, which is its catcher's, save
for one fact that all share: ``transient``, whether trying again may help.

    AoError
    ├── SiteError             site.toml has mistakes
    ├── StackError            a setting of the containers is not there, or no good
    ├── DeployError           the folder that compose runs from cannot be made as ordered
    ├── RidError              a name that cannot be a work's
    ├── MessageError          a queue's message that cannot be used
    ├── WrongEnvironment      a site that would eat another environment's queue
    ├── NothingStored         a stage was asked for whose input is not there
    ├── DeliveryHeld          what brings the work waits for a person's word
    │   ├── OlderDelivery         the archive has a newer one
    │   ├── NewerStored           a newer one is stored, and not in the archive yet
    │   └── OtherObject           the archive has the work from another object
    ├── WorkBusy              another run has the work                                  transient
    ├── WorkUnknown           nobody has heard of the work
    ├── RunInFlight           a run of the work is queued or under way
    ├── InstanceUnusable      Dagster's instance cannot be asked, or would not run what is queued
    ├── ServicesError         the services of `ao up` cannot be started or ended as ordered
    │   └── ServiceNotUp          one of them did not come up
    ├── StagingError          the scratch disk does not do what was asked of it
    │   ├── StagingFull           it has no room left, whoever took it                  transient
    │   ├── NoRoom                a work waited for room as long as the site allows
    │   └── ReceiptRefused        a stage's receipt that this release cannot use
    ├── FolderError           an intake's folder does not do what was asked of it
    │   ├── FileGone              a claimed file is not in save/ any more
    │   └── FileChanged           it was written to while it was being copied           transient
    ├── ServiceError          AWS, or the network to it, does not answer                transient
    ├── ObjectError           S3 will not give the object
    │   ├── ObjectMissing         there is none
    │   ├── ObjectNotRestored     Glacier is still at it                                transient
    │   ├── RestoreRefused        Glacier will not restore it as it was asked to
    │   ├── RestoreTooSlow        Glacier was still at it when the site's patience ended
    │   ├── ObjectChanged         it became another one while it was being downloaded
    │   └── DownloadMismatch      what arrived, twice, is not what S3 holds
    ├── ZipRefused            a zip that is none, or is not safe to unpack
    ├── BagInvalid            a bag that is not what its manifests say
    ├── SyncError             the sync script
    │   ├── SyncScriptMissing
    │   ├── SyncOptionsError      a sync.yml that cannot be used
    │   ├── WordInVain            what a person asked for in this run is for no work of the zip
    │   ├── ReplacedNotKept       what the sync would take from the archive cannot be kept
    │   ├── ReplacedUnreadable    nor even be listed
    │   ├── SyncFailed
    │   ├── CopyMismatch
    │   │   ├── ArchiveMismatch   the archive does not hold what was bagged
    │   │   ├── WebMismatch       nor the web
    │   │   └── WorkHeld          a work beside the event's own would change what is there
    │   ├── ArchiveNotFlushed     the archive has not put it on disk                    transient
    │   ├── ArchiveNotSetUp       a share of the archive that this site has no note of
    │   ├── ArchiveShareLost      a share is not what was noted of it: not mounted      transient
    │   └── WorksNotSynced        some of a zip's works failed                   transient, if all did
    ├── CommandNotStarted     a command that is not there, or cannot be executed
    ├── BackupError           a backup of Dagster's storage that cannot be made, read or restored
    └── DatabaseError         DRS
        └── DatabaseUnavailable                                                         transient
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ao_workflows.shown_names import shown


class AoError(Exception):
    """The root of the tree. ``transient`` says whether the same call may succeed later without a person."""

    transient: bool = False


class SiteError(AoError):
    """site.toml cannot be used; ``mistakes`` has one line for each thing that is wrong in it."""

    def __init__(self, source: str, mistakes: Sequence[str]) -> None:
        self.source = source
        self.mistakes = tuple(mistakes)
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        lines = "\n".join(f"  - {mistake}" for mistake in self.mistakes)
        super().__init__(f"{source}: {count}:\n{lines}")


class StackError(AoError):
    """A setting that the services' containers need is not there, or no good; ``source`` is what asks for it."""

    def __init__(
        self, source: str, reason: str, way_out: str = "set it in .env, then run docker-compose up -d"
    ) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"{source}: {reason}: {way_out}")


class DeployError(AoError):
    """The folder cannot be made as ordered; ``mistakes`` has one line for each. ``begun``: a part of it is done."""

    def __init__(self, mistakes: Sequence[str], *, begun: bool = False) -> None:
        self.mistakes = tuple(mistakes)
        self.begun = begun
        lines = "\n".join(f"  - {mistake}" for mistake in self.mistakes)
        super().__init__(f"{'a part is done; run it again after this' if begun else 'nothing was changed'}:\n{lines}")


class RidError(AoError):
    """A name that cannot be a work's RID."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"{name!r} cannot be a work's RID: {reason}")


class MessageError(AoError):
    """A queue's message that says nothing usable; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class WrongEnvironment(AoError):
    """An intake belongs to another environment than the site."""

    def __init__(self, intake: str, belongs_to: str, site: str) -> None:
        self.intake = intake
        self.belongs_to = belongs_to
        self.site = site
        super().__init__(
            f"intake {intake!r} belongs to {belongs_to!r}, and this site is {site!r}: it is left alone. "
            f"Set environment = {belongs_to!r} in site.toml if this is that site, or take the intake out"
        )


class NothingStored(AoError):
    """A stage's input is not in staging; ``start_from`` is the asset whose materialization brings it."""

    def __init__(self, rid: str, missing: str, start_from: str | None) -> None:
        self.rid = rid
        self.missing = missing
        self.start_from = start_from
        way_out = (
            f"start from {start_from}: ao reprocess {rid} --from {start_from}, or on the spot: "
            f"dagster asset materialize -m ao_workflows.definitions --select '{start_from}+' --partition {rid}"
            if start_from
            else f"ask Glacier for the work again: ao restore request {rid}; the event that follows starts a run"
        )
        super().__init__(f"{rid}: {missing}; {way_out}")


class DeliveryHeld(AoError):
    """A delivery of a work is not done without a person's word: ``this`` one, for ``why``. The delivery ``against``
    stands against it.
    """

    def __init__(self, rid: str, this: str, against: str, why: str) -> None:
        self.rid = rid
        self.this = this
        self.against = against
        self.why = why
        super().__init__(f"{rid}: {why}. Nothing of it was done\nTo do it all the same: ao reprocess {rid} --force")


class OlderDelivery(DeliveryHeld):
    """The archive has a newer delivery of the work."""

    def __init__(self, rid: str, this: str, synced: str) -> None:
        super().__init__(
            rid, this, synced, f"this delivery is older than what the archive has: {this}; against {synced}"
        )


class NewerStored(DeliveryHeld):
    """A newer delivery of the work has come before, and is not in the archive yet: its run was killed, or failed."""

    def __init__(self, rid: str, this: str, stored: str) -> None:
        why = f"this delivery ({this}) is older than the one that is stored, and not in the archive yet ({stored})"
        super().__init__(rid, this, stored, why)


class OtherObject(DeliveryHeld):
    """The archive has the work from another object; which of the two is right, a person knows."""

    def __init__(self, rid: str, this: str, synced: str) -> None:
        why = f"this delivery is of another object than what the archive has: {this}; against {synced}"
        super().__init__(rid, this, synced, why)


class WorkBusy(AoError):
    """Another run has the work's lock; ``holder`` is what it wrote there of itself."""

    transient = True

    def __init__(self, rid: str, lock: Path, holder: str) -> None:
        self.rid = rid
        self.lock = lock
        self.holder = holder
        super().__init__(f"{rid} is being worked on by {holder or 'another process'} (lock {lock}); wait for its end")


class WorkUnknown(AoError):
    """A RID that neither DRS nor Dagster nor staging has."""

    def __init__(self, rid: str) -> None:
        self.rid = rid
        super().__init__(
            f"{rid} is not known: DRS, Dagster and the scratch disk have nothing of it. Is it spelled as in the "
            f"catalogue? A work that was never restored is asked for with: ao restore request {rid}"
        )


class RunInFlight(AoError):
    """The work has a run that has not ended; ``state`` says what that is at."""

    def __init__(self, rid: str, run_id: str, state: str) -> None:
        self.rid = rid
        self.run_id = run_id
        self.state = state
        super().__init__(
            f"{rid} has a run already, {run_id}, which is {state}: wait for its end, or end it in the web page first"
        )


class InstanceUnusable(AoError):
    """Dagster's instance; ``reason`` says what is wrong with it and the way out."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Dagster: {reason}")


class ServicesError(AoError):
    """The site's services cannot be started or ended; ``reason`` says why, and the way out."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class ServiceNotUp(ServicesError):
    """A service did not come up; ``tail`` is the last of what it said in its ``log``."""

    def __init__(self, name: str, said: str, log: Path, tail: Sequence[str]) -> None:
        self.name = name
        self.log = log
        self.tail = tuple(tail)
        last = "".join(f"\n  {line}" for line in self.tail)
        super().__init__(
            f"{name} did not come up: {said}. {f'The last of {log}:{last}' if tail else f'{log} is empty'}"
        )


class StagingError(AoError):
    """The scratch disk refused a read or a write."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(shown(f"staging: {path}: {reason}"))


class StagingFull(StagingError):
    """The scratch disk has no room for the ``wanted`` bytes; ``free`` are left."""

    transient = True

    def __init__(self, path: Path, wanted: int, free: int) -> None:
        self.wanted = wanted
        self.free = free
        figures = f"{_gib(wanted)} are wanted and {_gib(free)} are free" if wanted else f"{_gib(free)} are free"
        # The system says the same word for each.
        if free > max(wanted, _LEAST_THAT_HELPS):
            figures += ", so it takes no more files, or a quota is used up"
        super().__init__(
            path,
            f"the disk is full: {figures}; free some, or give [staging] reserve_gib in site.toml a larger share",
        )


class ReceiptRefused(StagingError):
    """A receipt is broken, or another release's or program's; ``fault`` is what is wrong with it."""

    def __init__(self, path: Path, fault: str) -> None:
        self.fault = fault
        super().__init__(
            path,
            f"is no receipt that can be used: {fault}. It is passed over, and what it would have spared is done again, "
            f"which writes another: ao reprocess {path.parent.name}",
        )


class NoRoom(StagingError):
    """A work did not get room on the scratch disk; every figure in bytes.

    ``needed`` is what the work still has to write, ``free`` what the disk has, ``reserve`` what the site keeps free,
    and ``promised`` what other works under way have still to write.
    """

    def __init__(self, root: Path, rid: str, needed: int, free: int, reserve: int, promised: int, reason: str) -> None:
        self.rid = rid
        self.needed = needed
        self.free = free
        self.reserve = reserve
        self.promised = promised
        super().__init__(
            root,
            f"no room for {rid}: {_gib(needed)} are needed; {_gib(free)} are free, of which {_gib(promised)} are "
            f"promised to works under way and {_gib(reserve)} are the site's reserve; {reason}",
        )


class FolderError(AoError):
    """An intake's folder, or a file in it, refused what was asked of it."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class FileGone(FolderError):
    """A claimed file is not in ``save/`` any more."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            path, f"it is not there. It goes when its work is synced; to do the work again, put its zip into {folder}"
        )


class FileChanged(FolderError):
    """A claimed file was written to while it was being copied."""

    transient = True

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, "it was written to while it was being copied; when its writer is done, reprocess the work"
        )


class ServiceError(AoError):
    """AWS, or the way to it, failed; ``where`` names the queue or object, region and profile that were used."""

    transient = True

    def __init__(self, doing: str, where: str, reason: str) -> None:
        self.doing = doing
        self.where = where
        self.reason = reason
        super().__init__(f"{doing} failed at {where}: {reason}")


class ObjectError(AoError):
    """S3 will not give the object. ``where`` names bucket, key, version, region and profile."""

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"{where}: {reason}")


class ObjectNotRestored(ObjectError):
    """Glacier has been asked and is not ready."""

    transient = True


class ObjectMissing(ObjectError):
    """There is no such object, or no such version of it."""


class RestoreRefused(ObjectError):
    """Glacier will not restore it as it was asked to."""


class RestoreTooSlow(ObjectError):
    """Glacier was still at it when the site's patience ended."""


class ObjectChanged(ObjectError):
    """The object became another one while it was being downloaded."""


class DownloadMismatch(ObjectError):
    """The bytes that arrived, and those that were fetched again, are not those that S3 holds."""

    def __init__(self, where: str, what: str, expected: str, found: str) -> None:
        self.what = what
        self.expected = expected
        self.found = found
        super().__init__(
            where,
            f"{what} should be {expected} and is {found}, after what was wrong was fetched again; what arrived was "
            f"thrown away. Either the way to S3 alters bytes, or the object is not what S3 says of it",
        )


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a bag.

    ``kind`` is one of ``checksum``, ``size``, ``missing``, ``unexpected``, ``unreadable``, ``oxum``, ``structure``
    and ``zip``; ``path`` is relative to the zip's (or the folder's) top; ``algorithm``, ``expected`` and ``found``
    are empty where they say nothing.
    """

    kind: str
    path: str
    reason: str
    algorithm: str = ""
    expected: str = ""
    found: str = ""


class ZipRefused(AoError):
    """A zip that is none, or that is not safe to unpack. ``member`` is None where the whole file is meant."""

    def __init__(self, path: Path, member: str | None, reason: str) -> None:
        self.path = path
        self.member = member
        self.reason = reason
        what = f"{path.name}: member {member!r}" if member is not None else path.name
        super().__init__(shown(f"{what}: {reason}; nothing of it was kept"))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The refusal as a bag's problem, for the report."""
        return (Problem("zip", self.member or self.path.name, self.reason),)


class BagInvalid(AoError):
    """A bag that is not what its manifests say; ``problems`` has every one, file by file."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.name = name
        self.problems = tuple(problems)
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(shown(f"{name} is not a valid bag: {first.path}: {first.reason}{more}"))


class SyncError(AoError):
    """The sync of one work failed."""


class SyncScriptMissing(SyncError):
    """There is no script to run, or it may not be run."""

    def __init__(self, script: str, reason: str) -> None:
        self.script = script
        self.reason = reason
        super().__init__(f"the sync script {script!r} {reason}; [sync] script in site.toml names it")


class SyncOptionsError(SyncError):
    """A sync.yml that cannot be used; each of ``mistakes`` names its line, and its key where it has one."""

    def __init__(self, path: Path, mistakes: Sequence[str]) -> None:
        self.path = path
        # A key may be anything that can be escaped: half a character, a line feed, a terminal's colour.
        self.mistakes = tuple("".join(c if c.isprintable() else ascii(c)[1:-1] for c in said) for said in mistakes)
        said = self.mistakes[0] if len(self.mistakes) == 1 else "".join(f"\n  - {line}" for line in self.mistakes)
        super().__init__(f"{path}: {said}{_NOT_STARTED}")


_NOT_STARTED = "\nThe sync script was not started"


class WordInVain(SyncError):
    """A person's word for this run, ``--others``, ``--leave`` or ``--replace``, is for no work that the zip of ``rid``
    brought; or two words for one work contradict each other.
    """

    def __init__(self, rid: str, word: str, works: Sequence[str]) -> None:
        self.rid = rid
        self.word = word
        self.works = tuple(works)
        super().__init__(
            f"{rid}: its zip brought {', '.join(works)}, and {word}. Nothing was synced. Name a work that it brought: "
            f"ao reprocess {rid} --others OTHER, with --replace too if that one is to be replaced; or, for what the "
            f"archive has of it to stay: ao reprocess {rid} --leave OTHER"
        )


class SyncFailed(SyncError):
    """The script ended otherwise than well; ``tail`` is the last of what it printed."""

    def __init__(self, rid: str, command: Sequence[str], reason: str, log: Path, tail: Sequence[str]) -> None:
        self.rid = rid
        self.command = tuple(command)
        self.reason = reason
        self.log = log
        self.tail = tuple(tail)
        last = "".join(f"\n  | {_short(line, _LONGEST_LINE)}" for line in self.tail)
        super().__init__(
            f"{rid}: the sync script {reason}. It was called as\n  {shlex.join(self.command)}\n"
            f"Its log is {log}. It ended with:{last or ' nothing'}"
        )


class CopyMismatch(SyncError):
    """A copy of the work is not what was bagged; ``problems`` has every file that differs."""

    def __init__(self, rid: str, place: Path | str, problems: Sequence[Problem], way_out: str) -> None:
        self.rid = rid
        self.place = place
        self.problems = tuple(problems)
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(
            shown(f"{rid}: {place} does not hold what was bagged: {first.path}: {first.reason}{more}. {way_out}")
        )


class ArchiveMismatch(CopyMismatch):
    """The archive does not hold what was bagged; ``replacing`` are the words for ``ao reprocess`` that replace it.

    ``start_from`` is the asset whose materialization brings the work back, where it is not ``staged`` any more.
    """

    def __init__(
        self, rid: str, place: Path, problems: Sequence[Problem], *, staged: bool, replacing: str, start_from: str
    ) -> None:
        way_out = (
            "The staged work was kept. Find out why: the disk, or a script that takes files of the same size and time "
            f"to be the same. To have the archive's copy replaced, for one run: ao reprocess {replacing}"
            if staged
            else f"The work was synced before; bring it back from S3 by materializing {start_from} and what follows"
        )
        super().__init__(rid, place, problems, way_out)


class WebMismatch(CopyMismatch):
    """The web does not hold the images that were bagged; ``start_from`` is the asset that sends them."""

    def __init__(self, rid: str, prefix: str, problems: Sequence[Problem], *, start_from: str) -> None:
        super().__init__(rid, prefix, problems, f"Nothing was freed. Find out why, and materialize {start_from} again")


class WorkHeld(CopyMismatch):
    """A work that came beside the event's own, under the partition ``partition``, would change what is there of it."""

    def __init__(self, rid: str, partition: str, place: Path | str, problems: Sequence[Problem]) -> None:
        self.partition = partition
        super().__init__(
            rid,
            place,
            problems,
            f"It came in the zip of {partition}, and a work beside the zip's own changes nothing that is there: it was "
            f"left as it is. If the zip's files are to be taken: ao reprocess {partition} --others {rid}; if what is "
            f"there is to stay: ao reprocess {partition} --leave {rid}",
        )


class ReplacedNotKept(SyncError):
    """What the sync would take from the archive's ``place`` cannot be kept at ``into``; the script was not started."""

    def __init__(self, place: Path, into: Path, reason: str) -> None:
        self.place = place
        self.into = into
        self.reason = reason
        super().__init__(
            f"what the sync would change or remove of {place} cannot be kept at {into}: {reason}; free some room on "
            f"that share, or set [sync] keep_replaced_days = 0 in site.toml to keep nothing{_NOT_STARTED}"
        )


class ReplacedUnreadable(SyncError):
    """A ``folder`` of what a replacement would remove cannot be read, so that nobody knows what would go with it."""

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder = folder
        self.reason = reason
        super().__init__(
            f"{folder} cannot be read: {reason}. A replacement would remove it, with files that are neither listed nor "
            f"kept; give it to the user that runs this{_NOT_STARTED}"
        )


class WorksNotSynced(SyncError):
    """Of a zip's several works some were not synced: ``failed`` has each one's error, ``synced`` the others."""

    def __init__(self, failed: Mapping[str, AoError], synced: Sequence[str]) -> None:
        self.failed = dict(failed)
        self.synced = tuple(synced)
        self.transient = all(error.transient for error in failed.values())
        done = f"{', '.join(synced)} {'is' if len(synced) == 1 else 'are'} done and will not be synced again. "
        each = "".join(f"\n- {rid}: {str(error).removeprefix(f'{rid}: ')}" for rid, error in failed.items())
        count = f"{len(failed)} of {len(failed) + len(synced)} works"
        super().__init__(f"{count} failed: {', '.join(failed)}. {done if synced else ''}{each}")


class ArchiveNotFlushed(SyncError):
    """The archive's file system did not put the work on disk."""

    transient = True

    def __init__(self, place: str, reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(f"sync -f {place} {reason}. The staged work was kept")


class ArchiveNotSetUp(SyncError):
    """A share of the archive, the folder ``tree``, that was never set up for this site."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        super().__init__(
            f"{tree} was never set up as a share of this site's archive, so that nobody could tell it from a mount "
            f"point with nothing mounted. With every share mounted, run ao archive init once"
        )


class ArchiveShareLost(SyncError):
    """The share ``tree`` of the archive is not what was noted of it; ``reason`` says what was found instead."""

    transient = True

    def __init__(self, tree: Path, reason: str, way_out: str = "") -> None:
        self.tree = tree
        self.reason = reason
        self.way_out = way_out or (
            f"Mount the share as it was, and the run goes on; what was written meanwhile may lie in the folder that it "
            f"is mounted on. If its disk was exchanged on purpose: ao archive init --exchanged {tree.name[-1]}"
        )
        super().__init__(f"{tree}: {reason}. Nothing was freed. {self.way_out}")


class CommandNotStarted(AoError):
    """A command is not there, or cannot be executed."""

    def __init__(self, command: str, reason: str) -> None:
        self.command = command
        self.reason = reason
        super().__init__(f"{command} cannot be started: {reason}")


class BackupError(AoError):
    """A backup cannot be made, read or restored; the message has what the database's own program said."""


class DatabaseError(AoError):
    """DRS refused what was asked of it; ``where`` is the database, or the file that names it, without a password."""

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"DRS: {where}: {reason}")


class DatabaseUnavailable(DatabaseError):
    """DRS does not answer."""

    transient = True


_LEAST_THAT_HELPS = 16 << 20
"""With less, a disk may be called full by one who asks for more than a little."""


def _gib(size: int) -> str:
    return f"{size / (1 << 30):,.2f} GiB"


_LONGEST_LINE = 1000


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"
