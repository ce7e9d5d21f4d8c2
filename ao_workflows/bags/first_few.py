"""The first of many remarks: as many as a person reads are held, and the rest is counted.

What belongs here: the list that stops growing. What does not: what is remarked.

A manifest of 8 million wrong lines has as many things wrong with it, and to hold a sentence for each takes gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

FEW = 10_000

T = TypeVar("T")


class FirstFew(list[T]):
    """A list that holds the first ``FEW`` of what is appended to it; ``left_out`` says how many it does not hold."""

    left_out = 0

    def append(self, item: T) -> None:
        """Appends the item, or counts it."""
        if len(self) < FEW:
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
        return f"there are {self.left_out} more than the {FEW} that are told" if self.left_out else ""
