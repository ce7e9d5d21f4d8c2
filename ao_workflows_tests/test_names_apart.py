"""Names: whatever two works are called, no place of the one is, holds, or is swept away with, a place of the other's.

The places come from the layouts themselves: one that is added is tried here by itself, and one that takes what is not
known here fails until it is.
"""

from __future__ import annotations

import fnmatch
import inspect
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ao_workflows.archive.places import archive_place, web_prefix
from ao_workflows.archive.sync_options import SyncOptions
from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.errors import RidError
from ao_workflows.events.dropped_files import Claim
from ao_workflows.machine.disk import is_removal_name, removal_name, unfinished_name
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.works.rids import parse_rid, rid_of_left_over
from ao_workflows.works.stages import Stage
from ao_workflows_tests.conftest import CHECKOUT

SCRATCH = Path("/scratch")
LAYOUT = StagingLayout(SCRATCH)

HARD = (
    *("data", "00", "json", "messages", "works", "con", "lock", "tmp", "runs", "logs", "save", "report", "progress"),
    *("W1", "W1.freed", "W1.before", "W1.going-01234567", "W1.tmp", "W1.lock", "W1.json", "W1.sync", "W1.files", "w1"),
    *("W1.bag", "W1.bag.zip", "W1.bag.zip.part", "W1.report.json", "W1.synced_archive", "synced_archive", "fixity"),
    *("W1-01234567", "W1.0b9d1f2a-dead", "progress.json", "report.json", "fixity.jsonl", "ao-archive", "replaced"),
)

ENDINGS = ("", ".", "-", *(f".{word}" for word in ("freed", "before", "tmp", "lock", "json", "sync", "going-0a1b2c3d")))


def is_rid(name: str) -> bool:
    try:
        return parse_rid(name) == name
    except RidError:
        return False


rids = st.one_of(
    st.sampled_from(HARD),
    st.builds("{}{}".format, st.sampled_from(HARD), st.sampled_from(ENDINGS)),
    st.builds("{}.{}".format, st.sampled_from(HARD), st.from_regex(r"\A[A-Za-z0-9_.-]{0,5}\Z")),
    st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z"),
).filter(is_rid)
run_ids = st.uuids().map(str)


def methods() -> Iterator[tuple[Any, list[str]]]:
    """Every public method of the layout of staging, and what it takes."""
    for name, method in inspect.getmembers(LAYOUT, inspect.ismethod):
        if not name.startswith("_"):
            yield method, list(inspect.signature(method).parameters)


def places_in(found: object) -> Iterable[Path]:
    match found:
        case Path():
            return [found]
        case tuple():
            return found
        case re.Pattern():
            return []
    raise AssertionError(f"it is not known here what the layout means by {found!r}")


def fixed_places() -> set[Path]:
    """What has a name of its own, whatever works there are."""
    found = {place for method, takes in methods() if not takes for place in places_in(method())}
    # The folders of all works, which hold theirs: a place may lie there, and not be one.
    return found - set(LAYOUT.may_have_left_overs())


def staging_places(rid: str, run_id: str, works: Iterable[str]) -> set[Path]:
    """Every place that a work has, with the names that it has while it is written or removed."""
    known = {
        "rid": [rid],
        "run_id": [run_id],
        # Each of a zip's works has a receipt of its own.
        "stage": [*Stage, *(f"{Stage.SYNCED_ARCHIVE}.{work}" for work in works)],
    }
    found: set[Path] = set()
    for method, takes in methods():
        if takes:
            given_each = [{}]  # type: list[dict[str, str]]
            for name in takes:
                given_each = [{**given, name: value} for given in given_each for value in known[name]]
            found |= {place for given in given_each for place in places_in(method(**given))}
    return found | {hidden for place in found for hidden in (removal_name(place), unfinished_name(place))}


def are_apart(some: Iterable[Path], others: Iterable[Path]) -> bool:
    """Whether none is, or is in, another's."""
    one, other = set(some), set(others)
    return not any(
        above in beside
        for places, beside in ((one, other), (other, one))
        for each in places
        for above in (each, *each.parents)
    )


@given(rids, rids, run_ids, run_ids)
@example("messages", "W1", str(UUID(int=1)), str(UUID(int=2)))
@example("works", "messages", str(UUID(int=1)), str(UUID(int=2)))
@example("W1", "W1.1", str(UUID(int=1)), str(UUID(int=2)))
@example("W1", "W1.freed", str(UUID(int=1)), str(UUID(int=2)))
def test_on_the_scratch_disk(one: str, other: str, run: str, other_run: str) -> None:
    """A work called ``messages`` took every kept message with it when its bag was good."""
    assume(one != other)
    mine, others = staging_places(one, run, [one, other]), staging_places(other, other_run, [one, other])
    fixed = fixed_places()
    assert are_apart(mine, others)
    assert are_apart(mine, fixed)
    assert all(SCRATCH in place.parents and len(place.name) < 256 for place in mine)


