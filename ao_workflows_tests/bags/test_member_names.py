"""Names in a zip: what is refused, what is decoded how, and what cannot stand side by side."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from ao_workflows.bags.member_names import without_dots
from ao_workflows.bags.zip_directory import ZipLimits
from ao_workflows.errors import ZipRefused
from ao_workflows_tests.support.debagging import bytes_debagged, bytes_refused, debagged, refused, right_entries
from ao_workflows_tests.support.zip_bytes import FOLDER, Entry, bag_files, entries_of, extra_field, tree, zip_bytes

TIBETAN = "བོད་ཡིག"
DEVANAGARI = "संस्कृतम्"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("/etc/passwd", "absolute", id="absolute"),
        pytest.param("//host/share", "absolute", id="two slashes"),
        pytest.param("../W1.bag/data/x", "'..'", id="dots first"),
        pytest.param("W1.bag/data/../../x", "'..'", id="dots inside"),
        pytest.param("W1.bag/data/..", "'..'", id="dots last"),
        pytest.param("W1.bag/data/../", "'..'", id="a folder of dots"),
        pytest.param("C:/Windows/x", "drive letter", id="drive"),
        pytest.param("c:x", "drive letter", id="drive without a slash"),
        pytest.param("W1.bag\\data\\x", "backslash", id="backslashes"),
        pytest.param("W1.bag/data/a\\..\\b", "backslash", id="backslash inside"),
        pytest.param("W1.bag/data/a\0b", "control", id="NUL"),
        pytest.param("W1.bag/data/a\nb", "control", id="newline"),
        pytest.param("W1.bag/data/a\x7fb", "control", id="delete"),
        pytest.param("W1.bag/data/a\x85b", "control", id="C1 control"),
        pytest.param("W1.bag/data//x", "empty part", id="empty part"),
        pytest.param("./../W1.bag/data/x", "'..'", id="dots behind a dot"),
        pytest.param(".//etc/passwd", "absolute", id="two slashes behind a dot"),
        pytest.param("././C:/x", "drive letter", id="drive behind dots"),
        pytest.param("W1.bag/data/Icon\rx", "control", id="more than a Mac's icon"),
        pytest.param("W1.bag/data/a\rIcon\r", "control", id="another name that ends like a Mac's icon"),
        pytest.param("W1.bag/data/Icon\r/x", "control", id="a folder named like a Mac's icon"),
        pytest.param("W1.bag/data/a\u2028b", "control", id="line separator"),
        pytest.param("W1.bag/data/x//", "empty part", id="folder with two slashes"),
        pytest.param("", "no name", id="no name"),
        pytest.param("/", "no name", id="the root"),
        pytest.param("W1.bag/data/" + "a" * 256, "255", id="a name of 256 bytes"),
        pytest.param("W1.bag/data/" + TIBETAN * 13, "255", id="a short name of many bytes"),
        pytest.param("W1.bag/data/" + "/".join(["a" * 200] * 21), "3072", id="a path that Linux does not take"),
        pytest.param(
            "W1.bag/data/" + "/".join(["a" * 200] * 16), "3072", id="a path that it takes with nothing before it"
        ),
    ],
)
def test_a_name_that_no_folder_may_take_from_a_zip_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    """One such name, and a zip writes over the archive's own files."""
    error = refused(tmp_path, [*right_entries(), Entry(name, b"x")])
    assert error.member == without_dots(name)
    assert reason in error.reason
    assert str(error).isprintable()


def test_a_member_of_the_same_name_as_another_is_refused(tmp_path: Path) -> None:
    """Which of two would be unpacked is chance, and a digest could be proven of the one and the other kept."""
    error = refused(tmp_path, [*right_entries(), Entry("W1.bag/data/sources/note.txt", b"another")])
    assert error.member == "W1.bag/data/sources/note.txt"
    assert "two members" in error.reason


