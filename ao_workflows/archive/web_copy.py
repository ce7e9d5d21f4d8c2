"""The copy of a work's images on the web, which the image server reads from S3, compared with what was bagged.

What belongs here: that comparison. What does not: sending the images, which the sync script does, and S3 itself
(``ao_workflows.aws.s3``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ao_workflows.aws.connections import AwsConnection
from ao_workflows.aws.s3 import S3
from ao_workflows.errors import ObjectMissing, Problem
from ao_workflows.fixity.digests import BLOCK, PieceDigests, digest_of_digests
from ao_workflows.fixity.s3_checksums import ALGORITHMS, StatedChecksum
from ao_workflows.fixity.trees import FileFixity
from ao_workflows.machine.threads import each_in_order

IMAGES = "images/"
_AT_A_TIME = 16
_WEB = "web"


@dataclass(frozen=True)
class ComparedWeb:
    """How many ``images`` a work has, how many of them were compared ``by_size`` alone, and what is wrong there."""

    images: int
    by_size: int
    problems: list[Problem]


def compare_web(
    connection: AwsConnection,
    prefix: str,
    files: Iterable[FileFixity],
    local: Path,
    how: Literal["checksum", "size"],
) -> ComparedWeb:
    """Compares a work's images on the web with what was bagged.

    Returns a problem for each image that is missing on the web or differs there. Sizes are compared, and with
    ``how="checksum"`` also the best checksum that S3 states, if it states one.

    :param prefix: where the images are on the web, of the form ``s3://bucket/…/images/``.
    :param files: the work's files as they were bagged; those that are not in ``images/`` are ignored.
    :param local: a folder of the work whose files have been proven. They are read if S3 states a checksum by another
        algorithm than the bag's manifests have.
    :raises ServiceError: if S3 does not answer.
    :raises ObjectError: if S3 refuses.
    """
    bucket, _, start = prefix.removeprefix("s3://").partition("/")
    s3 = S3(connections={_WEB: connection})
    there = dict(s3.sizes(_WEB, bucket, start))

    by_size: list[str] = []

    def look(file: FileFixity) -> Problem | None:
        key = start + file.path.removeprefix(IMAGES)
        if key not in there:
            return Problem("missing", file.path, f"is not on the web, as s3://{bucket}/{key}")
        if there[key] != file.size:
            reason = f"has {there[key]} bytes on the web, not {file.size}"
            return Problem("size", file.path, reason, "", str(file.size), str(there[key]))
        if how == "checksum":
            return look_at_checksum(file, key)
        by_size.append(key)
        return None

    def look_at_checksum(file: FileFixity, key: str) -> Problem | None:
        try:
            proof = s3.proof(_WEB, s3.look(_WEB, bucket, key, None))
        except ObjectMissing:
            return Problem("missing", file.path, f"was taken off the web meanwhile, as s3://{bucket}/{key}")
        if proof.checksum is None:
            by_size.append(key)
            return None
        bagged = _digest(file, local / file.path, proof.checksum, proof.pieces)
        if bagged == proof.checksum.expected:
            return None
        reason = f"has another {ALGORITHMS[proof.checksum.algorithm]} on the web than what was bagged"
        return Problem("checksum", file.path, reason, proof.checksum.algorithm, bagged, proof.checksum.expected)

    images = 0

    def counted() -> Iterator[FileFixity]:
        nonlocal images
        for file in files:
            if file.path.startswith(IMAGES):
                images += 1
                yield file

    problems = [problem for problem in each_in_order(_AT_A_TIME, look, counted()) if problem]
    return ComparedWeb(images, len(by_size), problems)


def images_beside(connection: AwsConnection, prefix: str, files: Iterable[FileFixity]) -> list[str]:
    """Returns the keys of the objects on the web, below a work's prefix, that are not images of the work.

    :param prefix: of the form ``s3://bucket/…/images/``.
    :param files: the work's files as they were bagged.
    :raises ServiceError: if S3 does not answer.
    :raises ObjectError: if S3 refuses.
    """
    bucket, _, start = prefix.removeprefix("s3://").partition("/")
    there = S3(connections={_WEB: connection}).sizes(_WEB, bucket, start)
    bagged = {start + file.path.removeprefix(IMAGES) for file in files if file.path.startswith(IMAGES)}
    return [key for key, _ in there if key not in bagged]


def _digest(file: FileFixity, path: Path, checksum: StatedChecksum, pieces: tuple[int, ...]) -> str:
    """Returns the digest that S3 should state for a file, in hex."""
    if checksum.parts is None and checksum.algorithm in file.digests:
        return file.digests[checksum.algorithm]
    digests = PieceDigests(checksum.algorithm, pieces)
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(BLOCK):
            digests.update(memoryview(block))
    found = digests.hexdigests()
    return found[0] if checksum.parts is None else digest_of_digests(checksum.algorithm, found)
