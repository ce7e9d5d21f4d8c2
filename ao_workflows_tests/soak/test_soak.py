"""The soak in short: a handful of works and a few kills, at each run of the tests. ``make soak`` is the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DEADLINE_SECONDS = 500
"""It takes a minute; a busy machine, and the watches that must find a run lost, may make it several."""


@pytest.mark.timeout(DEADLINE_SECONDS + 60)
def test_every_event_has_one_successful_run_whatever_is_killed() -> None:
    """The parts, each tested, must also hold together when one of them dies."""
    words = ["--works", "3", "--kills", "3", "--every", "2", "--hasty", "--give-up", str(DEADLINE_SECONDS)]
    done = subprocess.run(
        [sys.executable, "-m", "ao_workflows_tests.soak", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