@pytest.mark.parametrize(
    ("more", "member"),
    [
        ([Entry("W1.bag/data/sources", b"a file")], "W1.bag/data/sources"),
        ([Entry("W1.bag/data/sources/note.txt/", mode=FOLDER)], "W1.bag/data/sources/note.txt"),
        ([Entry("W1.bag/data/x", mode=FOLDER)], "W1.bag/data/x"),
        ([Entry("W1.bag/data/x/")], "W1.bag/data/x/"),
        ([Entry("W1.bag/data/x/", b"content", mode=0)], "W1.bag/data/x/"),
    ],
    ids=["file above a file", "folder named as a file", "folder's mode", "file's mode", "folder with content"],
)
def test_a_member_that_is_both_file_and_folder_is_refused(tmp_path: Path, more: list[Entry], member: str) -> None:
    """What such a member becomes depends on the order in the zip: half a bag could vanish under a file."""
    error = refused(tmp_path, [*right_entries(), *more])
    assert error.member == member
    assert "file" in error.reason
    assert "folder" in error.reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Page.txt", "page.txt"),
        ("Stra\N{LATIN SMALL LETTER SHARP S}e", "STRASSE"),
        ("é", "e\u0301"),
        (TIBETAN + "A", TIBETAN + "a"),
    ],
)
def test_twins_that_the_file_system_holds_apart_are_taken_with_a_warning(tmp_path: Path, one: str, other: str) -> None:
    """Old works have pages called a.jpg and A.jpg: they are two pages, and both are wanted."""
    done = debagged(tmp_path, entries_of(bag_files({one: b"1", other: b"2"})))
    assert (tmp_path / "out/W1" / one).read_bytes() == b"1"
    assert (tmp_path / "out/W1" / other).read_bytes() == b"2"
    (warning,) = done.warnings
    assert one in warning
    assert other in warning


def test_twin_folders_are_told_once_and_not_for_each_file_in_them(tmp_path: Path) -> None:
    """A warning for each of 20,000 pages would hide all others."""
    payload = {f"{folder}/{page}": b"" for folder in ("Images", "images") for page in "abc"}
    done = debagged(tmp_path, entries_of(bag_files(payload)))
    (warning,) = done.warnings
    assert warning.startswith("W1.bag/data/Images and W1.bag/data/images: ")


@pytest.mark.parametrize("name", [TIBETAN, DEVANAGARI, "漢字", "naïve"])
@pytest.mark.parametrize("flags", [0, 1 << 11])
def test_a_name_in_utf8_is_read_whether_the_zip_says_so_or_not(tmp_path: Path, name: str, flags: int) -> None:
    """Many tools write UTF-8 without the flag: every Tibetan name would come out as gibberish."""
    files = bag_files({name: b"x"})
    debagged(tmp_path, [Entry(f"W1.bag/{path}", data, flags=flags) for path, data in files.items()])
    assert (tmp_path / "out/W1" / name).read_bytes() == b"x"


def test_a_name_that_is_no_utf8_is_read_as_cp437(tmp_path: Path) -> None:
    """Zips from DOS and old Windows have accents in CP437; refused, they would never be restored."""
    files = bag_files({"Ünïcödé.txt": b"x"})
    debagged(
        tmp_path,
        [Entry(f"W1.bag/{path}".encode("cp437"), data, flags=0) for path, data in files.items()],
    )
    assert (tmp_path / "out/W1/Ünïcödé.txt").read_bytes() == b"x"


def test_a_name_that_is_said_to_be_utf8_and_is_not_is_refused(tmp_path: Path) -> None:
    """Guessed, it would be a name that no manifest has."""
    error = refused(tmp_path, [*right_entries(), Entry(b"W1.bag/data/\xff\xfe", b"x")])
    assert "UTF-8" in error.reason


