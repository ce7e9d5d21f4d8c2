"""The section ``[restore]`` of site.toml: what Glacier's retrievals cost at this site.

What belongs here: the setting. What does not: the sums (``ao_workflows.glacier.prices``).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

StorageClass = Annotated[str, Field(pattern=r"^(GLACIER|DEEP_ARCHIVE|INTELLIGENT_TIERING)$")]
TierName = Annotated[str, Field(pattern=r"^(Bulk|Standard|Expedited)$")]


class TierPrice(BaseModel):
    """``requests`` is the price of 1,000 requests, ``gb`` that of one GB that is retrieved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    gb: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RestoreSection(BaseModel):
    """The prices of retrievals, by storage class and tier, and the currency that they are in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: str | None = None
    prices: dict[StorageClass, dict[TierName, TierPrice]] = {}
