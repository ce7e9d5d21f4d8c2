"""The pace of a download: how many bytes a second, when a slow read is given up, how long until the next try.

What belongs here: the most and the least bytes a second, the waits between attempts, and the defaults. What does not:
what is attempted (``ao_workflows.download.transfer``), and the connection (``ao_workflows.aws.connections``).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

STALL_SECONDS = 60
"""A connection that brings nothing for so long is given up, unless the site says otherwise."""

LEAST_KILOBYTES_PER_SECOND = 20.0
"""A download that brings less is tried again, unless the site says otherwise."""


@dataclass(frozen=True)
class Pace:
    """A site's settings for the pace of one download.

    ``megabytes_per_second`` limits it. It ends after so many ``tries`` in a row that brought no byte. The wait before
    the second of them is at most ``backoff_seconds``; it doubles each time, up to ``longest_backoff_seconds``. What
    brings less than ``least_kilobytes_per_second`` for ``slow_seconds`` is given up and tried again.
    """

    megabytes_per_second: float | None = None
    tries: int = 6
    backoff_seconds: float = 1.0
    longest_backoff_seconds: float = 60.0
    least_kilobytes_per_second: float = 0.0
    slow_seconds: float = STALL_SECONDS

    def pause(self, tries: int) -> float:
        """Returns the seconds to wait after so many tries; they are partly random, so that no two threads wait the
        same.
        """
        longest = min(self.longest_backoff_seconds, self.backoff_seconds * 2 ** (tries - 1))
        return random.uniform(longest / 2, longest)  # noqa: S311 - nobody gains by guessing it


class RateLimit:
    """A limit of bytes a second, over all threads."""

    def __init__(self, megabytes_per_second: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate = megabytes_per_second * 1e6 if megabytes_per_second else None
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, amount: int, stop: threading.Event) -> None:
        """Waits until ``amount`` more bytes are within the limit, or the transfer ends."""
        if self._rate is None:
            return
        with self._lock:
            now = self._clock()
            self._free_at = max(now, self._free_at) + amount / self._rate
            wait = self._free_at - now
        stop.wait(wait)


class LeastRate:
    """The fewest bytes a second that all threads together must bring.

    A connection that brings a byte a minute never stalls. It is given up once there are no others to make up for it.
    """

    def __init__(self, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        limit = pace.megabytes_per_second
        least = pace.least_kilobytes_per_second * 1e3
        self._rate = min(least, limit * 1e6 / 2) if limit else least
        self._seconds = pace.slow_seconds
        self._clock = clock
        self._since, self._had = clock(), 0

    def too_slow(self, fetched: int, *, waiting: bool) -> bool:
        """Whether too little has come for too long; to be called each second or so.

        :param fetched: the bytes that have come in all.
        :param waiting: whether a thread waits for the network just now; if none does, nothing is too slow.
        """
        now = self._clock()
        seconds, had = now - self._since, self._had
        if waiting and seconds < self._seconds:
            return False
        self._since, self._had = now, fetched
        return waiting and fetched - had < self._rate * seconds
