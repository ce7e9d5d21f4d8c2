"""Which works of a zip are let in: the one that was asked for, and none that holds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.bags.admission import Terms, another_name
from ao_workflows.bags.debagging import DebaggedZip, debag, validate
from ao_workflows.errors import BagInvalid, ZipRefused
from ao_workflows_tests.support.debagging import right_entries
from ao_workflows_tests.support.zip_bytes import FOLDER, Entry, bag_files, entries_of, write_zip


def bags(*rids: str) -> list[Entry]:
    return [entry for rid in rids for entry in entries_of(bag_files({"images/a": rid.encode()}), f"{rid}.bag")]


def taken(folder: Path, entries: list[Entry], terms: Terms) -> DebaggedZip:
    return debag(write_zip(folder / f"{terms.rid}.bag.zip", entries), folder / "out", terms=terms)


def refused(folder: Path, entries: list[Entry], terms: Terms) -> str:
    with pytest.raises(ZipRefused) as caught:
        taken(folder, entries, terms)
    assert [path.name for path in folder.iterdir()] == [f"{terms.rid}.bag.zip"], "something was left behind"
    return str(caught.value)


def test_another_works_bag_is_refused_with_both_names(shared_data: Path, tmp_path: Path) -> None:
    """The pages of W1NLM9999 were written over, and W1NLM4704 was said to be in the archive."""
    with pytest.raises(ZipRefused) as caught:
        debag(shared_data / "cases/W1NLM4704-holds-W1NLM9999.bag.zip", tmp_path / "out", terms=Terms("W1NLM4704"))
    assert "it was sent as W1NLM4704 and holds another work: W1NLM9999" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("other", ["W2", "w1", "W1.2", "W11", "W"])
def test_a_single_work_is_the_one_that_was_asked_for(tmp_path: Path, other: str, batches: bool) -> None:
    """A name that is only like the other, in case or in its beginning, is another work; batches are of several."""
    for entries in (bags(other), [Entry(f"{other}/images/a", b"1")]):
        said = refused(tmp_path, entries, Terms("W1", batches=batches))
        assert "sent as W1" in said
        assert other in said
        assert ("differ in case" in said) is (other == "w1")


def test_several_works_are_taken_where_one_is_asked_for_or_the_intake_takes_batches(tmp_path: Path) -> None:
    """Small works are sent together; a stranger's are not to come in that way."""
    assert {work.rid for work in taken(tmp_path, bags("W1", "W2"), Terms("W1")).works} == {"W1", "W2"}
    assert {work.rid for work in taken(tmp_path, bags("W2", "W3"), Terms("W1", batches=True)).works} == {"W2", "W3"}
    for used in (tmp_path / "out/W2", tmp_path / "out/W3"):
        assert used.is_dir()


@pytest.mark.parametrize("rids", [("W2", "W3"), ("w1", "W2"), tuple(f"W{number}" for number in range(2, 30))])
def test_several_works_without_the_one_asked_for_are_refused_unless_the_intake_takes_batches(
    tmp_path: Path, rids: tuple[str, ...]
) -> None:
    """Each of them would be written over what the archive has of it, under a partition that says nothing of it."""
    said = refused(tmp_path, bags(*rids), Terms("W1"))
    assert "sent as W1" in said
    assert f"holds {len(rids)} others" in said
    assert len(said) < 300


def test_works_without_a_bag_are_judged_alike(tmp_path: Path) -> None:
    """Nothing vouches for them, so whose they are is all that is known."""
    plain = [Entry("W2/images/a", b"1"), Entry("W3/images/a", b"1")]
    assert "sent as W1" in refused(tmp_path, plain, Terms("W1"))
    assert len(taken(tmp_path, plain, Terms("W1", batches=True)).works) == 2


def test_a_work_that_no_manifest_came_with_is_told_of_or_refused_as_the_site_says(tmp_path: Path) -> None:
    """Only a program that read --json learned that nothing was proven."""
    plain = [Entry("W1/images/a", b"1")]
    assert "no manifest came with W1" in taken(tmp_path, plain, Terms("W1")).warnings[0]
    (tmp_path / "other").mkdir()
    said = refused(tmp_path / "other", plain, Terms("W1", unproven="refuse"))
    assert 'no manifest came with W1: nothing of it is proven, and this site says [debag] unproven = "refuse"' in said
    assert taken(tmp_path, bags("W1"), Terms("W1", unproven="refuse")).warnings == ()


EMPTY = [Entry("W1.bag/data/images/", mode=FOLDER), *entries_of(bag_files({}))]


@pytest.mark.parametrize(
    "entries",
    [EMPTY, [Entry("W1/images/", mode=FOLDER)], [*EMPTY, *bags("W2")], [*bags("W0"), *EMPTY]],
    ids=["bag", "plain work", "first of two", "second of two"],
)
def test_a_work_without_a_file_is_refused(tmp_path: Path, entries: list[Entry]) -> None:
    """It was synced, proven, counted as archived, and the zip freed: a replacement by nothing."""
    assert "W1 has no file in it" in refused(tmp_path, entries, Terms("W1"))


def test_a_bag_whose_files_are_all_missing_is_told_each_of_them(tmp_path: Path) -> None:
    """That a work is empty is no news where its manifest has a thousand pages."""
    files = bag_files({"a": b"1", "b": b"2"})
    del files["data/a"], files["data/b"]
    path = write_zip(tmp_path / "W1.bag.zip", entries_of(files))
    with pytest.raises(BagInvalid) as caught:
        debag(path, tmp_path / "out", terms=Terms("W1"))
    assert {problem.path for problem in caught.value.problems if problem.kind == "missing"} == {
        "W1.bag/data/a",
        "W1.bag/data/b",
    }


def test_by_hand_a_zip_with_another_name_is_unpacked_and_told(tmp_path: Path) -> None:
    """Who looks into a zip that was refused must be able to, and learns why it was."""
    path = write_zip(tmp_path / "W9.bag.zip", right_entries())
    told = "W9.bag.zip: holds another work: W1; as the zip of W9 it is refused"
    assert debag(path, tmp_path / "out").warnings == (told,)
    assert validate(path).warnings == (told,)
    assert validate(path).valid


@pytest.mark.parametrize("name", ["W1.bag.zip", "W1.zip", "delivery of May.zip", "upload"])
def test_a_zip_whose_name_is_a_works_in_it_or_nobodys_is_not_told_of(name: str) -> None:
    """A warning at each zip is read at none."""
    assert another_name(name, ["W0", "W1"]) is None
