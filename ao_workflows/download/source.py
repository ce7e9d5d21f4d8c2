"""Where a transfer's bytes come from: answers to ranges of one object.

What belongs here: what a source must be able to do, and the answers that are open. What does not: the sources
(``ao_workflows.aws.ranges``, ``ao_workflows.intake.file_ranges``).
"""

from __future__ import annotations

import threading
from typing import Protocol

BLOCK = 512 << 10
"""What is read at once: large enough to make Python's share small, small enough for the processor's cache."""


class Body(Protocol):
    """The bytes of one answer. ``whole`` where the server sends all of the object, whatever range was asked for."""

    whole: bool

    def read(self, amount: int) -> bytes:
        """Returns at most ``amount`` bytes; none at the end."""

    def close(self) -> None:
        """Ends the answer."""

    def abort(self) -> None:
        """Ends a ``read`` that another thread is waiting in."""


class RangeSource(Protocol):
    """Where the bytes come from; ``where`` names it in errors. What may mend itself is raised as ``ServiceError``."""

    where: str

    def open(self, start: int, end: int) -> Body:
        """Asks for the bytes from ``start`` to before ``end``."""


class Opened:
    """An answer that is closed at the end, and known to the transfer until then.

    :param under_way: The transfer's open answers, which it ends when it is cancelled; ``lock`` guards them.
    """

    def __init__(self, body: Body, under_way: set[Body], lock: threading.Condition) -> None:
        self._body = body
        self._under_way = under_way
        self._lock = lock

    def __enter__(self) -> Body:
        with self._lock:
            self._under_way.add(self._body)
        return self._body

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._under_way.discard(self._body)
        self._body.close()
