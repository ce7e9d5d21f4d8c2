"""Every error that the platform raises on purpose.

What belongs here: the classes, their facts as fields, and their messages (what happened, to what, and what the reader
can do about it). What does not: the decision what to do about an error, which is made where it is caught. Only one fact
for that decision is here, in every class: ``transient``, which says whether trying again may help.

    AoError
    ├── SiteError             site.toml has mistakes
    ├── StackError            a setting of the containers is missing, or cannot be used
    ├── DeployError           the folder that compose runs from cannot be made as requested
    ├── RidError              a name that cannot be a work's
    ├── MessageError          a queue's message that cannot be used
    ├── WrongEnvironment      of an intake and the site, only one belongs to production
    ├── NothingStored         the input of a stage is not in staging
    ├── DeliveryHeld          a delivery of the work waits for a person's decision
    │   ├── OlderDelivery         the archive has a newer one
    │   ├── NewerStored           a newer one is stored, and not in the archive yet
    │   └── OtherObject           the archive has the work from another object
    ├── WorkBusy              another process has locked the work                       transient
    ├── WorkUnknown           neither DRS nor Dagster nor staging knows the work
    ├── RunInFlight           a run of the work is queued or under way
    ├── RunRefused            a run brings code or settings of its own
    ├── InstanceUnusable      Dagster's instance cannot be used, or would not run what is queued
    ├── ServicesError         the services of `ao up` cannot be started or ended as requested
    │   └── ServiceNotUp          one of them did not start
    ├── StagingError          a file on the scratch disk cannot be read or written
    │   ├── StagingFull           the disk is full, whatever has filled it              transient
    │   ├── NoRoom                a work waited for room as long as the site allows
    │   └── ReceiptRefused        a stage's receipt that this release cannot use
    ├── FolderError           an intake's folder, or a file in it, cannot be used
    │   ├── FileGone              a claimed file is not in save/ any more
    │   └── FileChanged           it was written to while it was being copied           transient
    ├── ServiceError          AWS, or the network to it, does not answer                transient
    ├── PartsMissing          a work has no such part
    ├── ObjectError           S3 does not give the object
    │   ├── ObjectMissing         it does not exist
    │   ├── ObjectNotRestored     Glacier is still restoring it                         transient
    │   ├── RestoreRefused        Glacier does not restore it as requested
    │   ├── RestoreTooSlow        Glacier was still restoring it when the site's patience ended
    │   ├── ObjectChanged         it was replaced by another one during the download
    │   ├── PartRefused           a part of a deep copy is not taken, or is there with other content
    │   └── DownloadMismatch      the bytes that arrived, twice, are not those in S3
    ├── ZipRefused            a file that is no zip, or is not safe to unpack
    ├── BagInvalid            a bag that is not what its manifests say
    ├── SyncError             the sync of a work into the archive
    │   ├── SyncScriptMissing     the sync script does not exist, or cannot be executed
    │   ├── SyncOptionsError      a sync.yml that cannot be used
    │   ├── WordInVain            what a person asked of this run fits none of the zip's works
    │   ├── PartReplacesNothing   a part of a work is not all of it
    │   ├── MixedStructure        the archive has a work half inverted
    │   ├── OtherStructure        a work was unpacked in the other structure than the archive has
    │   ├── ReplacedNotKept       files that the sync would change or remove cannot be kept
    │   ├── ReplacedUnreadable    a folder that the sync would remove cannot be read
    │   ├── SyncFailed            the sync script failed
    │   ├── CopyMismatch          a copy of the work is not what was bagged
    │   │   ├── ArchiveMismatch   the archive's copy
    │   │   ├── WebMismatch       the copy of its images on the web
    │   │   └── WorkHeld          a work beside the event's own would change the copy that is there
    │   ├── ArchiveNotFlushed     the archive's disk did not write the work             transient
    │   ├── ArchiveNotSetUp       a share of the archive that this site has no note of
    │   ├── ArchiveShareLost      a share is not mounted as it was noted                transient
    │   └── WorksNotSynced        some of a zip's works failed                   transient, if all did
    ├── DeepCopyError         what the archive has of a work cannot be deep-copied as it is
    ├── CommandNotStarted     a command that does not exist, or cannot be executed
    ├── BackupError           a backup of Dagster's storage that cannot be made, read or restored
    └── DatabaseError         DRS refuses a request
        └── DatabaseUnavailable   DRS does not answer                                   transient
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ao_workflows.shown_names import shown


class AoError(Exception):
    """The root of the tree. ``transient`` says whether the same call may succeed later without a person's help."""

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
    """A setting that the services' containers need is missing, or cannot be used; ``source`` is what needs it."""

    def __init__(
        self, source: str, reason: str, way_out: str = "set it in .env, then run docker-compose up -d"
    ) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"{source}: {reason}: {way_out}")


