"""Many things on a few threads: all of them, in their order, and no more in memory than a few."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ao_workflows.machine.threads import each_in_order


def test_what_is_found_comes_in_the_order_of_the_things() -> None:
    """A file compared with another's digest is wrong, however right both are."""
    first = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert first.wait(30)
        else:
            first.set()
        return number * 10

    assert list(each_in_order(2, work, range(30))) == [number * 10 for number in range(30)]


def test_no_more_than_a_few_are_taken_before_they_are_wanted() -> None:
    """A list of millions of files would be in memory, each with its future."""
    taken = 0

    def things() -> Iterator[int]:
        nonlocal taken
        for number in range(1, 1001):
            taken = number
            yield number

    found = each_in_order(2, lambda number: number, things())
    assert next(found) == 1
    assert taken <= 9
    assert sum(1 for _ in found) == 999


def test_an_error_is_raised_in_its_turn_and_what_has_not_begun_is_not_done() -> None:
    """An error of one of a million must not wait for the others, nor pass unseen."""
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        if number == 2:
            raise ValueError("the third")
        return number

    found = each_in_order(1, work, range(1000))
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(found)
    assert len(done) < 20
