"""How an object is cut: every byte in one part, and each piece of the proof where it is digested."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao_workflows.download.plan import LARGEST_PIECE, MIB, TransferPlan, plan_transfer

GIB = 1 << 30


def whole(size: int, **wishes: int) -> TransferPlan:
    return plan_transfer(size, [size], claimed=True, joinable=False, **wishes)


@given(size=st.integers(0, 100_000), part_size=st.integers(1, 5_000))
def test_the_parts_are_the_object(size: int, part_size: int) -> None:
    """A byte in no part would be a zero in the file, one in two a race."""
    cut = whole(size, part_size=part_size)
    spans = [cut.span(part) for part in range(cut.parts)]
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])][: len(spans)]
    assert (spans[-1][1] if spans else 0) == size
    assert all(0 < end - start <= part_size for start, end in spans)


@given(data=st.data(), piece=st.integers(1, 50), pieces=st.integers(2, 200), part_size=st.integers(1, 500))
def test_even_pieces_are_digested_each_within_one_part(
    data: st.DataObject, piece: int, pieces: int, part_size: int
) -> None:
    """A piece across two parts would have no digest, since two connections bring it."""
    last = data.draw(st.integers(1, piece))
    sizes = [piece] * (pieces - 1) + [last]
    cut = plan_transfer(sum(sizes), sizes, claimed=True, joinable=False, part_size=part_size)
    assert cut.way == "pieces"
    assert [size for part in range(cut.parts) for size in cut.pieces_of(part)] == sizes


@given(sizes=st.lists(st.integers(1, 50), min_size=2, max_size=50), part_size=st.integers(1, 60))
def test_the_parts_of_a_wrong_piece_are_those_that_have_its_bytes(sizes: list[int], part_size: int) -> None:
    """What is wrong must be fetched again whole, and nothing else."""
    cut = TransferPlan(sum(sizes), part_size, 1, "in order", tuple(sizes))
    for piece, size in enumerate(sizes):
        at = sum(sizes[:piece])
        assert set(cut.parts_with(piece)) == {byte // part_size for byte in range(at, at + size)}


@pytest.mark.parametrize(
    ("pieces", "claimed", "joinable", "way"),
    [
        ([100], False, False, "size"),
        ([100], True, False, "in order"),
        ([100], True, True, "joined"),
        ([40, 40, 20], True, True, "pieces"),
        ([40, 20, 40], True, False, "in order"),
        ([20, 80], True, False, "in order"),
        ([LARGEST_PIECE + 1, 5], True, False, "in order"),
    ],
)
def test_the_proof_is_computed_in_the_cheapest_way(pieces: list[int], claimed: bool, joinable: bool, way: str) -> None:
    """In order means reading what an earlier run brought; that is for what can be had in no other way."""
    assert plan_transfer(sum(pieces), pieces, claimed=claimed, joinable=joinable).way == way


def test_what_a_crash_costs_stays_small() -> None:
    """At most the parts under way are fetched again."""
    for size in (1, MIB, GIB, 100 * GIB, 5 << 40):
        cut = whole(size)
        assert cut.parallel * cut.part_size <= GIB
        assert cut.parts <= 100_000


def test_the_site_s_wishes_hold() -> None:
    """Some lines are best used by one connection, some by forty."""
    cut = whole(GIB, part_size=5 * MIB, parallel=3)
    assert (cut.part_size, cut.parallel) == (5 * MIB, 3)
    assert whole(GIB, part_size=GIB, parallel=3).parallel == 1
