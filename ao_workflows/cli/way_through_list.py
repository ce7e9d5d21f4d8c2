"""The way of a command through a long list: what ends it early, and how it ends on Ctrl-C.

What belongs here: that, for a list of works or of their parts. What does not: what is done with each
(``ao_workflows.cli.restore``).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TypeVar

from ao_workflows.cli.complaints import complain
from ao_workflows.errors import DatabaseError, ServiceError
from ao_workflows.glacier.rules import RestoreStatus

OUTAGE = 5
"""After so many failures of S3 itself in a row the command ends: the rest of a list would only wait for time-outs."""

T = TypeVar("T")


class Way:
    """The way through one list after the other. ``ended`` says why it ended early, and ``signals`` has what came."""

    def __init__(self) -> None:
        self.ended = ""
        self.signals: list[signal.Signals] = []
        self._failures = 0

    def go(
        self,
        items: Sequence[T],
        act: Callable[[T, Event], RestoreStatus | None],
        tell: Callable[[RestoreStatus], None],
    ) -> list[RestoreStatus]:
        """Calls ``act`` with each item and an event that Ctrl-C sets, and ``tell`` with what it returned; returns all.

        It ends early if ``act`` returns None, if DRS fails, or if S3 fails several times in a row.
        """
        done: list[RestoreStatus] = []
        with _stoppable() as (stopped, signals):
            try:
                for item in items:
                    status = None if stopped.is_set() else act(item, stopped)
                    if status is None:
                        break
                    done.append(status)
                    tell(status)
                    if self._is_over(status):
                        break
            except KeyboardInterrupt:
                complain("ended at once: Glacier may have been asked for one work more than is said")
        if signals:
            self.ended, self.signals = f"{signals[0].name} came", signals
        return done

    def _is_over(self, status: RestoreStatus) -> bool:
        self._failures = self._failures + 1 if isinstance(status.error, ServiceError) else 0
        if isinstance(status.error, DatabaseError):
            self.ended = "DRS failed"
        elif self._failures == OUTAGE:
            self.ended = f"S3 failed {OUTAGE} times in a row"
        return bool(self.ended)


@contextmanager
def _stoppable() -> Iterator[tuple[Event, list[signal.Signals]]]:
    """Yields an event that Ctrl-C sets, and the signals that came.

    A work that Glacier was asked for is still noted in DRS then. A second Ctrl-C ends the command at once.
    """
    stopped = Event()
    came: list[signal.Signals] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(signal.Signals(number))
        os.write(sys.stderr.fileno(), b"ao: ending after the work that is under way; once more ends it at once\n")
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped, came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
