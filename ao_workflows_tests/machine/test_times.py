"""Times from outside: each is a moment that can be reckoned with, or none; no reading and no sum ends in an error."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ao_workflows.aws.objects import storage_of
from ao_workflows.drs.rows import entry_of
from ao_workflows.errors import ReceiptRefused
from ao_workflows.events.dropped_files import Claim, event_of
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.machine.times import (
    LAST_YEAR,
    in_order,
    moment,
    moment_of_header,
    moment_of_seconds,
    moment_with_zone,
)
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipt_format import dump, parse
from ao_workflows.staging.receipts import Restored
from ao_workflows.status.evidence import Evidence
from ao_workflows.status.expiring import end_in_words, undownloaded
from ao_workflows.status.standing import standing_of
from ao_workflows_tests.status.test_standing import EVENT, LIMITS, NOON, run
from ao_workflows_tests.support.receipts import restored

EXTREMES = (
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59Z",
    "0001-01-01",
    "0000-00-00 00:00:00",
    "never",
    "",
    "2026-11-21T06:32:44",
    "\0",
    "٢٠٢٦-11-21",
)

texts = st.one_of(
    st.sampled_from(EXTREMES),
    st.text(max_size=30),
    st.datetimes().map(datetime.isoformat),
    st.datetimes(timezones=st.timezones()).map(datetime.isoformat),
    st.builds(
        lambda at, minutes: (
            f"{at.isoformat()}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
        ),
        st.datetimes(),
        st.integers(-1439, 1439),
    ),
)
TEN_YEARS = timedelta(days=3650)


def _reckoned_with(at: datetime | None) -> None:
    """Does with a moment what its readers do."""
    if at is not None:
        assert at.tzinfo is UTC
        assert at - timedelta(days=2) < at.astimezone() < at + timedelta(days=2)
        assert abs(NOON - at) >= timedelta()
        assert moment(at.isoformat()) == at
        assert end_in_words(at, NOON)


@given(texts)
@example("9999-12-31T23:59:59-23:59")
@example("0001-01-01T00:00:00+23:59")
def test_whatever_a_text_says_it_is_a_moment_or_none(said: str) -> None:
    """An end of a restored copy that is on no calendar in UTC ended the look at all works, every night."""
    for read in (moment, moment_with_zone, moment_of_header):
        _reckoned_with(read(said))
    assert in_order(said).tzinfo is UTC


@given(
    st.one_of(st.none(), st.integers(), st.floats(), st.binary(), st.datetimes(timezones=st.none() | st.timezones()))
)
def test_whatever_a_driver_gives_is_a_moment_or_none(value: object) -> None:
    """A database gives a number, a text or nothing where a time should be."""
    _reckoned_with(moment(value))


@given(st.one_of(st.integers(), st.floats()))
@example(float("inf"))
@example(float("nan"))
@example(253402300799)
def test_whatever_number_a_file_has_for_its_time_it_is_a_moment_or_none(seconds: float) -> None:
    """A file's times are whatever its writer set."""
    _reckoned_with(moment_of_seconds(seconds))
    claim = Claim("W1", NOON, "0a1b2c3d", "4e5f6071", ".zip")
    assert event_of(claim, "/drop", seconds, 7).modified


def test_a_time_that_is_one_is_read_as_it_is() -> None:
    """A rule that is too strict forgets a copy's end, or a whole receipt."""
    for said in ("2026-11-21T12:00:00Z", "2026-11-21T13:00:00+01:00", "2026-11-21 12:00:00"):
        assert moment(said) == NOON
    assert moment(NOON.replace(tzinfo=None)) == NOON
    assert moment_with_zone("2026-11-21 12:00:00") is None
    assert moment_of_header("Sat, 21 Nov 2026 12:00:00 GMT") == NOON
    assert moment_of_seconds(NOON.timestamp()) == NOON
    assert moment(f"{LAST_YEAR}-12-31T23:59:59Z")


def _receipts(event: ObjectEvent, at: str) -> Receipts:
    """The receipts of a work with such an event, written at such a time, as they are read from the disk."""
    path = Path("receipts/W1/restored_message.json")
    found = json.loads(dump(restored(event))) | {"at": at}
    try:
        text = json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
        return Receipts(parse(Restored, text, path))
    except ReceiptRefused as error:
        return Receipts(refused=(error,))


@given(texts, texts, texts)
@example("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59-23:59")
def test_a_work_whose_times_are_odd_is_looked_at_like_the_others(ends: str, came: str, written: str) -> None:
    """One event ended the night's look at 5,000 works."""
    event = ObjectEvent(EVENT.name, came, "r", "b", "W1.bag.zip", etag="e", restore_expires=ends)
    cases: list[dict[str, Any]] = [{"run": run("queued", event=event)}, {"receipts": _receipts(event, written)}]
    for case in cases:
        evidence = Evidence("W1", **case)
        for work in undownloaded([(evidence, standing_of(evidence, NOON, LIMITS))]):
            work.ends_before(NOON + TEN_YEARS)
            _reckoned_with(work.until)


@given(texts)
def test_whatever_s3_and_drs_say_of_a_time_the_rest_is_read(said: str) -> None:
    """The copy is there, and the note tells of a failure, though nobody can say when."""
    storage = storage_of({"Restore": f'ongoing-request="false", expiry-date="{said}"'})
    assert storage.restored
    _reckoned_with(storage.expires)
    entry = entry_of({"time_stamp": said, "user_data": {"failed": "no"}})
    assert entry.data == {"failed": "no"}
    _reckoned_with(entry.at)


@pytest.mark.parametrize("stamp", ["00010101T000000.000000Z", "99991231T235959.999999Z", "09991231T235959.999999Z"])
def test_a_claims_name_that_is_read_is_the_claims_name(stamp: str) -> None:
    """The C library writes the year 1 as `1`: by another name the file would not be found."""
    name = f"W1~{stamp}-0a1b2c3d-4e5f6071.zip"
    claim = Claim.parse(name)
    assert claim is None or claim.name == name
