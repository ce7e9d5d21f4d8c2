"""The first of many remarks: as many as a person reads are held, and the rest is counted.

What belongs here: the list that stops growing. What does not: what is remarked.

A manifest of 8 million wrong lines has as many things wrong with it, and to hold a sentence for each takes gigabytes.
Ten thousand sentences take one, if each has a name in it that is 120 KB as text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from ao_workflows.errors import Problem

FEW = 10_000

MOST = 8 << 20
"""Bytes of memory that all of them take; a common remark has some hundred."""

T = TypeVar("T")


class FirstFew(list[T]):
    """A list that holds the first ``FEW`` of what is appended to it, or fewer if these are ``MOST`` bytes already.

    ``left_out`` says how many it does not hold.
    """

    left_out = 0
    _bytes = 0

    def append(self, item: T) -> None:
        """Appends the item, or counts it."""
        if len(self) < FEW and self._bytes < MOST:
            self._bytes += _bytes_of(item)
            super().append(item)
        else:
            self.left_out += 1

    def extend(self, items: Iterable[T]) -> None:
        """Appends each of the items, or counts it, and what another such list has left out."""
        for item in items:
            self.append(item)
        self.left_out += getattr(items, "left_out", 0)

    def __iadd__(self, items: Iterable[T]) -> FirstFew[T]:  # type: ignore[misc,override]
        self.extend(items)
        return self

    @property
    def more(self) -> str:
        """Says how many were left out; empty if none was."""
        return f"there are {self.left_out} more than the {len(self)} that are told" if self.left_out else ""


def _bytes_of(item: object) -> int:
    texts = (item.path, item.reason, item.expected, item.found) if isinstance(item, Problem) else (item,)
    return sum(map(sys.getsizeof, texts))
