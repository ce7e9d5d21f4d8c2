"""A manifest's lines: what each lists, and the names that a path in one may stand for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ao_workflows.bags.debagging import validate
from ao_workflows.bags.manifests import ManifestReader, decoded, names_meant
from ao_workflows.bags.zip_directory import ZipLimits
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
    allowed = ZipLimits(control_characters=True)
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


class Read(ManifestReader):
    """What a manifest lists, which is fed byte by byte: wherever a piece ends, the lines are the same."""

    def __init__(self, content: bytes, *, of_tags: bool = False, strict: bool = True) -> None:
        self.digests: dict[str, str] = {}
        super().__init__("utf-8", self.noted, pytest.fail, of_tags=of_tags, strict=strict)
        for byte in content:
            self.feed(bytes([byte]))
        self.end()

    def noted(self, path: str, digest: str) -> str | None:
        before = self.digests.get(path)
        self.digests.setdefault(path, digest)
        return before


def read(text: str, *, of_tags: bool = False, strict: bool = True) -> Read:
    return Read(text.encode(), of_tags=of_tags, strict=strict)


def test_each_line_is_a_digest_in_small_letters_and_a_path_as_it_is_written() -> None:
    """A digest in capitals is the same digest, and a name's own spaces are a part of the name."""
    listed = read("ABC1 data/a\nabc2  data/two  words \n")
    assert listed.digests == {"data/a": "abc1", "data/two  words ": "abc2"}
    assert (listed.wrong, listed.unusual) == ([], [])


def test_comments_and_blank_lines_list_nothing() -> None:
    """A line of spaces, or a person's remark, would be told as a mistake of the bag."""
    assert read("\n   \n# made by hand\nabc data/a\n").digests == {"data/a": "abc"}


def test_a_line_that_is_not_a_digest_and_a_path_makes_the_manifest_unusable() -> None:
    """A line that is passed over would leave its file unproven."""
    assert read("abcdata/a\n").wrong == ["'abcdata/a' is not a digest and a path"]


@pytest.mark.parametrize("path", ["data/../../etc/passwd", "/etc/passwd", "~/x", "../x", "data/a/../b"])
def test_a_path_that_leads_out_of_the_bag_is_refused(path: str) -> None:
    """Who compares a file outside of the bag with a digest tells the bag's maker what is there."""
    listed = read(f"abc {path}\n")
    assert listed.digests == {}
    assert "is unsafe" in listed.wrong[0]


def test_a_payload_manifest_lists_payload_only() -> None:
    """A tag file in it would count for the payload's files and bytes."""
    assert read("abc bagit.txt\n").wrong == ["'bagit.txt' is no payload"]
    assert read("abc bagit.txt\n", of_tags=True).wrong == []


def test_a_tag_manifest_may_list_a_tag_manifest_in_drafts_alone() -> None:
    """RFC 8493, 2.2.1: from 1.0 on it must not. Older tools wrote it, and their bags are good."""
    line = "abc tagmanifest-md5.txt\n"
    assert read(line, of_tags=True).wrong == ["it lists the tag manifest 'tagmanifest-md5.txt'"]
    assert read(line, of_tags=True, strict=False).wrong == []


def test_one_path_with_two_digests_is_refused_and_twice_the_same_is_odd_in_drafts() -> None:
    """Which of the two digests is the file's, nobody knows."""
    assert read("aa data/a\nbb data/a\n", strict=False).wrong == ["it lists 'data/a' twice, with two digests"]
    same = "lists 'data/a' twice, with the same digest"
    assert (read("aa data/a\nAA data/a\n").wrong, read("aa data/a\nAA data/a\n").unusual) == ([same], [])
    assert (
        read("aa data/a\naa data/a\n", strict=False).wrong,
        read("aa data/a\naa data/a\n", strict=False).unusual,
    ) == (
        [],
        [same],
    )


def test_what_md5sum_and_find_put_before_a_path_is_taken_off_and_told() -> None:
    """``*`` is md5sum's mark for a binary file: with it no file would be found."""
    listed = read("aa *data/a\nbb ./data/b\n")
    assert set(listed.digests) == {"data/a", "data/b"}
    assert listed.unusual == ["has paths that begin with '*' or './'"]


def test_a_byte_order_mark_is_no_part_of_the_first_digest() -> None:
    """Windows' editors write it, and the first file would never be right."""
    listed = read("\ufeffaa data/a\n")
    assert listed.digests == {"data/a": "aa"}
    assert listed.unusual == ["begins with a byte-order mark"]


def test_content_of_another_encoding_is_no_manifest() -> None:
    """Names that were read as other ones would all be missing."""
    with pytest.raises(ValueError, match="utf-8"):
        Read(b"aa data/\xff\n")


def test_a_percent_sign_that_encodes_nothing_says_that_the_writer_does_not_encode() -> None:
    """By it the paths of the whole manifest are read as they are written first."""
    assert read("aa data/100%\n").bare_percent
    assert read("aa data/50%2\n").bare_percent
    assert not read("aa data/a%0Ab%25c%0d\n").bare_percent


def test_only_line_ends_and_the_percent_sign_are_decoded() -> None:
    """RFC 8493, 2.1.3: ``%20`` is no space, but three characters of the name."""
    assert decoded("a%0Ab%0dc%25d%20e") == "a\nb\rc%d%20e"
    assert decoded("%2541") == "%41", "what comes out is not decoded again"


def test_the_likeliest_name_comes_first_and_none_twice() -> None:
    """The first one that is there is taken: a file must not be compared with the entry of another."""
    assert list(names_meant("a%25", decode_first=True, strict=True)) == ["a%", "a%25"]
    assert list(names_meant("a%25", decode_first=False, strict=True)) == ["a%25", "a%"]
    assert list(names_meant("a", decode_first=True, strict=True)) == ["a"]


def test_filled_up_lines_and_a_macs_icon_come_behind_what_the_rfc_says() -> None:
    """A name's own spaces go before the filling of a tool; a CR at the end was lost in drafts only."""
    assert list(names_meant("a  ", decode_first=True, strict=True)) == ["a  ", "a"]
    assert list(names_meant("Icon", decode_first=True, strict=False)) == ["Icon", "Icon\r"]
