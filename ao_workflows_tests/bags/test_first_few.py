"""Remarks that would be millions: the first are told, and the number of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.bags import first_few
from ao_workflows.bags.debagging import validate
from ao_workflows.bags.first_few import FirstFew
from ao_workflows.errors import Problem
from ao_workflows_tests.support.debagging import PAGES
from ao_workflows_tests.support.zip_bytes import bag_files, entries_of, write_zip


def test_what_comes_after_the_first_few_is_counted_whichever_way_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A way that forgets to count tells a person that he has seen all of it."""
    monkeypatch.setattr(first_few, "FEW", 3)
    one, other = FirstFew[str](), FirstFew[str]()
    for word in "abcd":
        one.append(word)
    assert ([*one], one.left_out) == (["a", "b", "c"], 1)
    other += ["x"]
    other += one
    assert ([*other], other.left_out) == (["x", "a", "b"], 2)
    assert other.more == "there are 2 more than the 3 that are told"
    assert FirstFew[str]().more == ""


def test_few_are_fewer_where_each_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of 3,072 odd characters and one emoji takes 120 KB when it is written out: ten thousand took 1.2 GB."""
    monkeypatch.setattr(first_few, "MOST", 10_000)
    words, problems = FirstFew[str](), FirstFew[Problem]()
    for _ in range(5):
        words.append("😀" * 1000)
        problems.append(Problem("structure", "a", "b", found="😀" * 2000))
    assert (len(words), words.left_out) == (3, 2)
    assert problems.more == "there are 3 more than the 2 that are told"


def test_a_manifest_of_wrong_lines_tells_the_first_of_them_and_how_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence for each of 8 million lines is gigabytes, and nobody reads it."""
    monkeypatch.setattr(first_few, "FEW", 5)
    files = bag_files(PAGES, version="0.97", tags={"manifest-sha256.txt": b"wrong\n" * 100})
    del files["tagmanifest-sha256.txt"]
    found = validate(write_zip(tmp_path / "W1.bag.zip", entries_of(files))).problems
    assert [problem.reason for problem in found[:5]] == ["'wrong' is not a digest and a path"] * 5
    # Besides, three pages are in no manifest.
    assert [problem.reason for problem in found[5:]] == ["there are 98 more than the 5 that are told"]