def test_the_unicode_path_field_counts_if_it_belongs_to_the_name(tmp_path: Path) -> None:
    """Info-ZIP keeps the true name there; one that was left from an earlier name must not come back."""
    files = bag_files({"བོད": b"x", "kept": b"y"})
    entries = []
    for path, data in files.items():
        raw = f"W1.bag/{path}".encode("ascii", "replace")
        checksum = zlib.crc32(raw) if not path.endswith("kept") else 0
        wanted = f"W1.bag/{path}".encode() if checksum else b"W1.bag/data/other"
        field = extra_field(0x7075, b"\1" + checksum.to_bytes(4, "little") + wanted)
        entries.append(Entry(raw, data, flags=0, extra=field))
    debagged(tmp_path, entries)
    assert (tmp_path / "out/W1/བོད").read_bytes() == b"x"
    assert (tmp_path / "out/W1/kept").read_bytes() == b"y"


def test_a_unicode_path_field_cannot_bring_in_an_unsafe_name(tmp_path: Path) -> None:
    """A check of the plain name alone would be led around."""
    raw = b"W1.bag/data/harmless"
    field = extra_field(0x7075, b"\1" + zlib.crc32(raw).to_bytes(4, "little") + b"../../evil")
    with pytest.raises(ZipRefused, match=r"'\.\.'"):
        debagged(tmp_path, [*right_entries(), Entry(raw, b"x", flags=0, extra=field)])


@pytest.mark.parametrize("before", ["./", "././"])
def test_parts_of_a_path_that_are_a_dot_mean_nothing(tmp_path: Path, before: str) -> None:
    """``find | zip -@`` and other tools write them before each name, the top's own among them; each such zip was
    refused.
    """
    plain = {entry.name: entry.data for entry in right_entries() if isinstance(entry.name, str)}
    entries = [
        Entry("./", mode=FOLDER),
        *(Entry(f"{before}{name.replace('data/', 'data/./')}", data) for name, data in plain.items() if data),
        Entry("W1.bag/data/empty/.", mode=FOLDER),
    ]
    done = debagged(tmp_path, entries)
    assert done.works[0].files == 2
    assert tree(tmp_path / "out")["W1/sources/note.txt"] == b"a note"
    assert (tmp_path / "out/W1/empty").is_dir()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (Entry("./W1.bag/data/sources/note.txt", b"another"), "two members"),
        (Entry("W1.bag/data/sources/./note.txt", b"another"), "two members"),
        (Entry("./W1.bag/data/sources", b"a file"), "both a file and a folder"),
        (Entry(".", b"content"), "no name"),
        (Entry("./", b"content", mode=FOLDER), "no name"),
    ],
)
def test_names_that_are_one_without_their_dots_are_refused(tmp_path: Path, more: Entry, reason: str) -> None:
    """Compared as they are written, one would be unpacked over the other."""
    assert reason in refused(tmp_path, [*right_entries(), more]).reason


def test_a_sites_word_lets_control_characters_in_but_never_nul(tmp_path: Path) -> None:
    """A work of 1998 has a tab in a name; refused for ever, its pages would be lost for a character."""
    names = ["a\tb", "bell\x07", "c1\x9b", "line\u2028"]
    content = zip_bytes(entries_of(bag_files(dict.fromkeys(names, b"x"))))
    assert "control_characters" in bytes_refused(tmp_path, content).reason
    done = bytes_debagged(tmp_path, content, limits=ZipLimits(control_characters=True))
    assert set(names) <= {path.name for path in (tmp_path / "out/W1").iterdir()}
    assert len(done.warnings) == len(names)
    assert all(warning.isprintable() for warning in done.warnings)
    (tmp_path / "nul").mkdir()
    with_nul = zip_bytes([*right_entries(), Entry("W1.bag/data/a\0b", b"x")])
    assert "NUL" in bytes_refused(tmp_path / "nul", with_nul, limits=ZipLimits(control_characters=True)).reason


def test_a_macs_icon_is_taken_and_told_without_its_control_character(tmp_path: Path) -> None:
    """Each folder with an icon of its own has one; printed as it is, it writes over the line before it."""
    done = debagged(tmp_path, entries_of(bag_files({"images/Icon\r": b"x"})))
    assert (tmp_path / "out/W1/images/Icon\r").read_bytes() == b"x"
    (warning,) = done.warnings
    assert warning.startswith("W1.bag/data/images/Icon\\r: ")
