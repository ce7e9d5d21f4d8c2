"""What a request of Glacier costs, by the prices that the site names. AWS's differ by region and year: none are here.

What belongs here: the sum, and the lines that say it. What does not: the setting
(``ao_workflows.site.restore_prices``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ao_workflows.glacier.rules import RestoreStatus, Tier, tier_refusal
from ao_workflows.site.restore_prices import TierPrice

GB = 2**30
"""What S3 bills as a GB, in bytes."""

REQUESTS = 1000
"""So many requests are billed at a time."""


Prices = Mapping[str, Mapping[str, TierPrice]]
"""By the storage class, such as ``DEEP_ARCHIVE``, then by the tier."""


def cost(parts: Iterable[RestoreStatus], tier: Tier, prices: Prices) -> float | str:
    """Returns what it costs to ask for some objects by a tier, or in words why that is not known.

    It is what S3 takes for the requests and for what is retrieved, not for keeping the copies. What lies in no archive
    needs neither.
    """
    total = 0.0
    for part in parts:
        if part.storage is None or not part.storage.archived:
            continue
        if tier_refusal(part.storage, tier):
            return f"not for what is in {part.storage}"
        price = prices.get(part.storage.storage_class, {}).get(tier.value)
        if price is None:
            return f"no price for {part.storage.storage_class} in site.toml"
        total += price.requests / REQUESTS + price.gb * (part.size or 0) / GB
    return total


def cost_lines(parts: Sequence[RestoreStatus], tier: Tier, prices: Prices, currency: str) -> list[str]:
    """Returns what some objects cost by each tier, one a line, with the tier that is meant marked."""
    if not prices:
        return ["What it costs is not known: site.toml has no [restore] prices"]
    lines = []
    for each in Tier:
        found = cost(parts, each, prices)
        said = found if isinstance(found, str) else f"{in_money(found)}{currency and f' {currency}'}"
        lines.append(f"{'*' if each is tier else ' '} {each.value:<10}{said}")
    return lines


def in_money(amount: float) -> str:
    """Returns an amount with two decimals; a smaller one is not nothing."""
    return "less than 0.01" if 0 < amount < 0.01 else f"{amount:,.2f}"  # noqa: PLR2004


def in_gb(size: int) -> str:
    """Returns a size in bytes as people read it, in the GB that S3 bills."""
    units = ["B", "KB", "MB", "GB", "TB"]
    amount = float(size)
    while amount >= 1000 and len(units) > 1:  # noqa: PLR2004
        amount /= 1024
        units.pop(0)
    return f"{amount:,.0f} {units[0]}" if units[0] == "B" else f"{amount:,.1f} {units[0]}"
