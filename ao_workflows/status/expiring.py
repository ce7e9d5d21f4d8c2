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
    """A work whose restored copy is still needed, because it has not been downloaded yet.

    ``until`` is when Glacier removes the copy, according to the restore event; None if the event has no time that can
    be read.
    """

    rid: str
    intake: str
    event: ObjectEvent
    until: datetime | None

    def ends_before(self, moment: datetime) -> bool:
        """Whether the copy may be gone before ``moment``; True if its end is not known."""
        return self.until is None or self.until < moment


def undownloaded(works: Iterable[tuple[Evidence, Standing]]) -> list[Undownloaded]:
    """Returns the works, of those given, that were restored by Glacier and have not been downloaded since."""
    found = []
    for evidence, standing in works:
        in_force = event_in_force(evidence)
        # A work that is on the scratch disk or in the archive does not need Glacier's copy any more.
        if in_force is None or Stage.DOWNLOADED_BAG in standing.done or standing.state is WorkState.IN_ARCHIVE:
            continue
        intake, event = in_force
        if isinstance(event, DroppedFile):
            continue  # A dropped file does not expire.
        found.append(Undownloaded(evidence.rid, intake, event, moment(event.restore_expires)))
    return found


def end_in_words(until: datetime, now: datetime) -> str:
    """Returns a phrase that says when a copy ends or has ended, such as "ends on 2026-11-28 06:00 UTC, in 5 h"."""
    left = until - now
    if left <= timedelta():
        return f"ended on {until:%Y-%m-%d %H:%M} UTC"
    return f"ends on {until:%Y-%m-%d %H:%M} UTC, in {left // timedelta(hours=1)} h"
