"""BagIt's rules: what a bag declares against what it has, every difference told."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from pathlib import Path

import pytest

from ao_workflows.bags.debagging import validate
from ao_workflows.bags.zip_directory import Limits
from ao_workflows.errors import Problem
from ao_workflows_tests.support.debagging import debagged, invalid
from ao_workflows_tests.support.zip_bytes import bag_files, entries_of, manifest, write_zip

PAGES = {"a": b"page a", "b": b"page b", "c": b"page c"}


def as_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def problems_of(folder: Path, files: dict[str, bytes]) -> list[Problem]:
    """What is wrong with a bag of these files, which must be the same in a zip and in a folder."""
    zipped = validate(write_zip(folder / "W1.bag.zip", entries_of(files)))
    (folder / "W1.bag/data").mkdir(parents=True)
    in_folder = validate(as_folder(folder / "W1.bag", files))

    def key(problem: Problem) -> tuple[str, str, str]:
        return problem.kind, problem.path.removeprefix("W1.bag/"), problem.algorithm

    assert sorted(map(key, zipped.problems)) == sorted(map(key, in_folder.problems))
    return list(zipped.problems)


def kinds(problems: list[Problem]) -> set[tuple[str, str]]:
    return {(problem.kind, problem.path.removeprefix("W1.bag/")) for problem in problems}


def test_every_file_that_is_wrong_is_told_and_a_wrong_oxum_hides_none(tmp_path: Path) -> None:
    """bagit stops at the Oxum, and at missing files before it looks at digests: a person would mend one at a time."""
    files = bag_files(PAGES)
    files["data/a"] = b"page A, longer"
    del files["data/b"]
    files["data/new"] = b"?"
    problems = problems_of(tmp_path, files)
    assert kinds(problems) == {
        ("checksum", "data/a"),
        ("missing", "data/b"),
        ("unexpected", "data/new"),
        ("oxum", "bag-info.txt"),
    }
    (checksum,) = [problem for problem in problems if problem.kind == "checksum"]
    assert checksum.algorithm == "sha256"
    assert checksum.expected == hashlib.sha256(b"page a").hexdigest()
    assert checksum.found == hashlib.sha256(b"page A, longer").hexdigest()
    (oxum,) = [problem for problem in problems if problem.kind == "oxum"]
    assert (oxum.expected, oxum.found) == ("18.3", "21.3")


def test_the_error_of_debag_has_every_problem_too(tmp_path: Path) -> None:
    """The report is written from it."""
    files = bag_files(PAGES) | {"data/a": b"x", "data/b": b"y"}
    assert {problem.path for problem in invalid(tmp_path, entries_of(files)).problems} == {
        "W1.bag/data/a",
        "W1.bag/data/b",
        "W1.bag/bag-info.txt",
    }


@pytest.mark.parametrize(
    "algorithm", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s", "sha3_256", "sha3_512"]
)
def test_every_algorithm_that_hashlib_has_is_compared(tmp_path: Path, algorithm: str) -> None:
    """A manifest that nobody compares is decoration."""
    good = bag_files(PAGES, algorithms=(algorithm,))
    assert problems_of(tmp_path, good) == []
    (tmp_path / "bad").mkdir()
    bad = problems_of(tmp_path / "bad", good | {"data/a": b"page A"})
    assert [(it.kind, it.path, it.algorithm) for it in bad] == [("checksum", "W1.bag/data/a", algorithm)]


def test_an_algorithm_may_be_named_without_punctuation(tmp_path: Path) -> None:
    """So RFC 8493, 2.4, writes it; bagit looks for hashlib's name alone."""
    files = bag_files({"a": b"x"}, algorithms=("sha3_256",))
    renamed = {name.replace("sha3_256", "sha3256"): content for name, content in files.items() if "tag" not in name}
    assert problems_of(tmp_path, renamed) == []


def test_several_manifests_are_all_compared(tmp_path: Path) -> None:
    """An md5 that is right does not make a wrong sha512 right."""
    files = bag_files(PAGES, algorithms=("md5", "sha512"), version="0.97")
    files["manifest-sha512.txt"] = manifest({"data/a": b"?", "data/b": PAGES["b"], "data/c": PAGES["c"]}, "sha512")
    files = {name: content for name, content in files.items() if "tagmanifest" not in name}
    assert [(it.path, it.algorithm) for it in problems_of(tmp_path, files)] == [("W1.bag/data/a", "sha512")]


