"""The pace of a download: its limit, and its patience."""

from __future__ import annotations

import threading

import pytest

from ao_workflows.download.pace import LeastRate, Pace, RateLimit


class Waits(threading.Event):
    """An end that never comes, and notes for how long it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return False


def test_connections_share_the_limit() -> None:
    """An archive's line is everybody's: eight connections at the limit each would be eight times the limit."""
    limit, waits = RateLimit(10.0, clock=lambda: 100.0), Waits()
    for _ in range(3):
        limit.take(1_000_000, waits)
    assert waits.waits == pytest.approx([0.1, 0.2, 0.3])


def test_time_that_was_not_used_is_not_made_up_for() -> None:
    """After a stall of an hour, an hour's bytes at once would be no limit."""
    moments = iter([0.0, 3600.0, 3600.0])
    limit, waits = RateLimit(1.0, clock=lambda: next(moments)), Waits()
    limit.take(1_000_000, waits)
    limit.take(1_000_000, waits)
    assert waits.waits == pytest.approx([1.0, 2.0])


def test_without_a_limit_nothing_waits() -> None:
    """Most sites have none."""
    waits = Waits()
    RateLimit(None).take(1 << 30, waits)
    assert waits.waits == []


def test_pauses_double_and_have_an_end() -> None:
    """A server that is overloaded must not be asked by everybody at once, nor given up for a night."""
    pace = Pace(backoff_seconds=1.0, longest_backoff_seconds=20.0)
    for tries, longest in ((1, 1.0), (2, 2.0), (4, 8.0), (30, 20.0)):
        assert all(longest / 2 <= pace.pause(tries) <= longest for _ in range(20))


def slow_at(pace: Pace, *looks: tuple[float, int, bool]) -> list[bool]:
    """At each look, a second, the bytes that have come and whether one waits: whether it is too slow."""
    moments = iter([0.0, *(moment for moment, _, _ in looks)])
    least = LeastRate(pace, clock=lambda: next(moments))
    return [least.too_slow(fetched, waiting=waiting) for _, fetched, waiting in looks]


def test_too_little_for_too_long_is_too_slow_and_counts_anew() -> None:
    """A connection that brings a byte a minute never stalls."""
    pace = Pace(least_kilobytes_per_second=10, slow_seconds=60)
    assert slow_at(pace, (30, 0, True), (60, 599_000, True), (90, 599_000, True)) == [False, True, False]
    assert slow_at(pace, (60, 601_000, True), (119, 601_000, True), (120, 601_001, True)) == [False, False, True]


def test_nothing_is_too_slow_while_nobody_waits_for_the_network() -> None:
    """A slow disk, a digest that is behind or the site's own limit is no fault of the server's."""
    pace = Pace(least_kilobytes_per_second=10, slow_seconds=60)
    assert slow_at(pace, (59, 0, False), (61, 0, True), (118, 0, True)) == [False, False, False]


def test_the_least_is_below_the_limit_and_may_be_nothing() -> None:
    """A site that limits itself to little must not take its own limit for a server's fault."""
    assert slow_at(Pace(0.01, least_kilobytes_per_second=100, slow_seconds=60), (60, 400_000, True)) == [False]
    assert slow_at(Pace(slow_seconds=60), (60, 0, True)) == [False]
