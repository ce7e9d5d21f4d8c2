"""Times that come from outside: a text, a number or a header, made into a moment in UTC, or into nothing.

What belongs here: the only places where such a time is read. What does not: what a moment means to its reader.

An event, an object's head, a database and a file's own time may hold any year. Some are on no calendar once they are
brought to UTC (``9999-12-31T23:59:59-23:59``); Python raises errors of several kinds for them, at the reading or much
later, where a day is added. So nothing is a moment here but what has a year and more to the calendar's ends.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_YEAR, LAST_YEAR = 2, 9998
"""The years of a moment: a time zone and the longest limit that a site may set lead from them to no calendar's end."""

LONG_AGO = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
"""Before every moment: what stands for a time that is none, where times are put into their order."""

_ERRORS = (ValueError, TypeError, OverflowError, OSError, IndexError)


def moment(said: object) -> datetime | None:
    """The moment that a text of RFC 3339 (ISO 8601), or a driver's own value, tells, in UTC; None where it tells none.

    A time without a zone is in UTC, as those in the archive's database are.
    """
    try:
        if isinstance(said, str):
            said = datetime.fromisoformat(said)
        return _usable(said) if isinstance(said, datetime) else None
    except _ERRORS:
        return None


def moment_with_zone(said: object) -> datetime | None:
    """The same, where the text has a time zone; None where it has none."""
    try:
        return moment(said) if isinstance(said, str) and datetime.fromisoformat(said).tzinfo else None
    except _ERRORS:
        return None


def moment_of_seconds(seconds: float) -> datetime | None:
    """The moment so many seconds after 1970 began, as files and queues have it; None where no calendar has it."""
    try:
        return _usable(datetime.fromtimestamp(seconds, UTC))
    except _ERRORS:
        return None


def moment_of_header(said: str) -> datetime | None:
    """The moment that an HTTP header tells (RFC 9110, 5.6.7), or None where it tells none."""
    try:
        return _usable(parsedate_to_datetime(said))
    except _ERRORS:
        return None


def in_order(said: object) -> datetime:
    """The moment that a text tells; where it tells none, one before all others."""
    return moment(said) or LONG_AGO


def _usable(at: datetime) -> datetime | None:
    # The year is looked at first: bringing the calendar's last hours to UTC is what fails.
    if not FIRST_YEAR - 1 < at.year < LAST_YEAR + 1:
        return None
    found = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return found if FIRST_YEAR <= found.year <= LAST_YEAR else None
