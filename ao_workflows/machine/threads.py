"""Threads: one function over many things, on a few threads, in bounded memory.

What belongs here: the one function that does it. What does not: what is done with each thing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Found = TypeVar("Found")


def each_in_order(threads: int, work: Callable[[Given], Found], things: Iterable[Given]) -> Iterator[Found]:
    """Calls ``work`` for each of the things on some threads, and yields what it returns, in the things' order.

    ``things`` is read only a little ahead of what has been yielded.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Found]] = deque()
        try:
            for thing in things:
                waiting.append(pool.submit(work, thing))
                if len(waiting) > 4 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
