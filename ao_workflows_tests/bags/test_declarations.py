"""What a bag declares: read from the very bytes that were hashed, and every mistake told with its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows_tests.support.debagging import PAGES, kinds, problems_of
from ao_workflows_tests.support.zip_bytes import bag_files, manifest


def test_an_algorithm_may_be_named_without_punctuation(tmp_path: Path) -> None:
    """So RFC 8493, 2.4, writes it; bagit looks for hashlib's name alone."""
    files = bag_files({"a": b"x"}, algorithms=("sha3_256",))
    renamed = {name.replace("sha3_256", "sha3256"): content for name, content in files.items() if "tag" not in name}
    assert problems_of(tmp_path, renamed) == []


def test_a_manifest_of_an_unknown_algorithm_is_told_beside_a_known_one_and_refused_alone(tmp_path: Path) -> None:
    """Nothing is proven by what nobody can compute."""
    known = bag_files(PAGES, version="0.97", tags={"manifest-crc99.txt": b"00  data/a\n"})
    assert problems_of(tmp_path, known) == []
    (tmp_path / "alone").mkdir()
    alone = {
        name.replace("sha256", "crc99"): content for name, content in bag_files(PAGES).items() if "tag" not in name
    }
    assert ("structure", "bagit.txt") in kinds(problems_of(tmp_path / "alone", alone))


def declaring(version: str, encoding: str = "UTF-8", more: str = "") -> bytes:
    return f"BagIt-Version: {version}\nTag-File-Character-Encoding: {encoding}\n{more}".encode()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        pytest.param("bagit.txt", declaring("2.0"), id="2.0"),
        pytest.param("bagit.txt", declaring("1.1"), id="1.1"),
        pytest.param("bagit.txt", declaring("0.98"), id="0.98"),
        pytest.param("bagit.txt", declaring("one"), id="a word for a version"),
        pytest.param("bagit.txt", b"BagIt-Version: 1.0\n", id="no encoding"),
        pytest.param("bagit.txt", b"BagIt-Version: 1.0\n" * 2, id="two versions"),
        pytest.param("bagit.txt", declaring("1.0", "Tibetan"), id="unknown encoding"),
        pytest.param("bagit.txt", declaring("1.0", more="Tag-File-Character-Encoding: UTF-8\n"), id="two encodings"),
        pytest.param("bagit.txt", b"\xff\xfe", id="no text"),
        pytest.param("bagit.txt", b"", id="empty"),
        pytest.param("bagit.txt", declaring(" 1.0"), id="two spaces"),
        pytest.param("bagit.txt", b"Tag-File-Character-Encoding: UTF-8\nBagIt-Version: 1.0\n", id="order"),
        pytest.param("bagit.txt", declaring("1.0", more="More: x\n"), id="a third line"),
        pytest.param("bag-info.txt", b"\xff", id="info is no UTF-8"),
        pytest.param("bag-info.txt", b"no label\n", id="info without a label"),
        pytest.param("manifest-sha256.txt", b"\xff\n", id="manifest is no UTF-8"),
        pytest.param("manifest-sha256.txt", b"justonething\n", id="no entry"),
        pytest.param("manifest-sha256.txt", b"00  ../../etc/passwd\n", id="dots"),
        pytest.param("manifest-sha256.txt", b"00  data/x/../a\n", id="dots that stay inside"),
        pytest.param("manifest-sha256.txt", b"00  /etc/passwd\n", id="absolute"),
        pytest.param("manifest-sha256.txt", b"00  notes.txt\n", id="no payload"),
        pytest.param("fetch.txt", b"http://x.example/a 3\n", id="fetch without a path"),
        pytest.param("fetch.txt", b"nothing 3 data/a\n", id="fetch without a URL"),
        pytest.param("fetch.txt", b"http://x.example/a - data/unknown\n", id="fetch of an unlisted file"),
        pytest.param("fetch.txt", b"http://x.example/a - ../a\n", id="fetch outside"),
    ],
)
def test_declarations_that_rfc_8493_calls_invalid_are_refused(tmp_path: Path, path: str, content: bytes) -> None:
    """What nobody can read the same way twice proves nothing."""
    assert ("structure", path) in kinds(problems_of(tmp_path, bag_files(PAGES, tags={path: content})))


