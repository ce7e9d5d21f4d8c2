"""What a request costs by the site's prices, and what is said where there are none."""

from __future__ import annotations

import pytest

from ao_workflows.aws.objects import ObjectStorage
from ao_workflows.glacier.prices import GB, cost, cost_lines, in_gb, in_money
from ao_workflows.glacier.rules import RestoreStatus, Tier
from ao_workflows.site.restore_prices import TierPrice

PRICES = {
    "DEEP_ARCHIVE": {"Bulk": TierPrice(requests=0.025, gb=0.0025), "Standard": TierPrice(requests=0.10, gb=0.02)},
    "GLACIER": {"Bulk": TierPrice(requests=0, gb=0), "Expedited": TierPrice(requests=10, gb=0.03)},
}


def parts(count: int, storage: str = "DEEP_ARCHIVE", size: int = 10 * GB) -> list[RestoreStatus]:
    return [RestoreStatus("W1", "W1", storage=ObjectStorage(storage), size=size) for _ in range(count)]


def test_requests_and_what_is_retrieved_are_both_paid_for() -> None:
    """A thousand small groups cost more in requests than in GB."""
    assert cost(parts(1000), Tier.STANDARD, PRICES) == pytest.approx(0.10 + 200)
    assert cost(parts(1) + parts(1, "GLACIER"), Tier.BULK, PRICES) == pytest.approx(0.000025 + 0.025)
    assert cost([], Tier.BULK, PRICES) == 0


def test_no_sum_is_made_up_where_a_price_is_missing_or_a_tier_is() -> None:
    """A sum that leaves something out is worse than none."""
    assert cost(parts(1) + parts(1, "GLACIER"), Tier.STANDARD, PRICES) == "no price for GLACIER in site.toml"
    assert cost(parts(1), Tier.EXPEDITED, PRICES) == "not for what is in DEEP_ARCHIVE"
    assert cost_lines(parts(1), Tier.BULK, {}, "USD") == [
        "What it costs is not known: site.toml has no [restore] prices"
    ]


def test_each_tier_is_shown_and_the_one_that_is_meant() -> None:
    """A person chooses by it."""
    assert cost_lines(parts(4), Tier.BULK, PRICES, "USD") == [
        "* Bulk      0.10 USD",
        "  Standard  0.80 USD",
        "  Expedited not for what is in DEEP_ARCHIVE",
    ]


def test_small_sums_and_sizes_are_shown_as_such() -> None:
    """A sum of 0.00 looks like a gift."""
    assert [in_money(amount) for amount in (0, 0.004, 0.5, 1234.5)] == ["0.00", "less than 0.01", "0.50", "1,234.50"]
    assert [in_gb(size) for size in (0, 999, 2716, 3 * GB, 2000 * GB, 5000 * 1024 * GB)] == [
        "0 B", "999 B", "2.7 KB", "3.0 GB", "2.0 TB", "5,000.0 TB"
    ]  # fmt: skip
