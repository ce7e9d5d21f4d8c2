"""A bag that lies in a folder: its files, and what no bag may have."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ao_workflows.bags.debagging import validate
from ao_workflows.bags.folders import read_folder
from ao_workflows.errors import StagingError
from ao_workflows_tests.support.debagging import PAGES, as_folder, kinds
from ao_workflows_tests.support.other_users import as_nobody
from ao_workflows_tests.support.zip_bytes import bag_files, entries_of, write_zip


def test_links_and_special_files_in_a_bags_folder_are_refused(tmp_path: Path) -> None:
    """A link to a page outside is a bag without the page."""
    folder = as_folder(tmp_path / "W1.bag", bag_files(PAGES))
    (folder / "data/a").unlink()
    (tmp_path / "a").write_bytes(PAGES["a"])
    (folder / "data/a").symlink_to(tmp_path / "a")
    found = kinds(list(validate(folder).problems))
    assert {("structure", "data/a"), ("missing", "data/a")} <= found


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\u0085b", "a\\b", "Icon\r/x"])
def test_a_name_that_no_zip_may_have_is_refused_in_a_folder_too(tmp_path: Path, name: str) -> None:
    """What is validated on a share and refused when it arrives would be a riddle."""
    files = bag_files({name: b"x"})
    in_folder = validate(as_folder(tmp_path / "W1.bag", files))
    zipped = validate(write_zip(tmp_path / "W1.bag.zip", entries_of(files)))
    assert (in_folder.valid, zipped.valid) == (False, False)
    assert {problem.reason for problem in zipped.problems} <= {problem.reason for problem in in_folder.problems}


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


def test_each_file_is_read_once_and_hashed_by_the_manifests_that_are_there(tmp_path: Path) -> None:
    """A tag file by all of them, payload by its own: else a manifest could not be compared, or costs the time."""
    as_folder(tmp_path, {"data/a": b"page", "manifest-md5.txt": b"x", "tagmanifest-sha1.txt": b"y", "note": b"n"})
    told: list[tuple[int, int]] = []
    found = read_folder(tmp_path, 2, lambda done, total: told.append((done, total)))
    assert found.sizes == {"data/a": 4, "manifest-md5.txt": 1, "note": 1, "tagmanifest-sha1.txt": 1}
    assert {path: sorted(digests) for path, digests in found.digests.items()} == {
        "data/a": ["md5"],
        "manifest-md5.txt": ["md5", "sha1"],
        "note": ["md5", "sha1"],
        "tagmanifest-sha1.txt": ["md5", "sha1"],
    }
    assert told[-1] == (7, 7)


def test_what_says_what_the_bag_is_is_read_and_a_page_of_its_name_is_a_page(tmp_path: Path) -> None:
    """A page that declared something would make another bag of it."""
    declaring = bag_files(PAGES, version="0.97")["bagit.txt"]
    as_folder(tmp_path, {"data/bagit.txt": b"a page", "bagit.txt": declaring, "note": b"n"})
    assert read_folder(tmp_path, 1).declared.version == (0, 97)


@pytest.mark.parametrize("there", [True, False])
def test_whether_there_is_a_payload_folder_is_seen_though_it_is_empty(tmp_path: Path, there: bool) -> None:
    """An empty payload is valid; a bag without its folder is none."""
    as_folder(tmp_path, {"bagit.txt": b""})
    if there:
        (tmp_path / "data").mkdir()
    assert read_folder(tmp_path, 1).has_payload_folder is there


def test_control_characters_are_taken_where_a_site_takes_them(tmp_path: Path) -> None:
    """As in a zip: what is validated as a folder must be debagged as a zip."""
    as_folder(tmp_path, {"data/a\tb": b""})
    assert [problem.kind for problem in read_folder(tmp_path, 1).problems] == ["structure"]
    assert read_folder(tmp_path, 1, control_characters=True).problems == []


def test_a_folder_or_a_file_that_cannot_be_read_is_the_disk_s_fault(tmp_path: Path) -> None:
    """A bag told as wrong would be made again, and be as unreadable."""
    with TemporaryDirectory() as top:  # pytest's own is closed to others
        folder = as_folder(Path(top) / "W1.bag", {"data/a": b""})
        Path(top).chmod(0o755)
        for hidden in (folder / "data/a", folder / "data", Path(top)):
            hidden.chmod(0)
            said = as_nobody(lambda: read_folder(folder, 1))
            hidden.chmod(0o755)
            assert said.startswith("StagingError")
            assert "Permission denied" in said
    with pytest.raises(StagingError, match="cannot be read"):
        read_folder(tmp_path / "gone", 1)


def test_a_link_that_took_a_files_place_after_the_look_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leads to is outside of the bag, and its digest would be told as a page's."""
    as_folder(tmp_path, {"data/a": b"page"})
    opened = os.open

    def exchanged(path: str | Path, flags: int, *more: int, **how: int) -> int:
        if str(path).endswith("data/a"):
            Path(path).unlink()
            Path(path).symlink_to("/etc/passwd")
        return opened(path, flags, *more, **how)

    monkeypatch.setattr(os, "open", exchanged)
    with pytest.raises(StagingError, match="cannot be read"):
        read_folder(tmp_path, 1)