def test_an_encoding_that_is_no_texts_is_refused(tmp_path: Path) -> None:
    """Python has codecs that turn bytes into bytes; reading text through one fails in another way."""
    files = bag_files(PAGES, tags={"bagit.txt": declaring("1.0", "base64")})
    assert ("structure", "bag-info.txt") in kinds(problems_of(tmp_path, files))


@pytest.mark.parametrize("missing", ["bagit.txt", "manifest-sha256.txt"])
def test_a_bag_without_its_declaration_or_manifest_is_refused(tmp_path: Path, missing: str) -> None:
    """A folder called .bag is not a bag for its name."""
    files = {name: content for name, content in bag_files(PAGES).items() if name != missing and "tagm" not in name}
    assert "structure" in {problem.kind for problem in problems_of(tmp_path, files)}


@pytest.mark.parametrize("oxum", [b"many", b"1", b"1.x", b"-1.3", b"18,3"])
def test_an_oxum_that_is_none_is_refused(tmp_path: Path, oxum: bytes) -> None:
    """bagit splits it at its point and fails without a word of the file."""
    files = bag_files(PAGES, tags={"bag-info.txt": b"Payload-Oxum: " + oxum + b"\n"})
    assert kinds(problems_of(tmp_path, files)) == {("oxum", "bag-info.txt")}


def test_from_version_1_on_a_tag_manifest_has_each_manifest_and_no_tag_manifest(tmp_path: Path) -> None:
    """RFC 8493, 2.2.1: else a manifest could be changed, and no digest would say so."""
    files = bag_files(PAGES)
    files["tagmanifest-sha256.txt"] = manifest({"bagit.txt": files["bagit.txt"]}, "sha256")
    assert kinds(problems_of(tmp_path, files)) == {("structure", "tagmanifest-sha256.txt")}
    (tmp_path / "other").mkdir()
    files = bag_files(PAGES, algorithms=("md5", "sha256"))
    files["tagmanifest-sha256.txt"] += manifest({"tagmanifest-md5.txt": files["tagmanifest-md5.txt"]}, "sha256")
    assert ("structure", "tagmanifest-sha256.txt") in kinds(problems_of(tmp_path / "other", files))


@pytest.mark.parametrize("encoding", ["UTF-16", "ISO-8859-1", "UTF-8"])
def test_tag_files_are_read_in_the_encoding_that_the_bag_names(tmp_path: Path, encoding: str) -> None:
    """An old European bag's manifest has its umlauts in Latin-1."""
    files = bag_files({"ä": b"x"}, version="0.97")
    listed = files["manifest-sha256.txt"].decode().encode(encoding)
    tags = {
        "bagit.txt": f"BagIt-Version: 0.97\nTag-File-Character-Encoding: {encoding}\n".encode(),
        "manifest-sha256.txt": listed,
        "bag-info.txt": "Contact-Name: Jäger\n".encode(encoding),
    }
    files = {name: content for name, content in files.items() if "tagmanifest" not in name} | tags
    assert problems_of(tmp_path, files) == []


def test_nothing_is_fetched_and_a_bag_is_incomplete_while_a_file_is_to_be(tmp_path: Path) -> None:
    """A URL in a bag must never be asked, and what it would bring was never here to prove."""
    fetch = b"http://127.0.0.1:9/a 6 data/a\n"
    files = bag_files(PAGES, tags={"fetch.txt": fetch})
    assert problems_of(tmp_path, files) == [], "all is there"
    (tmp_path / "holey").mkdir()
    del files["data/a"]
    (missing, oxum) = problems_of(tmp_path / "holey", files)
    assert (missing.kind, missing.path) == ("missing", "W1.bag/data/a")
    assert "fetched" in missing.reason
    assert oxum.kind == "oxum"
