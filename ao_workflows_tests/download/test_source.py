"""Answers that are open: known while they are, and closed however the reading ends."""

from __future__ import annotations

import threading

import pytest

from ao_workflows.download.source import Body, Opened


class _Answer:
    whole = False
    closed = False

    def read(self, amount: int) -> bytes:
        return b"x" * amount

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        """Nobody waits in it."""


def test_an_answer_is_known_while_it_is_open_and_closed_however_that_ends() -> None:
    """A connection that is lost to a failure is one of few; one that a cancelled transfer knows not, hangs."""
    under_way: set[Body] = set()
    answer = _Answer()
    with pytest.raises(KeyboardInterrupt), Opened(answer, under_way, threading.Condition()) as body:
        assert body is answer
        assert under_way == {answer}
        raise KeyboardInterrupt
    assert (under_way, answer.closed) == (set(), True)