def test_digests_may_be_written_in_capitals(tmp_path: Path) -> None:
    """Some tools do; RFC 8493, 2.4, lets them."""
    files = bag_files(PAGES)
    files["manifest-sha256.txt"] = b"".join(
        line[:64].upper() + line[64:] for line in files["manifest-sha256.txt"].splitlines(keepends=True)
    )
    del files["tagmanifest-sha256.txt"]
    assert problems_of(tmp_path, files) == []


def test_a_manifest_of_an_unknown_algorithm_is_told_beside_a_known_one_and_refused_alone(tmp_path: Path) -> None:
    """Nothing is proven by what nobody can compute."""
    known = bag_files(PAGES, version="0.97", tags={"manifest-crc99.txt": b"00  data/a\n"})
    assert problems_of(tmp_path, known) == []
    (tmp_path / "alone").mkdir()
    alone = {
        name.replace("sha256", "crc99"): content for name, content in bag_files(PAGES).items() if "tag" not in name
    }
    assert ("structure", "bagit.txt") in kinds(problems_of(tmp_path / "alone", alone))


@pytest.mark.parametrize("damage", ["change", "remove"])
@pytest.mark.parametrize("version", ["0.93", "0.96", "0.97", "1.0"])
def test_tag_files_are_proven_in_every_version(tmp_path: Path, version: str, damage: str) -> None:
    """bagit reads tag manifests from 0.97 on: a changed manifest of an older bag would prove changed pages."""
    info = "package-info.txt" if version == "0.93" else "bag-info.txt"
    files = bag_files(PAGES, version=version, tags={info: b"Contact-Name: A\n"})
    if damage == "change":
        files[info] = b"Contact-Name: B\n"
    else:
        del files[info]
    assert ("checksum" if damage == "change" else "missing", info) in kinds(problems_of(tmp_path, files))


def test_a_tag_file_that_no_manifest_knows_is_told_as_unproven(tmp_path: Path) -> None:
    """RFC 8493 lets it be there; that it is proven would be a lie."""
    files = bag_files(PAGES) | {"notes.txt": b"?"}
    done = debagged(tmp_path, entries_of(files))
    assert done.warnings == ("W1.bag/notes.txt: is in no tag manifest, so it is not proven",)


def test_what_lies_beside_the_payload_of_a_bag_without_a_tag_manifest_is_told_as_not_proven(tmp_path: Path) -> None:
    """A bag that somebody made in a work's folder had its sources beside data/: they were archived without a word."""
    files = {name: content for name, content in bag_files(PAGES).items() if "tagmanifest" not in name}
    assert debagged(tmp_path, entries_of(files)).warnings == ()
    warnings = debagged(tmp_path, entries_of(files | {"sources/note.txt": b"a note"})).warnings
    assert warnings == ("W1.bag/sources/note.txt: is in no tag manifest, so it is not proven",)


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


def test_a_bag_without_a_payload_folder_is_refused(tmp_path: Path) -> None:
    """Its pages were left out of the zip, manifest and all."""
    entries = entries_of(bag_files({}))[1:]
    assert ("structure", "W1.bag/data") in {(it.kind, it.path) for it in invalid(tmp_path, entries).problems}


def test_an_empty_payload_is_valid_and_told(tmp_path: Path) -> None:
    """RFC 8493, 2.1.2: data/ may be empty. Who validates it hears that there is no work in it."""
    (tmp_path / "W1.bag").mkdir()
    folder = as_folder(tmp_path / "W1.bag", bag_files({}))
    (folder / "data").mkdir()
    for path in (folder, write_zip(tmp_path / "W1.bag.zip", entries_of(bag_files({})))):
        result = validate(path)
        assert result.valid
        assert any("data/: has no file" in warning for warning in result.warnings), result.warnings


@pytest.mark.parametrize("oxum", [b"many", b"1", b"1.x", b"-1.3", b"18,3"])
def test_an_oxum_that_is_none_is_refused(tmp_path: Path, oxum: bytes) -> None:
    """bagit splits it at its point and fails without a word of the file."""
    files = bag_files(PAGES, tags={"bag-info.txt": b"Payload-Oxum: " + oxum + b"\n"})
    assert kinds(problems_of(tmp_path, files)) == {("oxum", "bag-info.txt")}


