"""Whether to ask Glacier: what S3 and DRS say together, where a work's object is, what a list names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ao_workflows.aws.objects import ObjectStorage, storage_of
from ao_workflows.drs.rows import DrsRow
from ao_workflows.errors import RidError
from ao_workflows.glacier.rules import (
    RestoreState,
    RestoreStatus,
    Target,
    Tier,
    awaited,
    is_to_be_asked,
    names_in_list,
    parse_target,
    restore_state,
    tier_refusal,
)
from ao_workflows.works.stages import Stage

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GLACIER = {"StorageClass": "GLACIER"}


def row(**times: timedelta) -> DrsRow:
    """A row whose stages were done so long ago."""
    done = {Stage[name.upper()]: NOW - ago for name, ago in times.items()}
    return DrsRow(row=1, rid="W1", times=done, entries=(), created=NOW, updated=NOW)


DAY = timedelta(days=1)
ASKED = row(restore_requested=DAY)
ASKED_LONG_AGO = row(restore_requested=5 * DAY)
CAME = row(restore_requested=2 * DAY, restored_message=DAY)
SYNCED = row(restore_requested=40 * DAY, restored_message=39 * DAY, synced_archive=38 * DAY)
ONGOING = {"Restore": 'ongoing-request="true"'}
THERE = {"Restore": 'ongoing-request="false", expiry-date="Fri, 04 Dec 2026 00:00:00 GMT"'}
GONE = {"Restore": 'ongoing-request="false", expiry-date="Fri, 20 Nov 2026 00:00:00 GMT"'}
TIERED = {"StorageClass": "INTELLIGENT_TIERING"}


@pytest.mark.parametrize(
    ("head", "progress", "state"),
    [
        (GLACIER, None, RestoreState.NOT_ASKED),
        (GLACIER, row(), RestoreState.NOT_ASKED),
        (GLACIER, ASKED, RestoreState.ASKED),
        (GLACIER, ASKED_LONG_AGO, RestoreState.EXPIRED),
        (GLACIER, CAME, RestoreState.EXPIRED),
        (GLACIER, SYNCED, RestoreState.SYNCED),
        (GLACIER | ONGOING, None, RestoreState.UNDER_WAY),
        (GLACIER | ONGOING, SYNCED, RestoreState.UNDER_WAY),
        (GLACIER | THERE, SYNCED, RestoreState.RESTORED),
        (GLACIER | THERE, None, RestoreState.RESTORED),
        (GLACIER | GONE, None, RestoreState.EXPIRED),
        (GLACIER | GONE, SYNCED, RestoreState.SYNCED),
        (GLACIER | {"Restore": 'ongoing-request="false"'}, None, RestoreState.RESTORED),
        ({"StorageClass": "DEEP_ARCHIVE"}, None, RestoreState.NOT_ASKED),
        ({"StorageClass": "GLACIER_IR"}, None, RestoreState.NOT_IN_GLACIER),
        ({}, ASKED, RestoreState.NOT_IN_GLACIER),
        (TIERED, None, RestoreState.NOT_IN_GLACIER),
        (TIERED | {"ArchiveStatus": "ARCHIVE_ACCESS"}, None, RestoreState.NOT_ASKED),
        (TIERED | {"ArchiveStatus": "DEEP_ARCHIVE_ACCESS"} | ONGOING, None, RestoreState.UNDER_WAY),
    ],
)
def test_s3_says_how_far_a_restore_is_and_drs_where_s3_is_silent(
    head: dict[str, str], progress: DrsRow | None, state: RestoreState
) -> None:
    """S3 forgets a copy that has expired, and DRS may have missed a request."""
    assert restore_state(storage_of(head), progress, NOW) is state


def test_glacier_is_asked_only_where_no_copy_is_there_or_coming() -> None:
    """Each request costs money, and a work that is in the archive needs none unless a person says so."""
    asked = {state for state in RestoreState if is_to_be_asked(state, again=False)}
    assert asked == {RestoreState.NOT_ASKED, RestoreState.ASKED, RestoreState.EXPIRED}
    assert {state for state in RestoreState if is_to_be_asked(state, again=True)} == asked | {RestoreState.SYNCED}


def test_a_request_is_awaited_until_its_object_has_come() -> None:
    """Else a request that DRS missed would be taken for one that it knows."""
    assert [awaited(each) for each in (None, row(), ASKED, CAME, SYNCED)] == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("storage", "refused"),
    [
        (ObjectStorage("GLACIER"), False),
        (ObjectStorage("DEEP_ARCHIVE"), True),
        (ObjectStorage("INTELLIGENT_TIERING", "ARCHIVE_ACCESS"), False),
        (ObjectStorage("INTELLIGENT_TIERING", "DEEP_ARCHIVE_ACCESS"), True),
    ],
)
def test_expedited_is_refused_where_s3_knows_none(storage: ObjectStorage, refused: bool) -> None:
    """S3's own words for it are `InvalidArgument`."""
    reason = tier_refusal(storage, Tier.EXPEDITED)
    assert (reason is not None) == refused
    assert reason is None or ("--tier Standard" in reason and str(storage) in reason)
    assert tier_refusal(storage, Tier.BULK) is tier_refusal(storage, Tier.STANDARD) is None


