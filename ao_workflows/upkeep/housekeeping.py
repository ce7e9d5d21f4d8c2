"""Rules for housekeeping: which logs and records are old enough to be removed.

What belongs here: the rules, as functions of plain values, and the word by which the run launcher knows the run. What
does not: removing files (``old_logs``), rows (``ao_workflows.instance.old_records``) and containers
(``ao_workflows.instance.pruning``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

JOB = "housekeeping"
"""The job's name: the run launcher, which alone reaches the engine, prunes when it launches a run of it."""

_DAY = timedelta(days=1)
_OVERLAP = timedelta(seconds=1)


def cutoff(now: datetime, keep_days: int, under_way: Sequence[datetime]) -> datetime:
    """Returns the moment before which logs must have been written last to be removed.

    No run under way may lose a log, and which logs are whose is not always known. So nothing is removed that is younger
    than the oldest of those runs.

    :param under_way: when the runs began that are under way.
    """
    return min([now - timedelta(days=keep_days), *under_way])


def slices(done_until: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Divides the time from ``done_until`` to ``until`` into days, so that an interrupted night need not begin again.

    The slices overlap by a second: a run that ended at a border is in two of them, never in none.
    """
    while done_until < until:
        end = min(done_until + _DAY, until)
        yield done_until - _OVERLAP, end
        done_until = end
