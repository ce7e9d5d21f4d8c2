"""Which of the checksums that S3 has of an object proves it, and over which pieces of the object it is computed.

What belongs here: reading S3's checksums, choosing one, and the form in which S3 writes a digest. What does not:
computing digests (``ao_workflows.fixity.digests``), and asking S3.

S3 has a checksum in one of three forms, best first:

- *of the whole object*: one digest of all bytes;
- *composite*: the digest of the digests of the parts that the object was uploaded in;
- the *ETag*: the MD5 of all bytes, or for an object uploaded in parts the MD5 of the parts' MD5s. It is neither where
  the object is encrypted with a key of KMS's or of the customer's.

See AWS, "Checking object integrity in Amazon S3", and the API's "Object", field ETag.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALGORITHMS = {
    "sha256": "SHA-256",
    "sha512": "SHA-512",
    "sha1": "SHA-1",
    "crc64nvme": "CRC64NVME",
    "crc32c": "CRC32C",
    "crc32": "CRC32",
    "md5": "MD5",
}
"""The algorithms that can be checked, strongest first, as they are called here and as people call them."""

_DIGEST_BYTES = {"sha256": 32, "sha512": 64, "sha1": 20, "crc64nvme": 8, "crc32c": 4, "crc32": 4, "md5": 16}

_SIZE_ONLY = "size only"

_ETAG_IS_MD5_UNDER = {None, "AES256"}
_ETAG = re.compile(r"([0-9a-f]{32})(?:-([1-9][0-9]*))?")
_COMPOSITE = re.compile(r"(.+)-([1-9][0-9]*)")


@dataclass(frozen=True)
class Stated:
    """What S3 states of an object that can help to prove it.

    ``size`` is in bytes; ``etag`` is without quotation marks; ``checksums`` are by algorithm, in S3's base64;
    ``checksum_type`` is ``FULL_OBJECT``, ``COMPOSITE`` or None; ``encryption`` and ``customer_key`` say how the object
    is encrypted.
    """

    size: int
    etag: str
    checksums: Mapping[str, str]
    checksum_type: str | None = None
    encryption: str | None = None
    customer_key: bool = False


@dataclass(frozen=True)
class StatedChecksum:
    """One checksum that S3 states of an object; ``expected`` is its digest in hex.

    ``parts`` is None if it is of the whole object, else the number of uploaded parts whose digests it is computed from.
    ``by_etag`` says that it is the object's ETag.
    """

    algorithm: str
    expected: str
    parts: int | None
    by_etag: bool

    @property
    def name(self) -> str:
        """The checksum's name in the run's metadata."""
        called = ALGORITHMS[self.algorithm]
        if self.parts is None:
            return f"{called} (ETag)" if self.by_etag else called
        parts = "1 part" if self.parts == 1 else f"{self.parts} parts"
        return f"{called} of the {called}s of {parts} (ETag)" if self.by_etag else f"composite {called} of {parts}"


@dataclass(frozen=True)
class ObjectProof:
    """How an object will be proven: by which checksum, computed over pieces of which sizes.

    ``checksum`` is None if nothing but the size can be compared; ``why_not`` then says why. ``pieces`` is the whole
    object as one piece, unless the checksum is over an upload's parts."""

    checksum: StatedChecksum | None
    pieces: tuple[int, ...]
    why_not: str = ""

    @property
    def name(self) -> str:
        """The proof's name in the run's metadata."""
        if self.checksum:
            return self.checksum.name
        return f"{_SIZE_ONLY}: {self.why_not}" if self.why_not else _SIZE_ONLY


def is_size_only(proof: str) -> bool:
    """Whether the proof of that name compares nothing but the size, so that it proves no byte.

    :param proof: the ``name`` of an ``ObjectProof``, as a receipt has it.
    """
    return proof.startswith(_SIZE_ONLY)


def best_checksum(stated: Stated) -> StatedChecksum | None:
    """Returns the checksum to prove an object by; None if S3 states none that can be checked."""
    claims = [
        checksum
        for algorithm in ALGORITHMS
        if (text := stated.checksums.get(algorithm)) and (checksum := _stated_checksum(algorithm, text, stated))
    ]
    whole = [checksum for checksum in claims if checksum.parts is None]
    return next(iter([*whole, *claims]), None) or _etag_checksum(stated)


def proof_by(stated: Stated, checksum: StatedChecksum | None, part_sizes: Sequence[int] | None) -> ObjectProof:
    """Returns how an object is proven by a checksum.

    :param part_sizes: the sizes of the upload's parts; None if S3 did not give them.
    """
    if checksum is None:
        return ObjectProof(None, (stated.size,), _why_no_checksum(stated))
    if checksum.parts is None:
        return ObjectProof(checksum, (stated.size,))
    if part_sizes is None or len(part_sizes) != checksum.parts or sum(part_sizes) != stated.size:
        return ObjectProof(None, (stated.size,), "S3 does not say how the object's parts are cut")
    return ObjectProof(checksum, tuple(part_sizes))


def even_parts(size: int, parts: int, first: int, last: int) -> tuple[int, ...] | None:
    """Returns the sizes of an upload's parts if all but the last are as large as the first; None if they are not.

    :param size: the object's size; ``first`` and ``last`` are those of the first and the last of its ``parts``.
    """
    if parts == 1:
        return (size,) if first == size else None
    sizes = (*(first,) * (parts - 1), last)
    return sizes if sum(sizes) == size and 0 < last <= first else None


def in_base64(digest: str) -> str:
    """Returns a digest that is in hex as S3 writes it, in base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _stated_checksum(algorithm: str, text: str, stated: Stated) -> StatedChecksum | None:
    composite = _COMPOSITE.fullmatch(text)
    digest = _hex(algorithm, composite[1] if composite else text)
    if digest is None:
        return None
    if composite:
        return StatedChecksum(algorithm, digest, int(composite[2]), by_etag=False)
    if stated.checksum_type == "COMPOSITE":
        parts = _parts_of_etag(stated.etag)
        return StatedChecksum(algorithm, digest, parts, by_etag=False) if parts else None
    return StatedChecksum(algorithm, digest, None, by_etag=False)


def _etag_checksum(stated: Stated) -> StatedChecksum | None:
    found = _ETAG.fullmatch(stated.etag)
    if not found or stated.customer_key or stated.encryption not in _ETAG_IS_MD5_UNDER:
        return None
    return StatedChecksum("md5", found[1], int(found[2]) if found[2] else None, by_etag=True)


def _why_no_checksum(stated: Stated) -> str:
    if stated.customer_key:
        return "S3 states no checksum, and the ETag of an object encrypted with a customer's key is no MD5"
    if stated.encryption not in _ETAG_IS_MD5_UNDER:
        return f"S3 states no checksum, and the ETag of an object encrypted with {stated.encryption} is no MD5"
    return "S3 states no checksum that can be checked here"


def _parts_of_etag(etag: str) -> int | None:
    found = _ETAG.fullmatch(etag)
    return int(found[2]) if found and found[2] else None


def _hex(algorithm: str, text: str) -> str | None:
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return digest.hex() if len(digest) == _DIGEST_BYTES[algorithm] else None
