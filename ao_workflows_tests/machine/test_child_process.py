"""What a child prints, cut into lines."""

from __future__ import annotations

import pytest

from ao_workflows.machine import child_process


def test_a_progress_bar_is_told_every_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each of its million states, and not none of them for ten hours."""
    now = [0.0]
    monkeypatch.setattr(child_process, "monotonic", lambda: now[0])
    lines = child_process.Lines()
    assert lines.add(b"a\n 1%\r 2%\r 3") == ["a"]
    now[0] = 11
    assert lines.add(b"%\r 4%") == [" 3%"]
    assert lines.add(b"\r 5%\r") == []
    now[0] = 22
    assert lines.add(b"\r 6%\r") == [" 6%"]
    assert lines.add(b" 7%\r") == []
    assert lines.add(b"\nb") == [" 7%"]
    assert lines.rest() == ["b"]


def test_a_line_without_an_end_is_cut_and_nothing_of_it_is_lost() -> None:
    """A program that prints gigabytes without a line feed would fill the memory of who reads them."""
    lines = child_process.Lines()
    found = [line for _ in range(100) for line in lines.add(b"x" * 10_000)] + lines.rest()
    assert "".join(found) == "x" * 1_000_000
    assert max(map(len, found)) < 100_000


def test_a_character_that_comes_in_two_pieces_is_one() -> None:
    """A pipe is read where it happens to end: a Tibetan title would be told as odd bytes."""
    lines = child_process.Lines()
    first, second = "བ\n".encode()[:2], "བ\n".encode()[2:]
    assert [*lines.add(first), *lines.add(second)] == ["བ"]
