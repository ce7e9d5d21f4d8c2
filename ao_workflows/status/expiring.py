"""Restored copies that end before they were downloaded: Glacier keeps one for some days, and is paid again for another.

What belongs here: which works have such a copy, and when its end is near. What does not: asking S3
(``ao_workflows.aws.s3``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ao_workflows.events.dropped_files import DroppedFile
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.machine.times import moment
from ao_workflows.status.evidence import Evidence, event_in_force
from ao_workflows.status.standing import Standing
from ao_workflows.status.state import WorkState
from ao_workflows.works.stages import Stage


@dataclass(frozen=True)
class Undownloaded:
    """A work whose restored copy is still needed; ``until`` is its end by its event, None where that says none that a
    calendar has.
    """

    rid: str
    intake: str
    event: ObjectEvent
    until: datetime | None

    def ends_before(self, moment: datetime) -> bool:
        """Whether the copy may end before then, for all that the event says."""
        return self.until is None or self.until < moment


def undownloaded(works: Iterable[tuple[Evidence, Standing]]) -> list[Undownloaded]:
    """The works among these that have been restored, and not been downloaded since."""
    found = []
    for evidence, standing in works:
        in_force = event_in_force(evidence)
        # Glacier's copy is of no use any more to what is on the scratch disk or in the archive.
        if in_force is None or Stage.DOWNLOADED_BAG in standing.done or standing.state is WorkState.IN_ARCHIVE:
            continue
        intake, event = in_force
        if isinstance(event, DroppedFile):
            continue  # A folder's file does not end.
        found.append(Undownloaded(evidence.rid, intake, event, moment(event.restore_expires)))
    return found


def end_in_words(until: datetime, now: datetime) -> str:
    """When a copy ends, or has ended."""
    left = until - now
    if left <= timedelta():
        return f"ended on {until:%Y-%m-%d %H:%M} UTC"
    return f"ends on {until:%Y-%m-%d %H:%M} UTC, in {left // timedelta(hours=1)} h"
