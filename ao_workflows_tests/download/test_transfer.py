"""The transfer: an object's missing parts fetched in parallel, whatever the line and the server do."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from ao_workflows.download import transfer
from ao_workflows.download.in_order_digest import ROUNDS_AHEAD, InOrderDigest
from ao_workflows.errors import ServiceError
from ao_workflows_tests.support.download_side import CONTENT, MIB, PARALLEL, Side, only, raise_at
from ao_workflows_tests.support.s3_server import Asked, Fault, held

pytestmark = pytest.mark.usefixtures("_without_aws_variables")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(after=300_000, reset=True),
        Fault(after=300_000, cut=True),
        Fault(after=0, cut=True),
        Fault(status=500, code="InternalError"),
        Fault(status=503, code="SlowDown"),
    ],
    ids=["reset", "cut", "empty", "500", "503"],
)
def test_what_a_line_or_a_server_drops_is_fetched_again(side: Side, fault: Fault) -> None:
    """Every third answer fails: with hundreds of GB, each of these is met every night."""
    side.server.fault = lambda asked: fault if asked.number % 3 == 1 else None
    side.bring()
    assert side.holds(CONTENT)


def test_a_part_that_was_cut_short_goes_on_from_where_it_ended(side: Side) -> None:
    """A link that drops every minute would never bring a large part, were each begun anew."""
    side.server.fault = only(1, Fault(after=600_000, cut=True))
    done = side.bring()
    assert side.holds(CONTENT)
    assert done.brought.retries == 1
    assert side.server.served == len(CONTENT)


def test_a_burst_of_slow_down_that_outlasts_boto_s_retries_is_waited_out(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 gives up after a few; S3's bursts last longer than that."""
    monkeypatch.setattr("ao_workflows.aws.connections.ATTEMPTS", 1)
    side.server.fault = lambda asked: Fault(status=503, code="SlowDown") if asked.number <= 3 * PARALLEL else None
    done = side.bring()
    assert side.holds(CONTENT)
    assert done.brought.retries == 3 * PARALLEL


def test_a_connection_that_stalls_is_given_up_and_made_anew(side: Side) -> None:
    """Without a time-out a run would hang for days on a connection that nobody serves any more."""
    side.server.fault = lambda asked: Fault(after=500_000, stall=True) if asked.number in {1, 2} else None
    done = side.bring(stall_seconds=0.5)
    assert side.holds(CONTENT)
    assert done.brought.retries >= 1


def test_a_connection_that_drips_is_given_up_and_made_anew(side: Side) -> None:
    """A byte each minute is no stall: the run had its work, its room and its place in the queue for years."""
    side.server.fault = lambda asked: Fault(after=500_000, drip=0.05) if asked.number in {1, 2} else None
    done = side.bring(stall_seconds=1, least_kilobytes_per_second=10)
    assert side.holds(CONTENT)
    assert done.brought.retries >= 2


def test_a_server_that_only_drips_is_told_with_the_setting(side: Side) -> None:
    """Who reads it must know that a rate was asked for, and where."""
    side.server.fault = lambda asked: Fault(drip=0.05)
    with pytest.raises(ServiceError, match=r"less than 10 kB/s came for 0.5 s.*least_kilobytes_per_second") as raised:
        side.bring(stall_seconds=0.5, least_kilobytes_per_second=10)
    assert raised.value.transient


def test_a_trickle_that_brings_a_little_each_time_is_given_up_and_what_came_is_kept(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try brought something, so that it counted as the first: 100 GB at a fifth of the least rate took a year."""
    monkeypatch.setattr(transfer, "SLOW_BLOCK", 1)
    monkeypatch.setattr(transfer, "BLOCK", 1)
    tries: list[int] = []

    def drip(asked: Asked) -> Fault:
        tries.append(asked.number)
        assert len(tries) < 12 * PARALLEL, "it never gives up"
        return Fault(drip=0.02)

    side.server.fault = drip
    with pytest.raises(ServiceError, match="least_kilobytes_per_second") as raised:
        side.bring(stall_seconds=0.3, least_kilobytes_per_second=10)
    assert raised.value.transient
    monkeypatch.undo()
    side.server.clear()
    side.bring(stall_seconds=60)
    assert side.holds(CONTENT)


def test_a_server_that_stays_down_is_told_and_what_came_is_kept(side: Side) -> None:
    """A whole night's download is not to be lost for an hour's outage."""
    side.server.fault = lambda asked: Fault(after=0, cut=True) if asked.number > 4 else None
    with pytest.raises(ServiceError, match=r"downloading failed at s3://b/W1\.zip") as raised:
        side.bring()
    assert raised.value.transient
    assert not side.places.final.exists()
    side.server.clear()
    done = side.bring()
    assert side.holds(CONTENT)
    assert done.brought.resumed == 4 * MIB
    assert side.server.served == len(CONTENT) - 4 * MIB


def test_no_part_is_far_ahead_of_a_digest_of_all_bytes_in_order(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast network would take the processor from the digest, and what it reads from the page cache."""
    beyond, waited = threading.Event(), []
    digest = InOrderDigest.run

    def digest_late(in_order: InOrderDigest, handle: int) -> None:
        waited.append(beyond.wait(0.5))
        digest(in_order, handle)

    def note(asked: Asked) -> None:
        if asked.number > ROUNDS_AHEAD + 1:
            beyond.set()

    side.server.fault = note
    monkeypatch.setattr(InOrderDigest, "run", digest_late)
    side.bring(parallel=1)
    assert waited == [False]
    assert side.holds(CONTENT)


def test_a_server_that_knows_no_ranges_brings_the_whole_in_one_piece(side: Side) -> None:
    """Some proxies strip the header: eight copies of the first part would be the file."""
    side.server.fault = lambda _asked: Fault(range_ignored=True)
    side.bring()
    assert side.holds(CONTENT)


def test_a_server_that_knows_no_ranges_and_drops_is_begun_again(side: Side) -> None:
    """What was whole by then need not be written, but must be read past."""

    def fault(asked: Asked) -> Fault:
        drop = side.server.served < 2 * len(CONTENT) and asked.number <= PARALLEL + 2
        return Fault(range_ignored=True, after=3 * MIB, cut=drop)

    side.server.fault = fault
    assert side.bring().brought.retries >= 1
    assert side.holds(CONTENT)


def test_a_cancelled_download_ends_its_threads_and_is_gone_on_with(side: Side) -> None:
    """A thread that wrote on would write into what the next run holds."""
    before = set(threading.enumerate())
    stalled = Fault(after=100, stall=True)
    side.server.fault = lambda asked: stalled if asked.number > 6 else None
    with pytest.raises(InterruptedError):
        side.bring(raise_at(5 * MIB))
    ours = [thread for thread in threading.enumerate() if thread not in before and "_guarded" in thread.name]
    assert ours == []
    side.server.clear()
    assert side.bring().brought.resumed >= MIB
    assert side.holds(CONTENT)


def test_the_object_as_a_whole_may_be_smaller_than_a_part(side: Side) -> None:
    """A small work is the usual one in a test, and its only range is the whole."""
    small = replace(held(CONTENT[:1000]))
    side.hold(small)
    side.server.fault = lambda _asked: Fault(range_ignored=True)
    side.bring()
    assert side.holds(CONTENT[:1000])
