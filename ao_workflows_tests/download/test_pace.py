"""The pace of a download: its limit, and its patience."""

from __future__ import annotations

import threading

import pytest

from ao_workflows.download.pace import Pace, RateLimit


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
