"""The section ``[restore]`` of site.toml: what Glacier's retrievals cost at this site.

What belongs here: the setting. What does not: the sums (``ao_workflows.glacier.prices``).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ao_workflows.site.field_rules import Section

StorageClass = Annotated[str, Field(pattern=r"^(GLACIER|DEEP_ARCHIVE|INTELLIGENT_TIERING)$")]
TierName = Annotated[str, Field(pattern=r"^(Bulk|Standard|Expedited)$")]


class TierPrice(Section):
    """``requests`` is the price of 1,000 requests, ``gb`` that of one GB that is retrieved."""

    requests: Annotated[float, Field(ge=0)]
    gb: Annotated[float, Field(ge=0)]


class RestoreSection(Section):
    """The prices of retrievals, by storage class and tier, and the currency that they are in."""

    currency: str | None = None
    prices: dict[StorageClass, dict[TierName, TierPrice]] = Field(default_factory=dict)
