"""What a bag declares: read from the very bytes that were hashed, and every mistake told with its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.bags.declarations import Declared, algorithms, is_declaration, manifests_among, read_declaration
from ao_workflows.bags.memory import Memory
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


BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
DRAFT = b"BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n"
MD5 = b"0cc175b9c0f1b6a831c399e269772661  data/a\n"


def read(folder: str, files: dict[str, bytes]) -> Declared:
    return read_declaration(folder, files, lambda path, take: take(files[path]), Memory(Path("W1.bag.zip")))


def declared(**files: bytes) -> Declared:
    """What files declare, by their names without the ending; a right declaration and manifest if they are not given."""
    given = {f"{name.replace('_', '-')}.txt": content for name, content in files.items()}
    return read("W1.bag/", {"bagit.txt": BAGIT, "manifest-md5.txt": MD5} | given)


def told(found: Declared) -> list[tuple[str, str]]:
    return [(problem.path, problem.reason) for problem in found.problems]


def test_manifests_are_known_by_their_names_and_algorithms_with_or_without_punctuation() -> None:
    """RFC 8493 writes ``sha3256``, hashlib and bagit ``sha3_256``: each would pass the other's by."""
    found = manifests_among(["tagmanifest-MD5.txt", "manifest-sha3256.txt", "manifest-sha3_512.txt", "manifest-x.txt"])
    assert [(it.algorithm, it.of_tags) for it in found] == [
        ("sha3_256", False),
        ("sha3_512", False),
        (None, False),
        ("md5", True),
    ]
    assert manifests_among(["manifest-md5.txt.bak", "notes/manifest-md5.txt", "manifest-.txt"]) == ()


def test_payload_is_hashed_by_its_own_manifests_and_tag_files_by_all() -> None:
    """A payload file hashed by the tag manifests' too costs the time, and a tag file by fewer stays unproven."""
    manifests = manifests_among(["manifest-md5.txt", "tagmanifest-sha256.txt", "manifest-unknown.txt"])
    assert algorithms(manifests, of_tags=False) == ("md5",)
    assert algorithms(manifests, of_tags=True) == ("md5", "sha256")


def test_what_says_what_the_bag_is_lies_at_its_top_alone() -> None:
    """A page called bagit.txt would be kept in memory, and read as a declaration."""
    assert is_declaration("fetch.txt")
    assert is_declaration("tagmanifest-sha512.txt")
    assert not is_declaration("data/bagit.txt")
    assert not is_declaration("readme.txt")


def test_a_right_declaration_has_its_version_its_entries_and_no_problem() -> None:
    """What is told wrong of a right bag keeps the work out of the archive."""
    found = declared(bag_info=b"Payload-Oxum: 1.1\n")
    assert (found.version, found.strict, found.readable, found.problems) == ((1, 0), True, True, [])
    assert found.entries == {"data/a": {"md5": "0cc175b9c0f1b6a831c399e269772661"}}
    assert found.oxum == (1, 1)


def test_a_version_that_there_is_not_is_told_and_the_manifests_are_compared_all_the_same() -> None:
    """A person should see at once that the files are right besides."""
    found = declared(bagit=BAGIT.replace(b"1.0", b"0.98"))
    assert told(found) == [("W1.bag/bagit.txt", "BagIt-Version 0.98 is none of those from 0.93 to 1.0")]
    assert found.readable


@pytest.mark.parametrize("bagit", [b"", b"BagIt-Version: one\n", b"BagIt-Version: 1.0\n", b"\xff\xfe"])
def test_a_declaration_that_cannot_be_read_ends_the_comparison(bagit: bytes) -> None:
    """Without a version and an encoding, whatever the manifests say is a guess."""
    found = declared(bagit=bagit)
    assert not found.readable
    assert [path for path, _ in told(found)] == ["W1.bag/bagit.txt"]


def test_the_two_lines_are_asked_for_to_the_letter_from_version_1_on_only() -> None:
    """RFC 8493, 2.1.1. Drafts were not so strict, and their bags are in the archive."""
    blank = b"\nMore: of it\n"
    assert "to the letter" in told(declared(bagit=BAGIT + blank))[0][1]
    assert told(declared(bagit=DRAFT + blank)) == []


