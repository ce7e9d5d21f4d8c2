"""The pace of a download: at most how many bytes a second, and how long to wait between two tries.

What belongs here: the limit of bytes a second, and the waits between tries. What does not: what is tried
(``ao_workflows.download.transfer``).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """The site's wishes: a limit of ``megabytes_per_second`` for one download, how many ``tries`` in a row without a
    byte end it, and the longest wait before the second of them, which doubles with each one.
    """

    megabytes_per_second: float | None = None
    tries: int = 6
    backoff_seconds: float = 1.0
    longest_backoff_seconds: float = 60.0

    def pause(self, tries: int) -> float:
        """The seconds to wait after so many tries: they double, and no two threads wait the same."""
        longest = min(self.longest_backoff_seconds, self.backoff_seconds * 2 ** (tries - 1))
        return random.uniform(longest / 2, longest)  # noqa: S311 - nobody gains by guessing it


class Limit:
    """A limit of bytes a second, over all threads."""

    def __init__(self, megabytes_per_second: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate = megabytes_per_second * 1e6 if megabytes_per_second else None
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, amount: int, stop: threading.Event) -> None:
        """Waits until ``amount`` bytes more are within the limit, or the transfer ends."""
        if self._rate is None:
            return
        with self._lock:
            now = self._clock()
            self._free_at = max(now, self._free_at) + amount / self._rate
            wait = self._free_at - now
        stop.wait(wait)
