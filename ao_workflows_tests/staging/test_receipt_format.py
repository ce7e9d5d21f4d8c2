"""Receipts on their way through JSON: a whole one comes back, whichever release wrote it, and half a one is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ao_workflows.errors import ReceiptRefused
from ao_workflows.events.dropped_files import DroppedFile
from ao_workflows.staging.receipt_format import VERSION, dump, parse
from ao_workflows.staging.receipts import (
    Debagged,
    Downloaded,
    Held,
    Origin,
    Placed,
    Receipt,
    Restored,
    SourceFile,
    Synced,
    UnpackedWork,
)
from ao_workflows_tests.support.receipts import EVENT, a_zip, debagged, downloaded, restored, synced, unversioned

ORIGIN = Origin(EVENT.identity, "abc=", 7)
FRAME = {"rid": "W1", "run_id": "run"}
DROPPED = DroppedFile("W1~20261121T063244.001002Z-0a1b2c3d-4e5f6071.zip", "/drop", "2026-11-21T06:32:44Z", "", 7)
COPIED = SourceFile("drop", "/drop", DROPPED.file, 1_795_851_561_382_365_703)
WORK = UnpackedWork("W1", 2, 5, ("md5", "sha512"), proven=True, tags="W1.bag")
PLACED = Placed(
    **FRAME,  # type: ignore[arg-type]
    work="W2.json",
    origin=ORIGIN,
    options=("-a", "/mnt/Archive"),
    environment={"LOCAL_AUDIT_OPTIONS": "-v"},
    place="/mnt/Archive0/02/W2.json",
    log="",
    web="s3://web/Works/ab/W2.json/images/",
)
WHOLE: tuple[Receipt, ...] = (
    restored(),
    restored(DROPPED, over=()),
    restored(over=("an event", "another")),
    Held(**FRAME, intake="fpl", event=EVENT, error="OtherObject", why="བསྟན"),  # type: ignore[arg-type]
    downloaded(),
    downloaded(zip=a_zip(300 << 30)),
    downloaded(DROPPED.identity, zip=a_zip().__class__(7, "abc=", "size only", 0.5, 7, 0, 1, 0, original=COPIED)),
    debagged(ORIGIN, works=[WORK], files_listed=3, warnings=("\N{ZERO WIDTH SPACE} in a name",)),
    PLACED,
    synced(ORIGIN, kept=True, left_alone=("W2",)),
)
SAMPLES = sorted((Path(__file__).parent / "receipts_without_version").glob("*/*.json"))
KINDS: Mapping[str, type[Receipt]] = {each.stage: each for each in (Restored, Held, Downloaded, Debagged, Synced)}


def path_of(receipt: Receipt) -> Path:
    return Path(f"/staging/receipts/W1/{receipt.name}.json")


def read(found: object, receipt: Receipt = PLACED) -> Receipt:
    """What is read where a receipt should be."""
    return parse(type(receipt), json.dumps(found).encode(), path_of(receipt))


def refused(text: bytes | Mapping[str, Any] | list[Any], receipt: Receipt = WHOLE[4]) -> str:
    """Why that is not taken for the receipt."""
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    with pytest.raises(ReceiptRefused) as caught:
        parse(type(receipt), text, path_of(receipt))
    assert str(caught.value).startswith(f"staging: {path_of(receipt)}: is no receipt that can be used: ")
    assert str(caught.value).endswith("is done again, which writes another: ao reprocess W1")
    return caught.value.fault


@pytest.mark.parametrize("receipt", WHOLE, ids=lambda receipt: receipt.name)
def test_a_receipt_comes_back_as_it_was(receipt: Receipt) -> None:
    """A receipt that differs from itself is never valid: every stage would be done again."""
    assert parse(type(receipt), dump(receipt).encode(), path_of(receipt)) == receipt


@pytest.mark.parametrize("receipt", WHOLE, ids=lambda receipt: receipt.name)
def test_a_receipt_says_its_version_and_all_that_it_knows(receipt: Receipt) -> None:
    """What is not written is not there after an upgrade."""
    found = json.loads(dump(receipt))
    assert (found["version"], found["stage"]) == (VERSION, receipt.name) == (1, path_of(receipt).stem)
    assert found.keys() == {"version", "stage"} | {each.name for each in fields(receipt)}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_receipt_that_was_written_without_a_version_is_understood(sample: Path) -> None:
    """Each site's disk is full of them at its upgrade: 300 GB would be downloaded again, and the archive compared."""
    kind = KINDS.get(sample.stem, Placed)
    receipt = parse(kind, sample.read_bytes(), sample)
    written = json.loads(sample.read_text())
    assert (receipt.rid, receipt.run_id, receipt.boot) == (written["rid"], written["run_id"], written["boot"])
    assert parse(kind, dump(receipt).encode(), sample) == receipt
    if "older" not in sample.parent.name:
        assert unversioned(receipt) == written


