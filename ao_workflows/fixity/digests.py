"""Digests that are computed piece by piece while bytes go by, and combined afterwards.

What belongs here: a running digest for each algorithm that S3 uses, and computing one digest from several. What does
not: which digest is needed (``ao_workflows.fixity.s3_checksums``).

CRC32C and CRC64NVME are computed by awscrt, AWS's own library, at tens of GB/s. CRC32 is zlib's, which is twice as fast
as awscrt's and does not hold the other threads up.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

BLOCK = 1 << 20
_CRC_BYTES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8}


class Digest(Protocol):
    """A running digest, with the two methods of hashlib's objects that are used here."""

    def update(self, block: bytes | memoryview, /) -> None:
        """Adds bytes to the digest."""

    def hexdigest(self) -> str:
        """Returns the digest of all bytes so far, in hex."""


class _Crc:
    def __init__(self, algorithm: str) -> None:
        self._function = _crc_function(algorithm)
        self._width = 2 * _CRC_BYTES[algorithm]
        self._value = 0

    def update(self, block: bytes | memoryview, /) -> None:
        self._value = self._function(block, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:0{self._width}x}"


def new_digest(algorithm: str) -> Digest:
    """Returns a running digest of no bytes yet.

    :param algorithm: a key of ``ao_workflows.fixity.s3_checksums.ALGORITHMS``.
    """
    return _Crc(algorithm) if algorithm in _CRC_BYTES else hashlib.new(algorithm, usedforsecurity=False)


def can_be_joined(algorithm: str) -> bool:
    """Whether the digest of a whole can be computed from those of its pieces: true of CRCs, not of hashes."""
    return algorithm in _CRC_BYTES


def joined(algorithm: str, digests: Sequence[str], sizes: Sequence[int]) -> str:
    """Returns the CRC of a whole, computed from the CRCs and sizes of its pieces in their order."""
    from awscrt import checksums

    combine: Callable[[int, int, int], int] = {
        "crc32": checksums.combine_crc32,
        "crc32c": checksums.combine_crc32c,
        "crc64nvme": checksums.combine_crc64nvme,
    }[algorithm]
    value = 0
    for digest, size in zip(digests, sizes, strict=True):
        value = combine(value, int(digest, 16), size)
    return f"{value:0{2 * _CRC_BYTES[algorithm]}x}"


def digest_of_digests(algorithm: str, digests: Iterable[str]) -> str:
    """Returns S3's composite checksum: the digest of the bytes of the parts' digests, one after the other."""
    digest = new_digest(algorithm)
    for part in digests:
        digest.update(bytes.fromhex(part))
    return digest.hexdigest()


def file_crc64nvme(path: Path) -> str:
    """Returns the CRC64NVME of a file, in hex."""
    digest = new_digest("crc64nvme")
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


class PieceDigests:
    """The digests of consecutive pieces of a stream of bytes.

    :param sizes: the size of each piece, in bytes.
    """

    def __init__(self, algorithm: str, sizes: Sequence[int]) -> None:
        self._algorithm = algorithm
        self._sizes = iter(sizes)
        self._done: list[str] = []
        self._begin()

    def update(self, block: memoryview) -> None:
        """Adds the next bytes of the stream; they may end one piece and begin another."""
        while len(block) >= self._missing and self._digest:
            self._digest.update(block[: self._missing])
            block = block[self._missing :]
            self._done.append(self._digest.hexdigest())
            self._begin()
        if self._digest:
            self._digest.update(block)
            self._missing -= len(block)

    def hexdigests(self) -> tuple[str, ...]:
        """Returns the digests of the pieces that are complete, in their order."""
        return tuple(self._done)

    def _begin(self) -> None:
        """Begins the next piece; an empty one is complete at once."""
        self._digest: Digest | None = None
        self._missing = 0
        for size in self._sizes:
            self._digest = new_digest(self._algorithm)
            self._missing = size
            if size:
                return
            self._done.append(self._digest.hexdigest())
        self._digest = None


def _crc_function(algorithm: str) -> Callable[[bytes | memoryview, int], int]:
    if algorithm == "crc32":
        return zlib.crc32
    from awscrt import checksums

    function: Callable[[bytes | memoryview, int], int] = getattr(checksums, algorithm)
    return function