class DeployError(AoError):
    """The folder that compose runs from cannot be made as requested.

    ``mistakes`` has one line for each thing that is wrong. ``begun`` says whether a part of the folder has been made.
    """

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
    """A queue's message that cannot be used; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class WrongEnvironment(AoError):
    """An intake belongs to production and the site does not, or the other way round: so it is not used."""

    def __init__(self, intake: str, belongs_to: str, site: str) -> None:
        self.intake = intake
        self.belongs_to = belongs_to
        self.site = site
        super().__init__(
            f"intake {intake!r} belongs to {belongs_to!r}, and this site is {site!r}: it is left alone. "
            f"Set environment = {belongs_to!r} in site.toml if this is that site, or take the intake out"
        )


class NothingStored(AoError):
    """A stage's input is not in staging.

    ``start_from`` is the asset whose materialization brings it, or None if Glacier must be asked for the work again.

    :param redo: the arguments of ``ao reprocess`` if these are not the RID alone, as for a part of a work.
    :param way_out: what a person can do, if it is something else.
    """

    def __init__(self, rid: str, missing: str, start_from: str | None, redo: str = "", way_out: str = "") -> None:
        self.rid = rid
        self.missing = missing
        self.start_from = start_from
        on_the_spot = (
            f"dagster asset materialize -m ao_workflows.definitions --select '{start_from}+' --partition {rid}"
        )
        way_out = way_out or (
            f"start from {start_from}: ao reprocess {redo or rid} --from {start_from}"
            + ("" if redo not in {"", rid} else f", or on the spot: {on_the_spot}")
            if start_from
            else f"ask Glacier for the work again: ao restore request {rid}; the event that follows starts a run"
        )
        super().__init__(f"{rid}: {missing}; {way_out}")


class DeliveryHeld(AoError):
    """A delivery of a work is not synced until a person decides so.

    ``this`` is that delivery, ``why`` the reason, and ``against`` the other delivery, because of which it waits.
    ``redo`` has the arguments of ``ao reprocess`` if these are not the RID alone, as for a part of a work.
    """

    def __init__(self, rid: str, this: str, against: str, why: str, redo: str = "") -> None:
        self.rid = rid
        self.this = this
        self.against = against
        self.why = why
        super().__init__(
            f"{rid}: {why}. Nothing of it was done\nTo do it all the same: ao reprocess {redo or rid} --force"
        )


class OlderDelivery(DeliveryHeld):
    """The delivery waits because the archive has a newer one of the work."""

    def __init__(self, rid: str, this: str, synced: str, redo: str = "") -> None:
        why = f"this delivery is older than what the archive has: {this}; against {synced}"
        super().__init__(rid, this, synced, why, redo)


class NewerStored(DeliveryHeld):
    """The delivery waits because a newer one came before it and is not in the archive yet.

    The newer one's run was killed, or failed.
    """

    def __init__(self, rid: str, this: str, stored: str, redo: str = "") -> None:
        why = f"this delivery ({this}) is older than the one that is stored, and not in the archive yet ({stored})"
        super().__init__(rid, this, stored, why, redo)


class OtherObject(DeliveryHeld):
    """The delivery waits because the archive has the work from another object: a person must say which one is right."""

    def __init__(self, rid: str, this: str, synced: str, redo: str = "") -> None:
        why = f"this delivery is of another object than what the archive has: {this}; against {synced}"
        super().__init__(rid, this, synced, why, redo)


class WorkBusy(AoError):
    """Another process has the work's lock; ``holder`` is how it describes itself in the lock's file."""

    transient = True

    def __init__(self, rid: str, lock: Path, holder: str) -> None:
        self.rid = rid
        self.lock = lock
        self.holder = holder
        super().__init__(f"{rid} is being worked on by {holder or 'another process'} (lock {lock}); wait for its end")


class WorkUnknown(AoError):
    """A RID of which neither DRS nor Dagster nor staging has anything."""

    def __init__(self, rid: str) -> None:
        self.rid = rid
        super().__init__(
            f"{rid} is not known: DRS, Dagster and the scratch disk have nothing of it. Is it spelled as in the "
            f"catalogue? A work that was never restored is asked for with: ao restore request {rid}"
        )


class RunInFlight(AoError):
    """The work has a run that has not ended; ``state`` says whether it is queued or under way."""

    def __init__(self, rid: str, run_id: str, state: str) -> None:
        self.rid = rid
        self.run_id = run_id
        self.state = state
        super().__init__(
            f"{rid} has a run already, {run_id}, which is {state}: wait for its end, or end it in the web page first"
        )


class RunRefused(AoError):
    """A run in Dagster's storage says more of the process that is to execute it than which job it is, or has settings
    of the site; ``brings`` has what is not its to say.
    """

    def __init__(self, run_id: str, brings: Sequence[str]) -> None:
        self.run_id = run_id
        self.brings = tuple(brings)
        super().__init__(
            f"run {run_id} is not executed, for it brings its own {', '.join(self.brings)}. Where and as whom runs are "
            f"executed, dagster.yaml alone says, the settings are site.toml's, and the code is the image's. Ask for "
            f"the work again (ao reprocess RID), and find out who wrote this run into Dagster's storage"
        )


class InstanceUnusable(AoError):
    """Dagster's instance cannot be used; ``reason`` says what is wrong with it, and what to do about it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Dagster: {reason}")


