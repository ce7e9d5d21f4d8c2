"""The states of partitions, noted in the storage, so that a page which may only read shows them at once.

What belongs here: the noting. What does not: who may write (``storage_reader``), and when it is done
(``ao_workflows.defs.nightly.housekeeping``).

Dagster works out from all events of an asset which of its partitions are done, and notes the result for the next page.
With 100,000 works this takes many seconds, and from the note a fraction of that. It does so by a function that is not
public. If that changes, the night's housekeeping fails.
"""

from __future__ import annotations

from collections.abc import Iterable

from dagster import AssetKey, DagsterInstance, PartitionsDefinition
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value


def note_partition_states(
    instance: DagsterInstance, assets: Iterable[AssetKey], partitions: PartitionsDefinition[str]
) -> None:
    """Notes in the storage which partitions of each asset are done, failed or under way."""
    for asset in assets:
        get_and_update_asset_status_cache_value(instance, asset, partitions)
