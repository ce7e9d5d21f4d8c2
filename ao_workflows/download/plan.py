"""How an object is divided into the parts that are fetched, and how its proof is computed meanwhile.

What belongs here: sizes, as pure functions. What does not: fetching (``ao_workflows.download.transfer``).

A part is fetched over one connection, is written into the journal once it is whole, and is fetched again after a crash
if it was not. It need not be a part of the upload. But where the proof is over the upload's parts and these are small,
each of our parts consists of some of theirs: then every connection computes its own digests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

MIB = 1 << 20

LARGEST_PIECE = 64 * MIB
"""The pieces of a proof that are larger are digested in order, lest a crash cost as much."""

Way = Literal["size", "joined", "pieces", "in order"]
"""How the proof is computed: not at all; a CRC of each part, joined; each part's own pieces; or all bytes in order."""


@dataclass(frozen=True)
class TransferPlan:
    """The division of ``size`` bytes into parts of ``part_size``, of which ``parallel`` are fetched at once.

    ``pieces`` are the sizes over which the proof's digests are computed; ``way`` says how they are.
    """

    size: int
    part_size: int
    parallel: int
    way: Way
    pieces: tuple[int, ...]

    @property
    def parts(self) -> int:
        """The number of parts."""
        return -(-self.size // self.part_size)

    def span(self, part: int) -> tuple[int, int]:
        """Returns a part's first byte, and the one after its last."""
        start = part * self.part_size
        return start, min(self.size, start + self.part_size)

    def pieces_of(self, part: int) -> tuple[int, ...]:
        """Returns the sizes of the proof's pieces whose digests are computed with the part."""
        start, end = self.span(part)
        if self.way == "joined":
            return (end - start,)
        if self.way == "pieces":
            piece = self.pieces[0]
            return tuple(min(piece, end - at) for at in range(start, end, piece))
        return ()

    def parts_with(self, piece: int) -> range:
        """Returns the parts that contain bytes of the proof's piece of that number."""
        start = sum(self.pieces[:piece])
        end = start + self.pieces[piece]
        return range(start // self.part_size, -(-end // self.part_size))


def plan_transfer(
    size: int,
    pieces: Sequence[int],
    *,
    claimed: bool,
    joinable: bool,
    part_size: int | None = None,
    parallel: int | None = None,
) -> TransferPlan:
    """Returns the plan for an object of ``size`` bytes, whose proof is over ``pieces``.

    :param claimed: whether there is a checksum to compare with.
    :param joinable: whether the digest of a whole can be computed from those of its pieces.
    :param part_size: the site's setting, in bytes; ``parallel`` is a setting, too. None leaves it to the object's size.
    """
    wanted = part_size or _part_size(size)
    whole = len(pieces) <= 1
    way: Way = "in order"
    if not claimed:
        way = "size"
    elif joinable and whole:
        way = "joined"
    elif not whole and _even(pieces) and pieces[0] <= LARGEST_PIECE:
        way = "pieces"
        wanted = pieces[0] * max(1, wanted // pieces[0])
    parts = max(1, -(-size // wanted))
    return TransferPlan(size, wanted, min(parts, parallel or _parallel(size)), way, tuple(pieces))


def _part_size(size: int) -> int:
    """Small enough to lose little in a crash, large enough that a request's round trip is lost in it."""
    if size <= 1 << 30:
        return 8 * MIB
    return 16 * MIB if size <= 100 << 30 else 64 * MIB


def _parallel(size: int) -> int:
    """A distant region gives one connection some 20 MB/s; what is large deserves more of them."""
    return 8 if size <= 10 << 30 else 16


def _even(pieces: Sequence[int]) -> bool:
    return all(a == b for a, b in pairwise(pieces[:-1])) and pieces[-1] <= pieces[0]
