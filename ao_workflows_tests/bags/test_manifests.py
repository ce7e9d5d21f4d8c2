"""A manifest's lines: what each lists, and the names that a path in one may stand for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ao_workflows.bags.debagging import validate
from ao_workflows.bags.zip_directory import Limits
from ao_workflows_tests.support.debagging import PAGES, as_folder, kinds, problems_of
from ao_workflows_tests.support.zip_bytes import bag_files, entries_of, write_zip


def test_digests_may_be_written_in_capitals(tmp_path: Path) -> None:
    """Some tools do; RFC 8493, 2.4, lets them."""
    files = bag_files(PAGES)
    files["manifest-sha256.txt"] = b"".join(
        line[:64].upper() + line[64:] for line in files["manifest-sha256.txt"].splitlines(keepends=True)
    )
    del files["tagmanifest-sha256.txt"]
    assert problems_of(tmp_path, files) == []


@pytest.mark.parametrize("encoded", [True, False])
def test_a_percent_sign_may_stand_encoded_or_as_it_is(tmp_path: Path, encoded: bool) -> None:
    """RFC 8493, 2.1.3, encodes it; bagit, with which the bags are made, does not."""
    files = bag_files({"100%": b"x", "%41": b"y"})
    if encoded:
        files["manifest-sha256.txt"] = files["manifest-sha256.txt"].replace(b"%", b"%25")
        del files["tagmanifest-sha256.txt"]
    assert problems_of(tmp_path, files) == []


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


def test_a_macs_icon_may_stand_as_it_is_in_a_draft(tmp_path: Path) -> None:
    """Before 1.0 nobody encoded its CR, and a reader of lines takes that for a part of the line's end."""
    files = bag_files({"Icon\r": b"icon", "a": b"x"}, version="0.97")
    files["manifest-sha256.txt"] = files["manifest-sha256.txt"].replace(b"%0D", b"\r")
    del files["tagmanifest-sha256.txt"]
    assert problems_of(tmp_path, files) == []
    (tmp_path / "changed").mkdir()
    assert ("checksum", "data/Icon\r") in kinds(problems_of(tmp_path / "changed", files | {"data/Icon\r": b"noci"}))


@pytest.mark.parametrize("path", [b"/etc/passwd", b"~/x", b"../x", b"data/../../x"])
def test_a_path_that_leads_out_of_the_bag_is_told_with_what_else_is_wrong(tmp_path: Path, path: bytes) -> None:
    """One such line hid every other mistake of the bag."""
    files = bag_files(PAGES, tags={"tagmanifest-sha256.txt": b""})
    del files["tagmanifest-sha256.txt"]
    files["manifest-sha256.txt"] += b"0" * 64 + b"  " + path + b"\n"
    found = kinds(problems_of(tmp_path, files | {"data/a": b"PAGE A"}))
    assert found == {("structure", "manifest-sha256.txt"), ("checksum", "data/a")}
