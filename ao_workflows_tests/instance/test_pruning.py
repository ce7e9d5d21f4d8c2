"""Pruning on the engine: which containers and images go, and what is told of it."""

from __future__ import annotations

from datetime import UTC, datetime

from ao_workflows.instance.pruning import ended_at


def test_the_engine_s_times_are_read() -> None:
    """They have nine digits of a second, or none."""
    assert ended_at("2026-11-21T12:16:57.123456789Z") == datetime(2026, 11, 21, 12, 16, 57, 123456, UTC)
    assert ended_at("2026-11-21T12:16:57Z") == datetime(2026, 11, 21, 12, 16, 57, tzinfo=UTC)
