"""The download of one object into one file: resumed if it can be, proven at the end, never wrong under its final name.

What belongs here: the ``.part`` file and its journal, the comparison with what S3 states, and the second attempt at
what was wrong. What does not: fetching the bytes (``ao_workflows.download.transfer``), and asking S3
(``ao_workflows.aws.s3``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ao_workflows.download.journal import FinishedPart, Journal
from ao_workflows.download.pace import Pace
from ao_workflows.download.plan import TransferPlan
from ao_workflows.download.source import RangeSource
from ao_workflows.download.transfer import Transfer
from ao_workflows.errors import DownloadMismatch
from ao_workflows.fixity.digests import BLOCK, can_be_joined, digest_of_digests, joined, new_digest
from ao_workflows.fixity.s3_checksums import ObjectProof
from ao_workflows.machine.disk import disk_error
from ao_workflows.machine.files import made_parents


@dataclass(frozen=True)
class DownloadPaths:
    """The files of one download: ``final`` once it is proven, until then ``part``, with its ``journal`` beside it."""

    final: Path
    part: Path
    journal: Path

    def remove(self) -> None:
        """Removes all three."""
        for path in (self.part, self.journal, self.final):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class FinishedDownload:
    """A finished download: bytes ``fetched`` and ``resumed``, number of ``parts``, ``retries``, and the file's
    CRC64NVME.
    """

    fetched: int
    resumed: int
    parts: int
    retries: int
    crc64nvme: str


def bring(
    source: RangeSource,
    where: str,
    identity: Mapping[str, Any],
    plan: TransferPlan,
    proof: ObjectProof,
    places: DownloadPaths,
    pace: Pace,
    tell: Callable[[int], None],
    locate: Callable[[Sequence[str]], Collection[int]],
) -> FinishedDownload:
    """Downloads an object to ``places.final``.

    The journal stays, so that a download is not repeated after a crash before the caller has noted that it is done.

    :param where: names the object in errors.
    :param identity: distinguishes the object from every other.
    :param tell: called with the bytes that are there, the first time with those that were there at the beginning.
    :param locate: called with the digests of the proof's pieces if they are wrong; returns the numbers of the wrong
        pieces, or none if it cannot know.
    :raises DownloadMismatch: if the bytes are wrong twice; they are removed.
    :raises StagingError: if the disk is full, or cannot be written to.
    :raises ServiceError: if S3 cannot be reached; what has arrived stays, and the next download goes on from there.
    """
    about = {**identity, "part_size": plan.part_size, "way": plan.way, "proof": proof.name}
    journal = Journal(places.journal, about)
    finished = _resume(journal, places, plan)
    resumed = sum(end - start for start, end in map(plan.span, finished))
    algorithm = proof.checksum.algorithm if proof.checksum else None
    fetched = retries = 0
    wrong: str | None = None
    try:
        for _ in ("once", "again"):
            there = sum(end - start for start, end in map(plan.span, finished))
            tell(there)
            transfer = Transfer(source, places.part, plan, algorithm, journal, finished, pace)
            done = transfer.run(tell)
            fetched += done.fetched
            retries += done.retries
            wrong = _wrong(proof, plan, done.digests)
            if wrong is None:
                break
            retries += 1
            suspects = {part for piece in locate(done.digests) for part in plan.parts_with(piece)}
            for part in suspects or list(finished):
                del finished[part]
            journal.begin(finished.values())
    finally:
        journal.close()
    if wrong is not None and proof.checksum:
        places.remove()
        raise DownloadMismatch(where, proof.name, proof.checksum.expected, wrong)
    try:
        places.part.replace(places.final)
    except OSError as error:
        raise disk_error(places.final, "cannot be put in place", error) from error
    order = range(plan.parts)
    sizes = [end - start for start, end in map(plan.span, order)]
    whole = joined("crc64nvme", [finished[part].crc64nvme for part in order], sizes)
    return FinishedDownload(fetched, resumed, plan.parts, retries, whole)


def _resume(journal: Journal, places: DownloadPaths, plan: TransferPlan) -> dict[int, FinishedPart]:
    """The parts that are there; with none, the file anew, as large as it is going to be."""
    made_parents(places.part)
    try:
        # A run that died between the file's last name and its receipt left all of it there.
        if places.journal.exists() and places.final.exists() and not places.part.exists():
            places.final.replace(places.part)
        if places.part.exists() and places.part.stat().st_size == plan.size:
            finished = journal.resume(lambda entry: _holds(places.part, plan, entry))
            if finished is not None:
                return finished
        places.remove()
        _allocate(places.part, plan.size)
    except OSError as error:
        raise disk_error(places.part, "cannot be written", error, plan.size) from error
    journal.begin()
    return {}


def _allocate(part: Path, size: int) -> None:
    """Makes the file with all its room, so that a full disk is met before the first byte is fetched."""
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        if size:
            os.posix_fallocate(handle, 0, size)
    except OSError:
        part.unlink()
        raise
    finally:
        os.close(handle)


def _holds(part: Path, plan: TransferPlan, entry: FinishedPart) -> bool:
    """Whether the disk still has what an earlier boot's journal says of a part."""
    if not 0 <= entry.part < plan.parts:
        return False
    digest = new_digest("crc64nvme")
    start, end = plan.span(entry.part)
    try:
        with part.open("rb", buffering=0) as stream:
            stream.seek(start)
            while start < end and (block := stream.read(min(BLOCK, end - start))):
                digest.update(block)
                start += len(block)
    except OSError:
        return False
    return digest.hexdigest() == entry.crc64nvme


def _wrong(proof: ObjectProof, plan: TransferPlan, digests: Sequence[str]) -> str | None:
    """What was found, where it is not what S3 states; None where it is."""
    if proof.checksum is None:
        return None
    algorithm = proof.checksum.algorithm
    if proof.checksum.parts is not None:
        found = digest_of_digests(algorithm, digests)
    elif plan.way == "joined" and can_be_joined(algorithm):
        found = joined(algorithm, digests, [end - start for start, end in map(plan.span, range(plan.parts))])
    else:
        found = digests[0]
    return None if found == proof.checksum.expected else found