def test_from_version_1_on_each_manifest_has_each_file(tmp_path: Path) -> None:
    """With one page in the md5 manifest and the other in the sha512 one, no manifest is whole."""
    for version, expected in (("0.97", set()), ("1.0", {("structure", "data/a")})):
        files = bag_files(PAGES, algorithms=("md5", "sha512"), version=version)
        files["manifest-md5.txt"] = manifest({"data/b": PAGES["b"], "data/c": PAGES["c"]}, "md5")
        files = {name: content for name, content in files.items() if "tagmanifest" not in name}
        (tmp_path / version).mkdir()
        assert kinds(problems_of(tmp_path / version, files)) == expected


def test_from_version_1_on_a_tag_manifest_has_each_manifest_and_no_tag_manifest(tmp_path: Path) -> None:
    """RFC 8493, 2.2.1: else a manifest could be changed, and no digest would say so."""
    files = bag_files(PAGES)
    files["tagmanifest-sha256.txt"] = manifest({"bagit.txt": files["bagit.txt"]}, "sha256")
    assert kinds(problems_of(tmp_path, files)) == {("structure", "tagmanifest-sha256.txt")}
    (tmp_path / "other").mkdir()
    files = bag_files(PAGES, algorithms=("md5", "sha256"))
    files["tagmanifest-sha256.txt"] += manifest({"tagmanifest-md5.txt": files["tagmanifest-md5.txt"]}, "sha256")
    assert ("structure", "tagmanifest-sha256.txt") in kinds(problems_of(tmp_path / "other", files))


