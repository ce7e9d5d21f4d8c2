"""What is old enough to go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from ao_workflows.upkeep import housekeeping

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_nothing_younger_than_the_oldest_run_under_way_is_old() -> None:
    """Which logs are whose is not always known."""
    month = NOW - timedelta(days=30)
    assert housekeeping.cutoff(NOW, 30, []) == month
    assert housekeeping.cutoff(NOW, 30, [NOW]) == month
    older = NOW - timedelta(days=50)
    assert housekeeping.cutoff(NOW, 30, [NOW, older]) == older


def test_the_time_is_gone_through_day_by_day_without_a_gap() -> None:
    """A night that is interrupted goes on where it was; a run that ends at midnight is in a slice."""
    found = list(housekeeping.slices(NOW - timedelta(days=2, hours=5), NOW))
    assert len(found) == 3
    assert found[-1][1] == NOW
    assert all(later[0] < earlier[1] for earlier, later in pairwise(found))
    assert list(housekeeping.slices(NOW, NOW)) == []
