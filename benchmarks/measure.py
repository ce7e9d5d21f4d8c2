"""How a benchmark measures: the sides in turn, several times, and the medians."""

from __future__ import annotations

import mmap
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

_BLOCK = 2 << 20
_LEFT = 512 << 20
"""Bytes in free blocks that are not worth another attempt; half of it is left to the kernel."""
_MOST_KEPT = 1000
"""Mappings: where keeping does not work, it ends."""
_POPULATE_WRITE = 23
"""MADV_POPULATE_WRITE of Linux 5.14, which Python has no name for."""
_kept: list[mmap.mmap] = []


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
    rounds: int, *sides: Callable[[], object], before: Callable[[], object] | None = None, warm_up: int = 0
) -> list[float]:
    """The median seconds of each side, run in turn for so many rounds: neighbours disturb all sides alike.

    ``before`` clears the way for each side each time, and is not counted; nor is the machine's own: see
    :func:`keep_memory`. Nor are ``warm_up`` rounds that go before.
    """
    taken: list[list[float]] = [[] for _ in sides]
    for _ in range(warm_up + rounds):
        for side, times in zip(sides, taken, strict=True):
            if before:
                before()
            keep_memory()
            started = time.perf_counter()
            side()
            times.append(time.perf_counter() - started)
    return [statistics.median(times[warm_up:]) for times in taken]


def keep_memory() -> None:
    """Has the host of this virtual machine back all of its free memory, and leave it there while the benchmark lasts.

    Such a host takes back what its guest has freed, within seconds, in blocks of 2 MiB; to fetch it again may cost a
    guest ten times what writing to it does. A side would be as fast as the one before it left memory behind. So each
    free block is fetched, and given back but for one page: what is left of it is no block for the host. The first time
    takes up to a minute.

    Where the kernel does not tell its free blocks, or knows no huge pages, nothing is kept.
    """
    try:
        if not _kept:
            _fetch_what_is_no_block()
        while (free := _free_blocks()) * _BLOCK > _LEFT and len(_kept) < _MOST_KEPT:
            _kept.append(_fetch_but_leave_a_page_each(free - _LEFT // _BLOCK // 2))
    except OSError:
        return


def _fetch_what_is_no_block() -> None:
    """Uses all free memory once, page by page: what the host took as a block may have been broken since."""
    with Path("/proc/meminfo").open() as meminfo:
        free = next(int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemFree:"))
    # Less than all, or the kernel would drop files from its cache, such as those that are to be read.
    if (size := (free - (1 << 30)) // mmap.PAGESIZE * mmap.PAGESIZE) > 0:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def _fetch_but_leave_a_page_each(blocks: int) -> mmap.mmap:
    size = blocks * _BLOCK
    held = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    held.madvise(mmap.MADV_HUGEPAGE)
    held.madvise(_POPULATE_WRITE)
    for start in range(0, size, _BLOCK):
        held[start] = 1  # The kernel would free a page of zeros when it splits the block.
    for advice in (mmap.MADV_FREE, mmap.MADV_DONTNEED):  # The first splits the blocks, the second frees the rest.
        for start in range(0, size, _BLOCK):
            held.madvise(advice, start + mmap.PAGESIZE, _BLOCK - mmap.PAGESIZE)
    return held


def _free_blocks() -> int:
    """How many blocks of 2 MiB are free, by what the kernel tells of each size of 4 KiB, 8 KiB, and so on."""
    lines = Path("/proc/buddyinfo").read_text().splitlines()
    return sum(int(count) << order - 9 for line in lines for order, count in enumerate(line.split()[4:]) if order >= 9)


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
