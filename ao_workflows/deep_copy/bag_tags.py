"""The tag files of a part's bag, as the archive's present tools write them, with nothing in them that time changes.

What belongs here: their text and its size. What does not: the zip around them (``ao_workflows.deep_copy.zip_layout``).

A bag is the same, byte by byte, whenever it is made of the same files: no date of bagging is in it. So an upload can be
resumed, and an object that is there already can be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

ALGORITHM = "sha512"
"""That of the manifests: the one that the archive's present tools write."""

BAGIT = b"BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n"

_DIGEST_LENGTH = 2 * hashlib.new(ALGORITHM, usedforsecurity=False).digest_size
_ESCAPES = {"\r": "%0D", "\n": "%0A"}


def manifest(payload: Sequence[str], digests: Iterable[str]) -> bytes:
    """Returns the payload's manifest.

    :param payload: the files' paths in the payload; ``digests`` are theirs in the same order, in hex.
    """
    return b"".join(f"{digest}  data/{_listed(path)}\n".encode() for path, digest in zip(payload, digests, strict=True))


def manifest_size(payload: Sequence[str]) -> int:
    """Returns the bytes of the payload's manifest, which do not depend on the digests."""
    return sum(_DIGEST_LENGTH + len(f"  data/{_listed(path)}\n".encode()) for path in payload)


def bag_info(name: str, size: int, files: int) -> bytes:
    """Returns the bag's description: its name, and the bytes and the number of its payload's files."""
    return f"BDRC-RID: {name}\nBag-Software-Agent: ao-workflows\nPayload-Oxum: {size}.{files}\n".encode()


def tag_manifest(tags: Iterable[tuple[str, bytes]]) -> bytes:
    """Returns the manifest of the tag files, by their names and contents."""
    return b"".join(
        f"{hashlib.new(ALGORITHM, content, usedforsecurity=False).hexdigest()} {name}\n".encode()
        for name, content in tags
    )


def can_be_listed(path: str) -> bool:
    """Whether a manifest of BagIt 0.97 can name the file: whole escapes in a name would be taken for what they mean."""
    upper = path.upper()
    return not any(escape in upper for escape in (*_ESCAPES.values(), "%25"))


def _listed(path: str) -> str:
    for character, escape in _ESCAPES.items():
        path = path.replace(character, escape)
    return path
