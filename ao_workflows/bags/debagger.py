"""The debagger as a site sets it: the limits of a zip, its time zone, and which works are accepted.

What belongs here: the settings, and calling ``ao_workflows.bags.debagging`` with them. What does not: anything about
bags.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from ao_workflows.bags.admission import Terms, Unproven
from ao_workflows.bags.debagging import DebaggedZip, debag
from ao_workflows.bags.zip_directory import ZipLimits
from ao_workflows.works.parts import Part


class Debagger(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Debags zips by a site's settings.

    A zip may have at most ``max_members`` and ``max_bytes`` unpacked bytes, and these may be ``max_ratio`` times the
    zip's own. ``control_characters`` says whether names may have some. Reading the zip may take ``memory_mib`` MiB of
    memory. ``time_zone`` is None for the machine's own. ``unproven`` says what happens to works without a manifest;
    ``batches`` names the intakes whose zips may contain several works without the one that the zip is named after.
    """

    max_members: int
    max_bytes: int
    max_ratio: int
    control_characters: bool
    memory_mib: int
    time_zone: str | None
    unproven: Unproven
    batches: list[str]

    def terms(self, part: Part, intake: str | None, *, inverted: bool = False) -> Terms:
        """Returns what is accepted from a zip.

        :param part: what the zip was delivered as.
        :param intake: the present name of the intake that it came by.
        :param inverted: whether the archive has the work's image groups inverted.
        """
        return Terms(part.rid, intake in self.batches, self.unproven, part.name, inverted)

    def debag(
        self, zip_path: Path, into: Path, terms: Terms, under_way: Path, progress: Callable[[int, int], None]
    ) -> DebaggedZip:
        """Calls ``ao_workflows.bags.debagging.debag``, and raises what that raises."""
        return debag(
            zip_path,
            into,
            terms=terms,
            under_way=under_way,
            limits=ZipLimits(
                self.max_members, self.max_bytes, self.max_ratio, self.control_characters, self.memory_mib
            ),
            time_zone=ZoneInfo(self.time_zone) if self.time_zone else None,
            progress=progress,
        )
