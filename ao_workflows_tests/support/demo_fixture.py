"""The demo, run once for all tests of a session that look at what it leaves.

What belongs here: running ``ao demo`` to its end, and keeping what it made and said. What does not: judging it
(``ao_workflows_tests.e2e``), or serving it (``ao_workflows_tests.ui``).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ao_workflows_tests.support.leftovers import remove_at_the_end
from ao_workflows_tests.support.parent import tidy_up_with_it

AO = Path(sys.executable).with_name("ao")
AT_MOST_SECONDS = 500
"""A demo that takes longer is ended: its output then says how far it came, which pytest's own time limit would not."""


@dataclass(frozen=True)
class FinishedDemo:
    """What one run of the demo left in ``folder``; ``output`` has what it printed, errors included."""

    folder: Path
    exit_code: int
    output: str


@pytest.fixture(scope="session")
def finished_demo() -> Iterator[FinishedDemo]:
    """The demo of this session, ended. Whoever changes what is in its folder leaves it as good as it was."""
    # Not pytest's own folder: the pictures of the web page show its path.
    folder = Path(tempfile.mkdtemp(prefix="ao-demo-"))
    remove_at_the_end(folder)
    try:
        yield _run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path) -> FinishedDemo:
    demo = subprocess.Popen(
        [AO, "demo", "--folder", folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        preexec_fn=tidy_up_with_it,  # noqa: PLW1509 - one call of the kernel
    )
    try:
        output, _ = demo.communicate(timeout=AT_MOST_SECONDS)
    except subprocess.TimeoutExpired:
        demo.terminate()
        output, _ = demo.communicate()
    finally:
        demo.terminate()
        demo.wait()
    return FinishedDemo(folder, demo.returncode, output)
