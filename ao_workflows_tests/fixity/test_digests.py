"""Digests: those of the pieces as those of the whole, however the bytes come."""

from __future__ import annotations

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao_workflows.fixity.digests import PieceDigests, digest_of_digests, joined, new_digest

CHECK = {"crc32": "cbf43926", "crc32c": "e3069283", "crc64nvme": "ae8b14860a799888"}
"""Of ``123456789``, as the catalogues of CRCs give it."""


def digest_of(algorithm: str, content: bytes) -> str:
    digest = new_digest(algorithm)
    digest.update(content)
    return digest.hexdigest()


@pytest.mark.parametrize("algorithm", CHECK)
def test_each_crc_is_the_one_of_its_name(algorithm: str) -> None:
    """There are a dozen CRCs of each width, alike but for their polynomial."""
    assert digest_of(algorithm, b"123456789") == CHECK[algorithm]
    assert digest_of(algorithm, b"") == "0" * len(CHECK[algorithm])


def test_a_digest_keeps_its_leading_zeros() -> None:
    """One in sixteen would else be called wrong."""
    content = next(word for word in (b"%d" % number for number in range(1000)) if zlib.crc32(word) < 1 << 24)
    assert digest_of("crc32", content) == f"{zlib.crc32(content):08x}"


@given(pieces=st.lists(st.binary(max_size=60), max_size=6), step=st.integers(1, 70))
@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme", "md5", "sha256"])
def test_pieces_are_digested_across_any_blocks(algorithm: str, pieces: list[bytes], step: int) -> None:
    """Neither the line nor the disk knows where a piece ends."""
    whole = b"".join(pieces)
    digests = PieceDigests(algorithm, [len(piece) for piece in pieces])
    for at in range(0, len(whole), step):
        digests.update(memoryview(whole)[at : at + step])
    assert digests.hexdigests() == tuple(digest_of(algorithm, piece) for piece in pieces)
    if algorithm in CHECK:
        sizes = [len(piece) for piece in pieces]
        assert joined(algorithm, digests.hexdigests(), sizes) == digest_of(algorithm, whole)


def test_a_digest_of_digests_is_over_their_bytes() -> None:
    """Over their hex it would be S3's of nothing."""
    parts = [hashlib.sha1(part, usedforsecurity=False) for part in (b"a", b"b")]
    expected = hashlib.sha1(b"".join(part.digest() for part in parts), usedforsecurity=False).hexdigest()
    assert digest_of_digests("sha1", [part.hexdigest() for part in parts]) == expected
