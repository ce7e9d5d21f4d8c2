"""A bag that lies in a folder: its files, and what no bag may have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ao_workflows.bags.debagging import validate
from ao_workflows_tests.support.debagging import PAGES, as_folder, kinds
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