class ServicesError(AoError):
    """The site's services cannot be started or ended; ``reason`` says why, and what to do about it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class ServiceNotUp(ServicesError):
    """A service did not start; ``tail`` has the last lines of its ``log``."""

    def __init__(self, name: str, said: str, log: Path, tail: Sequence[str]) -> None:
        self.name = name
        self.log = log
        self.tail = tuple(tail)
        last = "".join(f"\n  {line}" for line in self.tail)
        super().__init__(
            f"{name} did not come up: {said}. {f'The last of {log}:{last}' if tail else f'{log} is empty'}"
        )


class StagingError(AoError):
    """A file or folder on the scratch disk cannot be read, written or used; ``reason`` says why."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(shown(f"staging: {path}: {reason}"))


class StagingFull(StagingError):
    """The scratch disk is full: ``wanted`` bytes were to be written, 0 if that is not known, and ``free`` are free."""

    transient = True

    def __init__(self, path: Path, wanted: int, free: int) -> None:
        self.wanted = wanted
        self.free = free
        figures = f"{_gib(wanted)} are wanted and {_gib(free)} are free" if wanted else f"{_gib(free)} are free"
        # The system reports each of these with the same error.
        if free > max(wanted, _LEAST_THAT_HELPS):
            figures += ", so it takes no more files, or a quota is used up"
        super().__init__(
            path,
            f"the disk is full: {figures}; free some, or give [staging] reserve_gib in site.toml a larger share",
        )


