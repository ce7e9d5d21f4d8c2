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


def before(now: datetime, keep_days: int, under_way: Sequence[datetime]) -> datetime:
    """Logs that were last written before this moment may go.

    No run under way may lose one, and which logs are whose is not always known: so nothing goes that is younger than
    the oldest of those runs, whose beginnings are ``under_way``.
    """
    return min([now - timedelta(days=keep_days), *under_way])


def slices(done_until: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The time from ``done_until`` to ``until``, day by day, so that an interrupted night is not begun anew.

    The slices overlap by a second: a run that ended right at a border is in two of them, never in none.
    """
    while done_until < until:
        end = min(done_until + _DAY, until)
        yield done_until - _OVERLAP, end
        done_until = end
