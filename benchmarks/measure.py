"""How a benchmark measures: the sides in turn, several times, and the medians."""

from __future__ import annotations

import mmap
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict


class Result(TypedDict):
    """One line of the table; ``ours`` and ``peer`` are medians in ``unit``, ``bound`` says what ``ratio`` must be."""

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float
    bound: str
    holds: bool


def seconds_in_turn(
    rounds: int, *sides: Callable[[], object], before: Callable[[], object] | None = None
) -> list[float]:
    """The median seconds of each side, run in turn for so many rounds: neighbours disturb all sides alike.

    ``before`` clears the way for each side each time, and is not counted.
    """
    taken: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, times in zip(sides, taken, strict=True):
            if before:
                before()
            started = time.perf_counter()
            side()
            times.append(time.perf_counter() - started)
    return [statistics.median(times) for times in taken]


def memory_at_hand(size: int) -> None:
    """Has the host of this virtual machine back ``size`` bytes of its free memory, or all that is free if that is less.

    Such a host takes back what its guest has freed, within seconds, and fetching it again may cost a guest ten times
    what writing to it does: a side would be as fast as the one before it left memory behind.
    """
    with Path("/proc/meminfo").open() as meminfo:
        free = next(int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemFree:"))
    # Less than all, or the kernel would drop files from its cache, such as those that are to be read.
    length = min(size, free - (1 << 30)) // mmap.PAGESIZE * mmap.PAGESIZE
    if length > 0:
        mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def at_most(name: str, ours: float, peer: float, unit: str, most: float) -> Result:
    """A line that holds where ours over the peer's is at most ``most``."""
    ratio = ours / peer
    return Result(name=name, ours=ours, peer=peer, unit=unit, ratio=ratio, bound=f"at most {most}", holds=ratio <= most)


def at_least(name: str, ours: float, peer: float, unit: str, least: float) -> Result:
    """A line that holds where the peer's over ours is at least ``least``."""
    ratio = peer / ours
    return Result(
        name=name, ours=ours, peer=peer, unit=unit, ratio=ratio, bound=f"at least {least}", holds=ratio >= least
    )


def within(name: str, ours: float, unit: str, most: float) -> Result:
    """A line without a peer that holds where ours is at most ``most``; its ratio is that of ours to it."""
    return Result(
        name=name,
        ours=ours,
        peer=None,
        unit=unit,
        ratio=ours / most,
        bound=f"at most {most} {unit}",
        holds=ours <= most,
    )