class ReceiptRefused(StagingError):
    """A receipt is broken, or was written by another release or program; ``fault`` says what is wrong with it."""

    def __init__(self, path: Path, fault: str) -> None:
        self.fault = fault
        super().__init__(
            path,
            f"is no receipt that can be used: {fault}. It is passed over, and what it would have spared is done again, "
            f"which writes another: ao reprocess {path.parent.name}",
        )


class NoRoom(StagingError):
    """A work did not get room on the scratch disk; every figure is in bytes.

    ``needed`` is what the work still has to write, ``free`` what is free on the disk, ``reserve`` what the site keeps
    free, and ``promised`` what other works under way still have to write.
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
    """An intake's folder, or a file in it, cannot be read, written or used; ``reason`` says why."""

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
    """AWS, or the network to it, failed.

    ``doing`` says what was being done. ``where`` names the queue or object, and the region and profile that were used.
    """

    transient = True

    def __init__(self, doing: str, where: str, reason: str) -> None:
        self.doing = doing
        self.where = where
        self.reason = reason
        super().__init__(f"{doing} failed at {where}: {reason}")


class ObjectError(AoError):
    """S3 does not give the object. ``where`` names bucket, key, version, region and profile."""

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"{where}: {reason}")


class PartsMissing(AoError):
    """A work has no part such as was asked for; ``known`` has the names of those that it has."""

    def __init__(self, rid: str, what: str, known: Sequence[str]) -> None:
        self.rid = rid
        self.known = tuple(known)
        some, more = ", ".join(self.known[:5]), f" and {len(self.known) - 5} more" if self.known[5:] else ""
        has = f"it has {some}{more}" if some else "it lies in one zip: ask without --only and --group"
        super().__init__(f"{rid} has {what}; {has}")


class ObjectNotRestored(ObjectError):
    """Glacier was asked for the object, and has not restored it yet."""

    transient = True


class ObjectMissing(ObjectError):
    """The object does not exist, or this version of it does not."""


class RestoreRefused(ObjectError):
    """Glacier does not restore the object in the way that was requested."""


class RestoreTooSlow(ObjectError):
    """Glacier was still restoring the object when the time that the site waits for it was over."""


class ObjectChanged(ObjectError):
    """The object was replaced by another one while it was being downloaded."""


class PartRefused(ObjectError):
    """The bucket of deep copies does not take a part of a work, or has other content under its key."""


class DownloadMismatch(ObjectError):
    """The bytes that arrived are not those in S3, and neither are those that were fetched again.

    ``what`` names what was compared, ``expected`` is its value in S3, and ``found`` that of the bytes that arrived.
    """

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
    """One thing that is wrong with a bag, or with a copy of a work.

    ``kind`` is one of ``checksum``, ``size``, ``missing``, ``unexpected``, ``unreadable``, ``oxum``, ``structure``
    and ``zip``. ``path`` is relative to the top of the zip or folder. ``algorithm``, ``expected`` and ``found`` are
    empty if they do not apply.
    """

    kind: str
    path: str
    reason: str
    algorithm: str = ""
    expected: str = ""
    found: str = ""


class ZipRefused(AoError):
    """A file that is no zip, or a zip that is not safe to unpack.

    ``member`` is the member of the zip that was refused, or None if the reason concerns the whole file.
    """

    def __init__(self, path: Path, member: str | None, reason: str) -> None:
        self.path = path
        self.member = member
        self.reason = reason
        what = f"{path.name}: member {member!r}" if member is not None else path.name
        super().__init__(shown(f"{what}: {reason}; nothing of it was kept"))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The refusal in the form of a bag's problem, for the report."""
        return (Problem("zip", self.member or self.path.name, self.reason),)


