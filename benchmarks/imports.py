"""What every run and every tick's process pays before it does anything: importing the definitions."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from benchmarks.measure import Result, at_most, seconds_in_turn

ROUNDS = 11


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def run() -> list[Result]:
    ours, peer = seconds_in_turn(
        ROUNDS, partial(_python, "import ao_workflows.definitions"), partial(_python, "import dagster")
    )
    return [at_most("import ao_workflows.definitions over import dagster", ours, peer, "s", 1.3)]
