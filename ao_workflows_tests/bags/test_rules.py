"""BagIt's rules: what a bag declares against what it has, every difference told."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

import pytest

from ao_workflows.bags.debagging import validate
from ao_workflows_tests.support.debagging import PAGES, as_folder, debagged, invalid, kinds, problems_of
from ao_workflows_tests.support.zip_bytes import bag_files, entries_of, manifest, write_zip


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


def test_several_manifests_are_all_compared(tmp_path: Path) -> None:
    """An md5 that is right does not make a wrong sha512 right."""
    files = bag_files(PAGES, algorithms=("md5", "sha512"), version="0.97")
    files["manifest-sha512.txt"] = manifest({"data/a": b"?", "data/b": PAGES["b"], "data/c": PAGES["c"]}, "sha512")
    files = {name: content for name, content in files.items() if "tagmanifest" not in name}
    assert [(it.path, it.algorithm) for it in problems_of(tmp_path, files)] == [("W1.bag/data/a", "sha512")]


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


def test_from_version_1_on_each_manifest_has_each_file(tmp_path: Path) -> None:
    """With one page in the md5 manifest and the other in the sha512 one, no manifest is whole."""
    for version, expected in (("0.97", set()), ("1.0", {("structure", "data/a")})):
        files = bag_files(PAGES, algorithms=("md5", "sha512"), version=version)
        files["manifest-md5.txt"] = manifest({"data/b": PAGES["b"], "data/c": PAGES["c"]}, "md5")
        files = {name: content for name, content in files.items() if "tagmanifest" not in name}
        (tmp_path / version).mkdir()
        assert kinds(problems_of(tmp_path / version, files)) == expected


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


def test_the_rules_hold_for_each_of_several_bags(tmp_path: Path) -> None:
    """The first bag's health says nothing of the second's."""
    good, bad = bag_files(PAGES), bag_files(PAGES) | {"data/b": b"?"}
    error = invalid(tmp_path, entries_of(good, "W1.bag") + entries_of(bad, "W2.bag"))
    assert {problem.path for problem in error.problems} == {"W2.bag/data/b", "W2.bag/bag-info.txt"}


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


def test_a_file_that_was_fetched_may_have_a_name_that_ends_in_a_space(tmp_path: Path) -> None:
    """fetch.txt has the rest of the line as the path too."""
    files = bag_files({"a ": b"x"}, tags={"fetch.txt": b"http://127.0.0.1:9/a 1 data/a \n"})
    assert problems_of(tmp_path, files) == []