class BagInvalid(AoError):
    """A bag that is not what its manifests say; ``problems`` has everything that is wrong, file by file."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.name = name
        self.problems = tuple(problems)
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(shown(f"{name} is not a valid bag: {first.path}: {first.reason}{more}"))


class SyncError(AoError):
    """The sync of one work failed."""


class SyncScriptMissing(SyncError):
    """The sync script does not exist, or cannot be executed."""

    def __init__(self, script: str, reason: str) -> None:
        self.script = script
        self.reason = reason
        super().__init__(f"the sync script {script!r} {reason}; [sync] script in site.toml names it")


class SyncOptionsError(SyncError):
    """A sync.yml that cannot be used; each of ``mistakes`` names the line, and the key if there is one."""

    def __init__(self, path: Path, mistakes: Sequence[str]) -> None:
        self.path = path
        # By YAML's escapes a key may have any character: half of a pair, a line feed, a terminal's code for a colour.
        self.mistakes = tuple("".join(c if c.isprintable() else ascii(c)[1:-1] for c in said) for said in mistakes)
        said = self.mistakes[0] if len(self.mistakes) == 1 else "".join(f"\n  - {line}" for line in self.mistakes)
        super().__init__(f"{path}: {said}{_NOT_STARTED}")


_NOT_STARTED = "\nThe sync script was not started"


class WordInVain(SyncError):
    """What a person asked of this run, with ``--others``, ``--leave`` or ``--replace``, cannot be done.

    It names no work that the zip of ``rid`` brought, or contradicts itself. ``word`` says which, and ``works`` are the
    works that the zip brought.
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


class PartReplacesNothing(SyncError):
    """A person asked for the archive's copy to be replaced by a part of the work; ``part`` is the part in words."""

    def __init__(self, part: str, redo: str) -> None:
        self.part = part
        super().__init__(
            f"{part}: it is a part of the work, and --replace would remove all that the other parts brought. Nothing "
            f"was synced. To add it to what the archive has, and have its own files changed: ao reprocess {redo}"
        )


class MixedStructure(SyncError):
    """The archive has some of a work's image groups inverted, as ``inverted``, and some not, as ``upright``."""

    def __init__(self, rid: str, place: Path, inverted: str, upright: str) -> None:
        self.rid = rid
        self.place = place
        self.inverted = inverted
        self.upright = upright
        super().__init__(
            f"{rid}: {place} has {inverted}/ and {upright}/, so its image groups are half inverted, and nobody can say "
            f"where the next belongs. Nothing was synced. Bring all of them into one structure by hand, then: "
            f"ao reprocess {rid}"
        )


class OtherStructure(SyncError):
    """A work was unpacked with its image groups in another structure than the archive has by now."""

    def __init__(self, part: str, place: Path, path: str, *, redo: str, start_from: str) -> None:
        self.part = part
        self.place = place
        self.path = path
        super().__init__(
            f"{part}: it was unpacked with {path}, and {place} has the work's image groups in the other structure by "
            f"now. Nothing was synced. To unpack it anew: ao reprocess {redo} --from {start_from} --fresh"
        )


