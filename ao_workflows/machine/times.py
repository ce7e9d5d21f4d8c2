"""Times that come from outside, as a text, a number or a header, turned into a moment in UTC.

What belongs here: the only functions that read such a time. What does not: what a moment means to its reader.

An event, an object's head, a database and a file's own time may have any year. Some, once they are brought to UTC, are
on no calendar (``9999-12-31T23:59:59-23:59``). Python then raises errors of several kinds, at once or much later, when
a day is added. So a moment here is at least a year away from both ends of the calendar.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_YEAR, LAST_YEAR = 2, 9998
"""The first and the last year that a moment may have. With a time zone, or with the longest limit that a site may set,
they still stay inside the calendar.
"""

LONG_AGO = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
"""A time before every moment: it replaces a value that is not a time, where times are sorted."""

_ERRORS = (ValueError, TypeError, OverflowError, OSError, IndexError)


def moment(value: object) -> datetime | None:
    """Returns the moment in UTC that a text of RFC 3339 (ISO 8601), or a database driver's own value, means; else None.

    A time without a zone is taken as UTC, as those in the archive's database are.
    """
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        return _usable(value) if isinstance(value, datetime) else None
    except _ERRORS:
        return None


def moment_with_zone(value: object) -> datetime | None:
    """Returns the moment that a text with a time zone means; None if it has no zone or is not a time."""
    try:
        return moment(value) if isinstance(value, str) and datetime.fromisoformat(value).tzinfo else None
    except _ERRORS:
        return None


def moment_of_seconds(seconds: float) -> datetime | None:
    """Returns the moment that is so many seconds after 1970 began, as files and queues count; None if no calendar has
    it.
    """
    try:
        return _usable(datetime.fromtimestamp(seconds, UTC))
    except _ERRORS:
        return None


def moment_of_header(value: str) -> datetime | None:
    """Returns the moment that an HTTP header means (RFC 9110, 5.6.7); None if it is not a time."""
    try:
        return _usable(parsedate_to_datetime(value))
    except _ERRORS:
        return None


def in_order(value: object) -> datetime:
    """Returns the moment that a text means, for sorting; a text that is not a time comes before all others."""
    return moment(value) or LONG_AGO


def _usable(at: datetime) -> datetime | None:
    # The year is checked first: converting the first or last hours of the calendar to UTC raises an error.
    if not FIRST_YEAR - 1 < at.year < LAST_YEAR + 1:
        return None
    found = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return found if FIRST_YEAR <= found.year <= LAST_YEAR else None
