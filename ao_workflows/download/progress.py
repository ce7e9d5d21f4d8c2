"""How far a download is: reported in the run's log, and kept in a file that others read.

What belongs here: the figures, the moments at which they are reported, the file. What does not: a work's progress
through its stages, which is in the database (``ao_workflows.drs.rows``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ao_workflows.errors import StagingFull
from ao_workflows.machine.files import now, write_whole
from ao_workflows.machine.times import moment_with_zone

EVERY_SECONDS = 30.0


@dataclass(frozen=True)
class DownloadProgress:
    """A download under way: ``bytes`` of ``size`` are there; ``at`` is RFC 3339 in UTC.

    ``seconds_left`` is None while the rate is not known.
    """

    rid: str
    bytes: int
    size: int
    megabytes_per_second: float
    seconds_left: int | None
    run_id: str
    at: str

    @property
    def percent(self) -> float:
        """How much of the download is there, in percent."""
        return 100 * self.bytes / self.size if self.size else 100.0

    def line(self) -> str:
        """The figures as one line of the log."""
        left = "unknown time" if self.seconds_left is None else duration(self.seconds_left)
        return (
            f"{self.rid}: {self.bytes:,} of {self.size:,} bytes, {self.percent:.0f} %, "
            f"{self.megabytes_per_second:,.1f} MB/s, {left} left"
        )


class ProgressReporter:
    """Reports the progress of one download at each tenth and every 30 s: with ``say``, and in the file ``path``."""

    def __init__(
        self,
        rid: str,
        size: int,
        run_id: str,
        path: Path,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rid = rid
        self._size = size
        self._run_id = run_id
        self._path = path
        self._say = say
        self._clock = clock
        self._began_at = clock()
        self._began_with: int | None = None
        self._told_at = self._began_at
        self._told_tenth = -1

    def __call__(self, there: int) -> None:
        """Takes the number of bytes that are there; those of the first call do not count for the rate."""
        moment = self._clock()
        if self._began_with is None:
            self._began_with, self._began_at = there, moment
        tenth = there * 10 // self._size if self._size else 10
        if tenth == self._told_tenth and moment - self._told_at < EVERY_SECONDS:
            return
        self._told_tenth, self._told_at = tenth, moment
        seconds = moment - self._began_at
        rate = (there - self._began_with) / seconds if seconds > 0 else 0.0
        left = round((self._size - there) / rate) if rate > 0 else None
        progress = DownloadProgress(self._rid, there, self._size, round(rate / 1e6, 1), left, self._run_id, now())
        self._say(progress.line())
        # The download has its room already: it does not fail for want of room for a figure.
        with suppress(StagingFull):
            write_whole(self._path, json.dumps(asdict(progress), indent=1))

    def __enter__(self) -> ProgressReporter:
        return self

    def __exit__(self, *_: object) -> None:
        """The download has ended, well or not: there is no progress to read any more."""
        self._path.unlink(missing_ok=True)


def read_progress(path: Path) -> DownloadProgress | None:
    """Returns the progress in the file; None if no download is under way. A killed download leaves its last figures
    there.

    :raises OSError: if the file cannot be read.
    """
    try:
        found = DownloadProgress(**json.loads(path.read_text(encoding="utf-8")))
        left = 0 if found.seconds_left is None else found.seconds_left
        figures = (found.bytes, found.size, found.megabytes_per_second, left)
        whole = all(isinstance(figure, int | float) for figure in figures) and moment_with_zone(found.at)
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
    return found if whole else None


def duration(seconds: int) -> str:
    """Returns a number of seconds in words."""
    hours, rest = divmod(seconds, 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{rest // 60} min {rest % 60:02d} s"