def test_a_byte_order_mark_before_the_declaration_is_told_by_its_name() -> None:
    """In an editor nobody sees it."""
    assert "byte-order mark" in told(declared(bagit=b"\xef\xbb\xbf" + DRAFT))[0][1]


def test_a_manifest_of_an_unknown_algorithm_is_warned_of_and_alone_it_is_a_problem() -> None:
    """A bag whose every file is unproven must not pass for a proven one."""
    found = declared(manifest_foo=MD5)
    assert found.problems == []
    assert found.warnings == ["W1.bag/manifest-foo.txt: hashlib has no foo: its entries were not compared"]
    alone = read("", {"bagit.txt": BAGIT, "manifest-foo.txt": MD5})
    assert told(alone) == [("bagit.txt", "the bag has no payload manifest of an algorithm that hashlib has")]


def test_a_manifest_of_another_encoding_is_told_and_nothing_is_compared_with_half_of_it() -> None:
    """Every file of it would be told as one that no manifest has."""
    found = declared(manifest_md5=b"aa data/\xff\n")
    assert not found.readable
    assert [path for path, _ in told(found)] == ["W1.bag/manifest-md5.txt"]


def test_from_version_1_on_a_tag_manifest_has_each_payload_manifest() -> None:
    """A payload manifest that nothing vouches for may be exchanged with its files."""
    tags = b"aa  bagit.txt\n"
    assert ("W1.bag/tagmanifest-md5.txt", "it does not list manifest-md5.txt") in told(declared(tagmanifest_md5=tags))
    assert told(declared(bagit=DRAFT, tagmanifest_md5=tags)) == []


def test_names_are_decoded_first_only_where_the_writer_encodes() -> None:
    """A draft, or a manifest with a bare percent sign, was written by somebody who does not."""
    assert declared().decode_first
    assert not declared(bagit=DRAFT).decode_first
    assert not declared(manifest_md5=MD5 + b"aa  data/100%\n").decode_first


def test_what_fetch_txt_would_bring_is_in_a_manifest_or_told() -> None:
    """What is in none could be anything once it is fetched."""
    found = declared(fetch=b"https://example.org/a 1 data/a\nhttps://example.org/b - data/b\n")
    assert found.fetch == {"data/a", "data/b"}
    assert told(found) == [("W1.bag/fetch.txt", "'data/b' is in no manifest")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b"https://example.org/a data/a\n", "URL, a length and a path"), (b"https://e.org/a 1 ../a\n", "leads out")],
)
def test_a_line_of_fetch_txt_that_cannot_be_used_is_told(line: bytes, reason: str) -> None:
    """One line passed over would be a file that nobody misses."""
    (problem,) = told(declared(fetch=line))
    assert problem[0] == "W1.bag/fetch.txt"
    assert reason in problem[1]


@pytest.mark.parametrize("oxum", [b"12", b"12.x", b"1,000.2", b"-1.1"])
def test_an_oxum_that_is_none_is_told_as_it_is_written(oxum: bytes) -> None:
    """A total that cannot be compared must not pass as one that agrees."""
    (problem,) = declared(bag_info=b"Payload-Oxum: " + oxum + b"\n").problems
    assert (problem.kind, problem.path, problem.found) == ("oxum", "W1.bag/bag-info.txt", oxum.decode())


def test_of_several_oxums_the_first_counts_and_that_is_told() -> None:
    """Tools append a second one where a bag was made anew."""
    found = declared(bag_info=b"Payload-Oxum: 1.1\npayload-oxum: 2.2\n")
    assert found.oxum == (1, 1)
    assert declared(bag_info=b"Payload-Oxum: 1.1\nPayload-Oxum: 2.2\n").warnings == [
        "W1.bag/bag-info.txt: has several Payload-Oxum; the first counts"
    ]


def test_no_problem_names_the_place_that_bagit_was_given() -> None:
    """bagit is given a folder that there is not; a person would look for it."""
    for found in (declared(bagit=b""), declared(bag_info=b"no colon\n"), declared(fetch=b"x\n")):
        assert "/bag/" not in str(found.problems) + str(found.warnings)
