"""Which checksum proves an object: the best that S3 states, and none that only looks like one."""

from __future__ import annotations

import base64

import pytest

from ao_workflows.fixity.s3_checksums import Stated, StatedChecksum, best_checksum, even_parts, in_base64, proof_by

MD5 = "0123456789abcdef" * 2
SHA256 = base64.b64encode(b"s" * 32).decode()
CRC64 = base64.b64encode(b"c" * 8).decode()
CRC32 = base64.b64encode(b"3" * 4).decode()


def claim_of(
    etag: str = MD5, kind: str | None = None, encryption: str | None = None, **checksums: str
) -> StatedChecksum | None:
    return best_checksum(Stated(100, etag, checksums, kind, encryption))


def test_the_strongest_checksum_of_the_whole_comes_first() -> None:
    """A CRC finds what a line flips; only a hash finds everything."""
    claim = claim_of(crc32=CRC32, sha256=SHA256, crc64nvme=CRC64)
    assert claim == StatedChecksum("sha256", (b"s" * 32).hex(), None, by_etag=False)
    assert claim.name == "SHA-256"


def test_a_checksum_comes_before_the_etag() -> None:
    """S3 took the one of the bytes that it keeps, and the other of those that it was sent."""
    claim = claim_of(crc64nvme=CRC64)
    assert claim
    assert (claim.algorithm, claim.by_etag) == ("crc64nvme", False)


@pytest.mark.parametrize(
    ("text", "kind", "etag"),
    [(f"{SHA256}-7", "COMPOSITE", MD5), (f"{SHA256}-7", None, MD5), (SHA256, "COMPOSITE", f"{MD5}-7")],
)
def test_a_composite_checksum_is_told_by_its_type_or_its_tail(text: str, kind: str | None, etag: str) -> None:
    """Older servers send no type, others no tail."""
    claim = claim_of(etag, kind, sha256=text)
    assert claim == StatedChecksum("sha256", (b"s" * 32).hex(), 7, by_etag=False)
    assert claim.name == "composite SHA-256 of 7 parts"


def test_the_etag_is_an_md5_or_one_of_md5s() -> None:
    """What was uploaded before 2025 has no other checksum."""
    assert claim_of() == StatedChecksum("md5", MD5, None, by_etag=True)
    several = claim_of(f"{MD5}-3")
    assert several == StatedChecksum("md5", MD5, 3, by_etag=True)
    assert several.name == "MD5 of the MD5s of 3 parts (ETag)"


@pytest.mark.parametrize("encryption", ["aws:kms", "aws:kms:dsse"])
def test_the_etag_of_an_encrypted_object_is_none(encryption: str) -> None:
    """It has an MD5's form, and would refuse every such object for ever."""
    stated = Stated(100, MD5, {}, None, encryption)
    assert best_checksum(stated) is None
    assert proof_by(stated, None, None).name == (
        f"size only: S3 states no checksum, and the ETag of an object encrypted with {encryption} is no MD5"
    )
    assert claim_of(encryption="AES256") is not None


def test_the_etag_under_a_customer_s_key_is_none() -> None:
    """As with KMS's."""
    stated = Stated(100, MD5, {}, customer_key=True)
    assert best_checksum(stated) is None
    assert "customer's key" in proof_by(stated, None, None).name


@pytest.mark.parametrize("etag", ["", "abc", f"{MD5}-", f"{MD5}-0", f"{MD5}-x", MD5.upper()])
def test_an_etag_of_another_form_proves_nothing(etag: str) -> None:
    """Other servers than AWS's put there what they like."""
    assert claim_of(etag) is None


@pytest.mark.parametrize("text", ["§", "====", "-", f"{CRC64}", f"{SHA256}-0"])
def test_a_checksum_that_cannot_be_one_is_none(text: str) -> None:
    """A proxy's header must not stop a download that the ETag proves."""
    claim = claim_of(sha256=text)
    assert claim
    assert claim.by_etag


def test_parts_whose_sizes_are_not_known_prove_nothing() -> None:
    """The digest of digests over other cuts is another one: every such bag would be called wrong."""
    stated = Stated(100, f"{MD5}-3", {})
    claim = best_checksum(stated)
    assert proof_by(stated, claim, [40, 40, 20]).pieces == (40, 40, 20)
    for sizes in (None, [50, 50], [40, 40, 40]):
        proof = proof_by(stated, claim, sizes)
        assert proof.checksum is None
        assert proof.name == "size only: S3 does not say how the object's parts are cut"


def test_even_parts_follow_from_the_first_and_the_last() -> None:
    """Two questions instead of ten thousand; where the answer does not add up, each part must be asked for."""
    assert even_parts(100, 3, 40, 20) == (40, 40, 20)
    assert even_parts(80, 2, 40, 40) == (40, 40)
    assert even_parts(7, 1, 7, 7) == (7,)
    assert even_parts(100, 3, 30, 20) is None
    assert even_parts(100, 2, 40, 60) is None
    assert even_parts(7, 1, 6, 6) is None


def test_a_digest_is_written_as_s3_writes_it() -> None:
    """A part's own checksum is compared in that form."""
    assert in_base64((b"s" * 32).hex()) == SHA256