def test_there_are_samples_of_each_kind_without_a_version() -> None:
    """Without its files the test above would be well too."""
    assert {KINDS.get(sample.stem, Placed) for sample in SAMPLES} == {*KINDS.values(), Placed}


@pytest.mark.parametrize("receipt", WHOLE, ids=lambda receipt: receipt.name)
def test_whatever_it_says_a_receipt_without_a_version_comes_to_the_same_as_one_with(receipt: Receipt) -> None:
    """An upgrade must not change what a receipt says."""
    assert read(unversioned(receipt), receipt) == receipt


def test_what_an_older_release_did_not_write_has_the_value_that_it_had() -> None:
    """Its works were kept on the disk, its words were none, and which folder a bag's own files are in was not known."""
    folder = SAMPLES[0].parents[1] / "of-an-older-release"
    old = {kind: parse(kind, (folder / f"{kind.stage}.json").read_bytes(), folder / f"{kind.stage}.json")
           for kind in (Restored, Downloaded, Debagged, Synced)}  # fmt: skip
    bag, works, last = old[Downloaded], old[Debagged], old[Synced]
    assert isinstance(bag, Downloaded)
    assert isinstance(works, Debagged)
    assert isinstance(last, Synced)
    assert bag.zip.object
    assert (bag.zip.object.bucket, bag.zip.object.modified, bag.zip.object.etag[:4]) == ("", "", "6209")
    assert works.origin == last.origin == Origin("", "0a04439ad30144ae", 42355)
    assert [(work.tags, work.proven) for work in works.works] == [("", True)]
    assert (last.left_alone, last.kept) == ((), True)


def test_what_a_later_release_of_the_same_version_adds_is_passed_over() -> None:
    """A site that goes back to the release before need not do its works again for a name more."""
    found = json.loads(dump(PLACED))
    assert read(found | {"more": 1}) == PLACED
    assert read(found | {"origin": found["origin"] | {"more": [1]}}) == PLACED


def test_no_beginning_of_a_receipt_is_one() -> None:
    """A power cut may leave any part of the file, also one that ends inside a character."""
    for receipt in WHOLE:
        for text in (dump(receipt).encode(), json.dumps(unversioned(receipt), ensure_ascii=False).encode()):
            for length in range(len(text)):
                refused(text[:length], receipt)


