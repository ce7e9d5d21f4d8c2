"""The digest of a file's bytes in order, while its parts come in any order.

What belongs here: following the finished front of the file, and how far the parts may be ahead. What does not: fetching
the parts (``ao_workflows.download.transfer``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Container
from pathlib import Path

from ao_workflows.download.plan import TransferPlan
from ao_workflows.download.source import BLOCK
from ao_workflows.errors import StagingError
from ao_workflows.fixity.digests import PieceDigests

ROUNDS_AHEAD = 2
"""How far the parts may be ahead of a digest that takes all bytes in order, in rounds of all threads: what it reads is
in the page cache still, and where the network is faster than the digest, the digest gets a core of its own.
"""


class Stopped(Exception):
    """The transfer has ended, well or not."""


class InOrderDigest:
    """The digests of the proof's pieces, read from the file ``part`` as far as it is whole from its first byte on.

    :param finished: The parts that are whole; it grows meanwhile, and ``changed`` is notified of that and guards it.
    :param stop: Is set when the transfer ends.
    """

    def __init__(
        self,
        part: Path,
        plan: TransferPlan,
        algorithm: str,
        finished: Container[int],
        changed: threading.Condition,
        stop: threading.Event,
    ) -> None:
        self._part = part
        self._plan = plan
        self._algorithm = algorithm
        self._finished = finished
        self._changed = changed
        self._stop = stop
        # Three numbers of parts: those that are finished from the first on, that were so before, and that are digested.
        self._front = self._whole_front(0)
        self._there = self._front
        self._digested = 0
        self.digests: tuple[str, ...] = ()

    def wait_near(self, number: int) -> None:
        """Waits until the digest is near the part; not while it still reads what an earlier transfer fetched.

        :raises Stopped: where the transfer ends first.
        """
        with self._changed:
            while self._there <= self._digested < number - ROUNDS_AHEAD * self._plan.parallel:
                self._wait()

    def run(self, handle: int) -> None:
        """Digests the file, which ``handle`` has open, to its end.

        :raises Stopped: where the transfer ends first.
        :raises StagingError: where the file lacks bytes that it had.
        """
        digests = PieceDigests(self._algorithm, self._plan.pieces)
        buffer = memoryview(bytearray(BLOCK))
        at = 0
        while at < self._plan.size:
            with self._changed:
                while (front := self._front_bytes()) <= at:
                    self._wait()
            while at < front:
                self._check_stop()
                read = os.preadv(handle, [buffer[: front - at]], at)
                if not read:
                    raise StagingError(self._part, "is shorter than it was: something else wrote to it")
                digests.update(buffer[:read])
                at += read
                if at // self._plan.part_size > self._digested:
                    with self._changed:
                        self._digested = at // self._plan.part_size
                        self._changed.notify_all()
        self.digests = digests.hexdigests()

    def _front_bytes(self) -> int:
        self._front = self._whole_front(self._front)
        return min(self._plan.size, self._front * self._plan.part_size)

    def _whole_front(self, part: int) -> int:
        """The first part, from ``part`` on, that is not finished."""
        while part in self._finished:
            part += 1
        return part

    def _wait(self) -> None:
        self._check_stop()
        self._changed.wait(timeout=1.0)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Stopped