@pytest.mark.parametrize(("in_manifest", "in_zip"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFC", "NFC"), ("NFD", "NFD")])
@pytest.mark.parametrize("name", ["Núñez", "é/ü", "བོད་ཀྱི", "क़लम", "संस्कृतम्", "\u0f69\u0f78", "한글"])
def test_names_are_the_same_that_differ_in_normalisation_alone(
    tmp_path: Path, in_manifest: str, in_zip: str, name: str
) -> None:
    """A bag made on macOS has decomposed names in its manifest; every accent and many a vowel sign would be missing."""
    there = unicodedata.normalize(in_zip, name)
    listed = unicodedata.normalize(in_manifest, name)
    files = bag_files({listed: b"x"})
    files[f"data/{there}"] = files.pop(f"data/{listed}")
    assert problems_of(tmp_path, files) == []


def test_two_files_that_differ_in_normalisation_alone_are_each_compared_with_its_own_entry(tmp_path: Path) -> None:
    """Both could pass by the digest of one."""
    nfc, nfd = "data/\u00e9", "data/e\u0301"
    files = bag_files({"\u00e9": b"one", "e\u0301": b"two"})
    assert problems_of(tmp_path, files) == []
    (tmp_path / "swapped").mkdir()
    swapped = files | {nfc: files[nfd], nfd: files[nfc]}
    assert kinds(problems_of(tmp_path / "swapped", swapped)) == {("checksum", nfc), ("checksum", nfd)}


@pytest.mark.parametrize("encoded", [True, False])
def test_a_percent_sign_may_stand_encoded_or_as_it_is(tmp_path: Path, encoded: bool) -> None:
    """RFC 8493, 2.1.3, encodes it; bagit, with which the bags are made, does not."""
    files = bag_files({"100%": b"x", "%41": b"y"})
    if encoded:
        files["manifest-sha256.txt"] = files["manifest-sha256.txt"].replace(b"%", b"%25")
        del files["tagmanifest-sha256.txt"]
    assert problems_of(tmp_path, files) == []


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


def test_the_rules_hold_for_each_of_several_bags(tmp_path: Path) -> None:
    """The first bag's health says nothing of the second's."""
    good, bad = bag_files(PAGES), bag_files(PAGES) | {"data/b": b"?"}
    error = invalid(tmp_path, entries_of(good, "W1.bag") + entries_of(bad, "W2.bag"))
    assert {problem.path for problem in error.problems} == {"W2.bag/data/b", "W2.bag/bag-info.txt"}


def test_links_and_special_files_in_a_bags_folder_are_refused(tmp_path: Path) -> None:
    """A link to a page outside is a bag without the page."""
    folder = as_folder(tmp_path / "W1.bag", bag_files(PAGES))
    (folder / "data/a").unlink()
    (tmp_path / "a").write_bytes(PAGES["a"])
    (folder / "data/a").symlink_to(tmp_path / "a")
    found = kinds(list(validate(folder).problems))
    assert {("structure", "data/a"), ("missing", "data/a")} <= found


@pytest.mark.parametrize("version", ["0.97", "1.0"])
@pytest.mark.parametrize("end", [" ", "  ", "\t", "\u00a0", "\u3000"], ids=ascii)
def test_what_a_name_ends_in_belongs_to_it(tmp_path: Path, version: str, end: str) -> None:
    """RFC 8493, 2.1.3: the rest of the line is the path. A page whose name ends in a space was missing and extra."""
    files = bag_files({f"field notes{end}": b"x", "b": b"y"}, version=version)
    allowed = Limits(control_characters=True)
    zipped = validate(write_zip(tmp_path / "W1.bag.zip", entries_of(files)), limits=allowed)
    in_folder = validate(as_folder(tmp_path / "W1.bag", files), limits=allowed)
    assert (zipped.problems, in_folder.problems) == ((), ())
    assert all("control" in warning for warning in zipped.warnings + in_folder.warnings)


def test_two_names_of_which_one_ends_in_a_space_are_two_files(tmp_path: Path) -> None:
    """Taken for one, either's bytes could stand for the other's."""
    files = bag_files({"a": b"one", "a ": b"two"})
    assert problems_of(tmp_path, files) == []
    (tmp_path / "swapped").mkdir()
    swapped = files | {"data/a": b"two", "data/a ": b"one"}
    assert kinds(problems_of(tmp_path / "swapped", swapped)) == {("checksum", "data/a"), ("checksum", "data/a ")}


@pytest.mark.parametrize("filling", [b" ", b" \t "])
def test_lines_that_were_filled_up_with_spaces_are_taken_with_a_warning(tmp_path: Path, filling: bytes) -> None:
    """Bags whose manifests an editor saved so were taken until now, and nothing else in the bag fits the line."""
    files = bag_files({"a": b"one", "b": b"two"}, tags={"tagmanifest-sha256.txt": b""})
    files["manifest-sha256.txt"] = files["manifest-sha256.txt"].replace(b"\n", filling + b"\n")
    del files["tagmanifest-sha256.txt"]
    assert problems_of(tmp_path, files) == []
    assert "is listed as 'data/a" in " ".join(validate(tmp_path / "W1.bag").warnings)


NAMES_AND_WRITTEN = {
    "encoded": ({"a%b.jpg": "a%25b.jpg", "a%25b.jpg": "a%2525b.jpg"}, "1.0"),
    "as they are": ({"a%b.jpg": "a%b.jpg", "a%25b.jpg": "a%25b.jpg"}, "1.0"),
    "encoded, alone": ({"a%25b.jpg": "a%2525b.jpg"}, "1.0"),
    "as it is, alone": ({"a%25b.jpg": "a%25b.jpg"}, "1.0"),
    "as they are, in a draft": ({"a%b.jpg": "a%b.jpg", "a%25b.jpg": "a%25b.jpg"}, "0.97"),
    "encoded, in a draft": ({"a%b.jpg": "a%25b.jpg", "a%25b.jpg": "a%2525b.jpg"}, "0.97"),
    "a CR's code as it is": ({"a%0Db.jpg": "a%0Db.jpg"}, "0.97"),
    "a CR's code encoded": ({"a%0Db.jpg": "a%250Db.jpg"}, "1.0"),
    "many": ({"%0D%0d%0A%25": "%250D%250d%250A%2525"}, "1.0"),
}


@pytest.mark.parametrize("same", [False, True], ids=["two contents", "one content"])
@pytest.mark.parametrize("case", NAMES_AND_WRITTEN)
def test_percent_signs_are_decoded_first_and_taken_as_they_are_where_nothing_else_fits(
    tmp_path: Path, case: str, same: bool
) -> None:
    """RFC 8493 encodes them, bagit does not. With ``a%25b`` and ``a%b`` in one bag either reading alone refuses one."""
    written, version = NAMES_AND_WRITTEN[case]
    payload = {name: b"x" if same else name.encode() for name in written}
    files = bag_files(payload, version=version)
    lines = [f"{hashlib.sha256(payload[name]).hexdigest()}  data/{path}\n" for name, path in written.items()]
    files["manifest-sha256.txt"] = "".join(lines).encode()
    del files["tagmanifest-sha256.txt"]
    assert problems_of(tmp_path, files) == []
    assert [warning for warning in validate(tmp_path / "W1.bag").warnings if "once" in warning] == []


def test_a_percent_sign_proves_no_other_file_than_its_digest_does(tmp_path: Path) -> None:
    """Two ways to read a name must not be two chances to pass."""
    files = bag_files({"a%b": b"one", "a%25b": b"two"})
    swapped = files | {"data/a%b": b"two", "data/a%25b": b"one"}
    assert kinds(problems_of(tmp_path, swapped)) == {("checksum", "data/a%b"), ("checksum", "data/a%25b")}


@pytest.mark.parametrize("version", ["0.97", "1.0"])
@pytest.mark.parametrize("written", [b"%0D", b"%0d"])
def test_a_macs_icon_is_a_file_like_any(tmp_path: Path, version: str, written: bytes) -> None:
    """Bags made on a Mac have one in each folder with an icon; bagit knows small letters in none but the first two."""
    files = bag_files({f"{folder}/Icon\r": b"" for folder in "abcd"}, version=version)
    files["manifest-sha256.txt"] = files["manifest-sha256.txt"].replace(b"%0D", written)
    del files["tagmanifest-sha256.txt"]
    assert problems_of(tmp_path, files) == []
    warnings = [line for line in validate(tmp_path / "W1.bag").warnings if "control character" in line]
    assert len(warnings) == 4
    assert all(line.isprintable() for line in warnings)


def test_a_macs_icon_may_stand_as_it_is_in_a_draft(tmp_path: Path) -> None:
    """Before 1.0 nobody encoded its CR, and a reader of lines takes that for a part of the line's end."""
    files = bag_files({"Icon\r": b"icon", "a": b"x"}, version="0.97")
    files["manifest-sha256.txt"] = files["manifest-sha256.txt"].replace(b"%0D", b"\r")
    del files["tagmanifest-sha256.txt"]
    assert problems_of(tmp_path, files) == []
    (tmp_path / "changed").mkdir()
    assert ("checksum", "data/Icon\r") in kinds(problems_of(tmp_path / "changed", files | {"data/Icon\r": b"noci"}))


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\u0085b", "a\\b", "Icon\r/x"])
def test_a_name_that_no_zip_may_have_is_refused_in_a_folder_too(tmp_path: Path, name: str) -> None:
    """What is validated on a share and refused when it arrives would be a riddle."""
    files = bag_files({name: b"x"})
    in_folder = validate(as_folder(tmp_path / "W1.bag", files))
    zipped = validate(write_zip(tmp_path / "W1.bag.zip", entries_of(files)))
    assert (in_folder.valid, zipped.valid) == (False, False)
    assert {problem.reason for problem in zipped.problems} <= {problem.reason for problem in in_folder.problems}


def test_a_file_that_was_fetched_may_have_a_name_that_ends_in_a_space(tmp_path: Path) -> None:
    """fetch.txt has the rest of the line as the path too."""
    files = bag_files({"a ": b"x"}, tags={"fetch.txt": b"http://127.0.0.1:9/a 1 data/a \n"})
    assert problems_of(tmp_path, files) == []


@pytest.mark.parametrize("path", [b"/etc/passwd", b"~/x", b"../x", b"data/../../x"])
def test_a_path_that_leads_out_of_the_bag_is_told_with_what_else_is_wrong(tmp_path: Path, path: bytes) -> None:
    """One such line hid every other mistake of the bag."""
    files = bag_files(PAGES, tags={"tagmanifest-sha256.txt": b""})
    del files["tagmanifest-sha256.txt"]
    files["manifest-sha256.txt"] += b"0" * 64 + b"  " + path + b"\n"
    found = kinds(problems_of(tmp_path, files | {"data/a": b"PAGE A"}))
    assert found == {("structure", "manifest-sha256.txt"), ("checksum", "data/a")}


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\\b", "two\nlines"])
def test_an_empty_folder_whose_name_no_zip_may_have_is_refused_too(tmp_path: Path, name: str) -> None:
    """It has no file by which it would be told."""
    folder = as_folder(tmp_path / "W1.bag", bag_files(PAGES))
    assert validate(folder).valid
    (folder / "data" / name).mkdir()
    assert kinds(list(validate(folder).problems)) == {("structure", f"data/{name}/")}


def test_a_folder_whose_name_is_no_utf8_is_told_and_ends_nothing(tmp_path: Path) -> None:
    """Such names come from old disks, and a long path below one could not even be measured."""
    folder = as_folder(tmp_path / "W1.bag", bag_files(PAGES))
    below = os.fsencode(folder / "data") + b"/\xff" + b"a" * 200
    Path(os.fsdecode(below)).mkdir()
    Path(os.fsdecode(below + b"/page")).write_bytes(b"x")
    problems = validate(folder).problems
    assert {problem.reason for problem in problems} == {"its name is not UTF-8"}
    assert not validate(folder).valid
    assert all(problem.path.encode() for problem in problems)
