"""The evidence of works, gathered: one source that is away, or one odd work, hides no other."""

from __future__ import annotations

import fcntl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ao_workflows.drs.client import Drs
from ao_workflows.errors import DatabaseError, StagingError
from ao_workflows.staging.staging import Staging
from ao_workflows.status.evidence import Evidence
from ao_workflows.status.gathering import EvidenceSources, Gathered, lock_state, merged, of_unfinished, of_works

NOW = datetime.now(UTC)


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(root=str(tmp_path / "staging"))


@pytest.fixture
def drs(tmp_path: Path) -> Drs:
    drs = Drs(url=f"sqlite:///{tmp_path}/drs.sqlite", patience=0)
    drs.init()
    return drs


def test_a_lock_is_held_free_or_left_by_who_was_killed(tmp_path: Path) -> None:
    """A work that nobody has must not be told as under way for ever."""
    lock = tmp_path / "W1.lock"
    assert lock_state(lock) == "free"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert lock_state(lock) == "held"
    assert lock_state(lock) == "abandoned"


def test_a_look_at_a_lock_keeps_no_run_from_its_work(tmp_path: Path) -> None:
    """``ao status`` is run at any moment, and by many."""
    lock = tmp_path / "W1.lock"
    lock.touch()
    lock_state(lock)
    with lock.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_works_come_in_their_order_with_what_each_source_has(staging: Staging, drs: Drs) -> None:
    """A person who names works reads them in that order."""
    drs.record("W2", None, NOW, {"n": 1})
    gathered = of_works(EvidenceSources(staging, drs, None), ["W3", "W2"])
    assert [(each.rid, each.row is not None) for each in gathered.evidence] == [("W3", False), ("W2", True)]
    assert all(each.not_asked == ("Dagster",) for each in gathered.evidence)


def test_a_database_that_is_away_is_told_and_the_disk_is_asked_all_the_same(staging: Staging, tmp_path: Path) -> None:
    """What is half known is still worth knowing, and must be told as half known."""
    away = Drs(url=f"sqlite:///{tmp_path}/none/drs.sqlite", patience=0)
    for gathered in (
        of_works(EvidenceSources(staging, away, None), ["W1"]),
        of_unfinished(EvidenceSources(staging, away, None), NOW),
    ):
        assert isinstance(gathered.drs_error, DatabaseError)
    (evidence,) = of_works(EvidenceSources(staging, away, None), ["W1"]).evidence
    assert evidence.not_asked == ("DRS", "Dagster")


def test_one_work_whose_files_cannot_be_read_is_told_beside_the_others(staging: Staging) -> None:
    """One odd folder would hide every other work of the night."""
    receipt = staging.layout.receipt("W1", "restored_message")
    receipt.mkdir(parents=True)
    gathered = of_works(EvidenceSources(staging, None, None), ["W1", "W2"])
    assert [each.asked_staging for each in gathered.evidence] == [False, True]
    assert len(gathered.unread) == 1


def test_what_is_unfinished_is_looked_for_everywhere_once_and_names_that_are_none_are_told(
    staging: Staging, drs: Drs
) -> None:
    """DRS has other writers, whose rows are no works."""
    for name in ("W1", "W2", "no work", ""):
        drs.record(name, None, NOW, {})
    gathered = of_unfinished(EvidenceSources(staging, drs, None), NOW)
    assert {each.rid for each in gathered.evidence} == {"W1", "W2"}
    assert gathered.odd == ("no work",)
    assert not gathered.cut
    assert of_unfinished(EvidenceSources(staging, drs, None), NOW, most=2).cut


def test_two_looks_are_one_with_each_work_and_each_fault_once() -> None:
    """A work that is in both is one work; a fault that is in one is a fault of the whole."""
    error = StagingError(Path("/s"), "no")
    one = Gathered([Evidence("W1"), Evidence("W2")], unread=[error], odd=("x",))
    other = Gathered([Evidence("W2")], cut=True, unread=[StagingError(Path("/s"), "no")], odd=("x", "y"))
    both = merged(one, other)
    assert [each.rid for each in both.evidence] == ["W1", "W2"]
    assert (both.cut, len(both.unread), both.odd) == (True, 1, ("x", "y"))
    assert not merged(one).cut