@given(rids, rids, run_ids, run_ids)
@example("W1", "W1.1", str(UUID(int=1)), str(UUID(int=2)))
@example("W1", "W1.going-01234567", str(UUID(int=1)), str(UUID(int=2)))
def test_a_sweep_takes_what_is_the_works_and_half_made_and_nothing_else(
    one: str, other: str, run: str, other_run: str
) -> None:
    """The room of ``W1`` counted what ``W1.1`` had unpacked: names with a dot begin alike."""
    assume(one != other)
    pattern = LAYOUT.left_over(one)
    half_made = {LAYOUT.work_under_way(one, run), removal_name(LAYOUT.work(one)), removal_name(LAYOUT.incoming(one))}
    half_made |= {removal_name(LAYOUT.work_under_way(one, run))}
    assert all(pattern.fullmatch(path.name) and rid_of_left_over(path.name) == one for path in half_made)
    assert {path.parent for path in half_made} == set(LAYOUT.may_have_left_overs())
    assert not is_removal_name(LAYOUT.work_under_way(one, run).name)
    assert not any(pattern.fullmatch(path.name) for path in (LAYOUT.work(one), LAYOUT.incoming(one)))
    looked_at = set(LAYOUT.may_have_left_overs())
    others = {place for place in staging_places(other, other_run, [one]) if place.parent in looked_at}
    assert len(others) > 4
    assert not any(pattern.fullmatch(place.name) for place in others)


@given(rids, rids)
@example("W1", "W1.synced_archive")
def test_a_stage_that_is_thrown_away_takes_no_other_stages_receipt(one: str, work: str) -> None:
    """``synced_archive.<work>.json`` is found by a pattern; a work may be called ``json``."""
    receipts = {LAYOUT.receipt(one, stage) for stage in Stage} | {LAYOUT.fixity(one)}
    per_work = LAYOUT.receipt(one, f"{Stage.SYNCED_ARCHIVE}.{work}")
    assert per_work not in receipts
    for stage in Stage:
        taken = {path for path in {*receipts, per_work} if fnmatch.fnmatchcase(path.name, f"{stage}.*.json")}
        assert taken == ({per_work} if stage is Stage.SYNCED_ARCHIVE else set())


@given(rids, rids)
@example("00", "W1NLM4700")
@example("ao-archive", "W1")
def test_in_the_archive_and_on_the_web(one: str, other: str) -> None:
    """Beside each work's place the script has a folder and a lock; beside the buckets the platform has its own."""
    assume(one != other)
    script = (CHECKOUT / "docker/sync/syncOneWork.sh").read_text()
    hidden = set(re.findall(r"=\$root/\$bucket/(\.\$rid\.\w+)", script))
    assert hidden >= {".$rid.sync", ".$rid.lock"}

    def places(rid: str) -> set[Path]:
        place = archive_place(Path("/mnt/Archive"), rid)
        beside = {place.with_name(name.replace("$rid", rid)) for name in hidden}
        assert re.fullmatch(r"/mnt/Archive[0-3]/[0-9][0-9]", str(place.parent))
        return {place, *beside}

    assert are_apart(places(one), places(other))
    ours = {Path(f"/mnt/Archive{share}/.ao-archive") for share in range(4)}
    buckets = {Path(f"/mnt/Archive{share}/{number:02d}") for share in range(4) for number in range(100)}
    assert are_apart(places(one), ours)
    assert places(one).isdisjoint(buckets)
    assert not web_prefix("s3://b/Works", one).startswith(web_prefix("s3://b/Works", other))


@given(rids, rids, run_ids, run_ids)
@example("W1", "W1-01234567", "01234567-0000-4000-8000-000000000000", "01234567-0000-4000-8000-000000000000")
def test_in_the_logs(one: str, other: str, run: str, other_run: str) -> None:
    """Two works that sync in one second would write over each other's log, and each end the other's proof."""
    assume(one != other)
    script = SyncScript(script="s", archive_parent="/mnt/Archive", logs=str(LAYOUT.logs()), timeout_minutes=1)
    at = datetime(2026, 11, 21, 6, 32, 44, tzinfo=UTC)
    folders = [
        {Path(given["syncLogDateTimeDir"]), Path(given["auditToolLogDateTimeDir"])}
        for rid, run_id in ((one, run), (other, other_run))
        for given in [script.environment(rid, SyncOptions(), at, run_id)]
    ]
    assert are_apart(*folders)
    assert all(len(folder.name) < 256 for each in folders for folder in each)
    tops = set(LAYOUT.sync_logs())
    assert all(any(top in folder.parents for top in tops) for each in folders for folder in each)


@given(rids, rids, st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1)))  # noqa: DTZ001 - it adds it
def test_in_an_intakes_save(one: str, other: str, at: datetime) -> None:
    """A claim is found again by its name alone: it must be that of the same work."""
    for suffix in (".zip", ".bag.zip"):
        if f"{one}{suffix}".endswith(".bag.zip") and suffix == ".zip":
            continue
        claim = Claim.of(f"{one}{suffix}", at, "0a1b2c3d", "4e5f6071")
        assert Claim.parse(claim.name) == claim
        assert claim.rid == one
        assert one == other or claim.name != Claim.of(f"{other}{suffix}", at, "0a1b2c3d", "4e5f6071").name


def test_a_place_that_takes_something_new_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new place that shares a room would be found by nobody until a work has that name."""
    monkeypatch.setattr(StagingLayout, "page", lambda self, rid, page: self.root / rid / page, raising=False)
    with pytest.raises(KeyError):
        staging_places("W1", "run", [])
    monkeypatch.setattr(StagingLayout, "page", lambda self: self.root / "works" / "W1" / "page", raising=False)
    assert not are_apart(staging_places("W1", "run", []), fixed_places())