class SyncFailed(SyncError):
    """The sync script failed; ``reason`` says how, and ``tail`` has the last lines that it printed."""

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
    """A copy of the work is not what was bagged; ``place`` is where it is, ``problems`` has every file that differs."""

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
    """The archive's copy of the work is not what was bagged.

    :param staged: whether the work is still on the scratch disk.
    :param replacing: the arguments of ``ao reprocess`` with which the archive's copy is replaced, if it is.
    :param start_from: the asset whose materialization brings the work back, if it is not.
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
    """The images on the web are not those that were bagged; ``start_from`` is the asset that sends them."""

    def __init__(self, rid: str, prefix: str, problems: Sequence[Problem], *, start_from: str) -> None:
        super().__init__(rid, prefix, problems, f"Nothing was freed. Find out why, and materialize {start_from} again")


class WorkHeld(CopyMismatch):
    """A work that came in the zip of another one would change its copy in the archive or on the web.

    ``rid`` is that work, and ``partition`` the one whose zip it came in. It is not synced until a person decides.
    """

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
    """The files in ``place`` that the sync would change or remove cannot be kept in ``into``; it was not started."""

    def __init__(self, place: Path, into: Path, reason: str) -> None:
        self.place = place
        self.into = into
        self.reason = reason
        super().__init__(
            f"what the sync would change or remove of {place} cannot be kept at {into}: {reason}; free some room on "
            f"that share, or set [sync] keep_replaced_days = 0 in site.toml to keep nothing{_NOT_STARTED}"
        )


class ReplacedUnreadable(SyncError):
    """A folder that a replacement would remove cannot be read, so that nobody knows which files are in it."""

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder = folder
        self.reason = reason
        super().__init__(
            f"{folder} cannot be read: {reason}. A replacement would remove it, with files that are neither listed nor "
            f"kept; give it to the user that runs this{_NOT_STARTED}"
        )


class WorksNotSynced(SyncError):
    """Some of the several works in a zip were not synced: ``failed`` has the error of each, ``synced`` the other works.

    It is transient only if each of those errors is.
    """

    def __init__(self, failed: Mapping[str, AoError], synced: Sequence[str]) -> None:
        self.failed = dict(failed)
        self.synced = tuple(synced)
        self.transient = all(error.transient for error in failed.values())
        done = f"{', '.join(synced)} {'is' if len(synced) == 1 else 'are'} done and will not be synced again. "
        each = "".join(f"\n- {rid}: {str(error).removeprefix(f'{rid}: ')}" for rid, error in failed.items())
        count = f"{len(failed)} of {len(failed) + len(synced)} works"
        super().__init__(f"{count} failed: {', '.join(failed)}. {done if synced else ''}{each}")


class ArchiveNotFlushed(SyncError):
    """The archive's file system was told to write the work to its disk, and failed or took too long."""

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
    """A share of the archive, the folder ``tree``, is not as it was noted; ``reason`` says what was found instead.

    Mostly nothing is mounted there. ``way_out`` says what to do about it.
    """

    transient = True

    def __init__(self, tree: Path, reason: str, way_out: str = "") -> None:
        self.tree = tree
        self.reason = reason
        self.way_out = way_out or (
            f"Mount the share as it was, and the run goes on; what was written meanwhile may lie in the folder that it "
            f"is mounted on. If its disk was exchanged on purpose: ao archive init --exchanged {tree.name[-1]}"
        )
        super().__init__(f"{tree}: {reason}. Nothing was freed. {self.way_out}")


class DeepCopyError(AoError):
    """What the archive has of a work cannot be deep-copied as it is; ``problems`` has the files, and why."""

    def __init__(self, rid: str, place: Path, problems: Sequence[Problem]) -> None:
        self.rid = rid
        self.place = place
        self.problems = tuple(problems)
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(
            shown(
                f"{rid}: {place} cannot be deep-copied as it is: {first.path}: {first.reason}{more}. No part with such "
                f"a file is in the bucket. Put right what the archive has, or have the work delivered again"
            )
        )


class CommandNotStarted(AoError):
    """A command does not exist, or cannot be executed."""

    def __init__(self, command: str, reason: str) -> None:
        self.command = command
        self.reason = reason
        super().__init__(f"{command} cannot be started: {reason}")


class BackupError(AoError):
    """A backup cannot be made, read or restored; the message has the error of the database's program if that failed."""


class DatabaseError(AoError):
    """DRS refused a request; ``where`` is the database, or the file that names it, without a password."""

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"DRS: {where}: {reason}")


class DatabaseUnavailable(DatabaseError):
    """DRS does not answer."""

    transient = True


_LEAST_THAT_HELPS = 16 << 20
"""With fewer bytes free than these, the system may call a disk full although the wanted bytes would fit."""


def _gib(size: int) -> str:
    return f"{size / (1 << 30):,.2f} GiB"


_LONGEST_LINE = 1000


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"