def test_a_list_is_read_without_its_comments_blank_lines_and_repetitions() -> None:
    """Lists come out of spreadsheets and editors, with a byte order mark and carriage returns."""
    text = "\ufeff# works of May\r\nW1  \r\n\r\n  W2 # for Karma\nW1\n#W3\n"
    assert names_in_list(text.splitlines(keepends=True)) == ["W1", "W2"]


def test_a_comment_in_a_list_begins_the_line_or_follows_a_space() -> None:
    """A mistyped RID was cut to another work's, and Glacier was asked, and paid, for that one."""
    assert names_in_list(["W1NLM47#99\n", "#W1\n", "s3://b/scan #2/W2.bag.zip", "W3\t# for Karma # and Dawa"]) == [
        "W1NLM47#99",
        "s3://b/scan",
        "W3",
    ]
    with pytest.raises(RidError):
        parse_target("W1NLM47#99")


def test_a_work_is_named_by_its_rid_or_by_its_objects_address() -> None:
    """Not every object is where the layout has it."""
    assert parse_target("W1") == Target("W1")
    key = "ao1060/two words, x/W1FPL2251.bag.zip"
    assert parse_target(f"s3://a.bucket/{key}") == Target("W1FPL2251", "a.bucket", key)
    for wrong in ("s3://a.bucket", "s3:///W1.zip", "s3://a.bucket/W1.tar", "a/b", "../W1", "s3://b/..zip", "W1 W2"):
        with pytest.raises(RidError):
            parse_target(wrong)


def test_each_state_has_a_sentence_of_its_own() -> None:
    """Already asked, restored and not in Glacier are no errors, and are not the same."""
    until = storage_of(GLACIER | THERE)
    told = {
        state: RestoreStatus("W1", state=state, storage=until, requested=NOW - DAY, synced=NOW).sentence()
        for state in RestoreState
    }
    assert len(set(told.values())) == len(RestoreState)
    assert told[RestoreState.UNDER_WAY] == "already asked on 2026-11-20 12:00 UTC; Glacier is at it"
    assert told[RestoreState.RESTORED] == "restored until 2026-12-04 00:00 UTC"
    assert "in GLACIER: it can be read as it is" in told[RestoreState.NOT_IN_GLACIER]
    assert told[RestoreState.SYNCED].startswith("in the archive since 2026-11-21 12:00 UTC")
    assert (
        RestoreStatus("W1", state=RestoreState.RESTORED, storage=ObjectStorage("GLACIER", restored=True)).sentence()
        == "restored"
    )
    assert RestoreStatus("W1", state=RestoreState.UNDER_WAY).sentence() == "already asked; Glacier is at it"
