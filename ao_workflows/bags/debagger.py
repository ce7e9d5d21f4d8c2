"""The debagger as a site sets it: how much a zip may hold and which names, its local times, which works are taken.

What belongs here: the settings, and calling ``ao_workflows.bags.debagging`` with them. What does not: anything about
bags.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from ao_workflows.bags.admission import Terms, Unproven
from ao_workflows.bags.debagging import Debagged, debag
from ao_workflows.bags.zip_directory import Limits


class Debagger(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Unpacks zips of at most ``max_members`` and ``max_bytes``, and ``max_ratio`` times what the zip has.

    ``control_characters`` is whether names may have some. ``time_zone`` is None for the machine's own. ``unproven``
    says what becomes of works without a manifest, and ``batches`` names the intakes whose zips may hold several works
    without the one that they are named after.
    """

    max_members: int
    max_bytes: int
    max_ratio: int
    control_characters: bool
    time_zone: str | None
    unproven: Unproven
    batches: list[str]

    def terms(self, rid: str, intake: str | None) -> Terms:
        """What a zip is taken on that came by ``intake``, by its name of today, for the work ``rid``."""
        return Terms(rid, intake in self.batches, self.unproven)

    def debag(
        self, zip_path: Path, into: Path, terms: Terms, under_way: Path, progress: Callable[[int, int], None]
    ) -> Debagged:
        """As ``domain.bags.debag``, which says what it raises."""
        return debag(
            zip_path,
            into,
            terms=terms,
            under_way=under_way,
            limits=Limits(self.max_members, self.max_bytes, self.max_ratio, self.control_characters),
            time_zone=ZoneInfo(self.time_zone) if self.time_zone else None,
            progress=progress,
        )