NEW = json.loads(dump(WHOLE[4]))
OLD = unversioned(WHOLE[4])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"\0" * 300, "it is no JSON: Expecting value"),
        (b"\xff\xfe", "it is no text in UTF-8"),
        (json.dumps(NEW).encode("utf-16"), "it is no text in UTF-8"),
        (b"null", "it is JSON, but no object"),
        (b"[]", "it is JSON, but no object"),
        (b"7", "it is JSON, but no object"),
        (b"[" * 100_000, "it is no JSON"),
        (b"<html>", "it is no JSON"),
        ({}, "it says that it is of the stage None"),
        ({"works": 7}, "it says that it is of the stage None"),
        (NEW | {"version": 99}, "it is of version 99, of a newer release; this one reads up to 1"),
        ({"version": 2}, "it is of version 2, of a newer release; this one reads up to 1"),
        (NEW | {"version": "1"}, "its version is '1', which no release has written"),
        (NEW | {"version": True}, "its version is True, which no release has written"),
        (NEW | {"version": None}, "its version is None, which no release has written"),
        (NEW | {"version": 0}, "its version is 0, which no release has written"),
        (OLD | {"version": 0}, "its version is 0, which no release has written"),
        (NEW | {"version": -1}, "its version is -1, which no release has written"),
        (NEW | {"version": 1.0}, "its version is 1.0, which no release has written"),
        (NEW | {"stage": "debagged_work"}, "it says that it is of the stage 'debagged_work'"),
        ({name: value for name, value in NEW.items() if name not in ("zip", "boot")}, "it lacks boot, zip"),
        (NEW | {"at": "yesterday"}, "at: must be a time with a zone, of RFC 3339 (is: 'yesterday')"),
        (NEW | {"at": "2026-11-21T06:32:44"}, "at: must be a time with a zone"),
        (NEW | {"at": 7}, "at: must be a time with a zone"),
        (NEW | {"at": "9999-12-31T23:59:59-23:59"}, "at: must be a time with a zone"),
        (NEW | {"room": "7"}, "room: must be a valid integer (is: '7')"),
        (NEW | {"room": True}, "room: must be a valid integer (is: 'True')"),
        (NEW | {"rid": 7}, "rid: must be a valid string (is: '7')"),
        (NEW | {"rid": "\ud800"}, "it is no JSON: unexpected end of hex escape"),
        (NEW | {"zip": []}, "zip: must be an object"),
        (NEW | {"zip": NEW["zip"] | {"size": None}}, "zip.size: must be a valid integer (is: 'None')"),
        (NEW | {"zip": {"size": 7}}, "zip.crc64nvme: is missing"),
        (OLD | {"more": 1}, "it has no version, and it has more"),
        ({"stage": "downloaded_bag"}, "it has no version, and it lacks at, boot, left, rid, run_id, took"),
        (OLD | {"took": None}, "took: must be an object"),
        (OLD | {"left": "x"}, "left: must be an object"),
        (OLD | {"at": "2026-11-21T06:32:44"}, "at: must be a time with a zone"),
        (OLD | {"left": {"crc64nvme": "abc="}}, "it lacks seconds"),
        (OLD | {"left": OLD["left"] | {"original": 7}}, "it has something else than its stage wrote"),
        (OLD | {"left": OLD["left"] | {"bytes": "7"}}, "zip.size: must be a valid integer (is: '7')"),
        (OLD | {"took": {"event": 7}}, "event: must be a valid string (is: '7')"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_is_no_receipt_is_none(text: bytes | dict[str, Any], fault: str) -> None:
    """The stage is then done again; an exception of another kind would stop the work until the file is removed."""
    assert fault in refused(text)


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        ({"key": "k"}, "event: is neither an object's event nor a dropped file's"),
        ({**vars(EVENT), "size": "7"}, "event: is neither an object's event nor a dropped file's"),
        (7, "event: is neither an object's event nor a dropped file's"),
    ],
)
def test_an_event_that_is_none_is_not_taken_from_a_receipt(event: object, fault: str) -> None:
    """The work would be redone for what nobody asked for."""
    assert refused(json.loads(dump(restored())) | {"event": event}, restored()) == fault
    old = unversioned(restored())
    assert refused(old | {"left": old["left"] | {"event": event}}, restored()) == fault
    assert refused(old | {"left": {}}, restored()) == "it lacks intake"
    assert refused(old | {"left": {"intake": "fpl"}}, restored()) == "it lacks event"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(WHOLE), st.booleans(), st.randoms(use_true_random=False), anything)
@example(PLACED, True, None, {})
def test_whatever_is_written_over_a_part_it_is_a_receipt_or_refused(
    receipt: Receipt,
    old: bool,
    chance: Any,
    instead: Any,
) -> None:
    """Anything but ``ReceiptRefused`` would end the list of all works, or stop this one for good."""
    found: Any = unversioned(receipt) if old else json.loads(dump(receipt))
    place: Any = found
    while chance:
        name = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if isinstance(place[name], dict | list) and place[name] and chance.random() < 0.7:
            place = place[name]
            continue
        place[name] = instead
        break
    try:
        assert isinstance(read(found, receipt), type(receipt))
    except ReceiptRefused as error:
        assert error.fault
