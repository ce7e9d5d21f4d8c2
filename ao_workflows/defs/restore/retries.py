"""Trying a stage again: what may mend itself is, and a run that was asked to end is not.

What belongs here: how often, and after how long. What does not: which errors may mend themselves
(``ao_workflows.errors``).
"""

from __future__ import annotations

import sys

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError


class _UnlessAsked(dg.RetryPolicy):
    """Dagster tries a step with a retry policy again when its run is cancelled, so that it goes on for hours; an
    interrupt is passed on here instead, from where Dagster asks for how long it is to wait.
    """

    def calculate_delay(self, attempt_num: int) -> float:
        error = sys.exception()
        if isinstance(error, DagsterExecutionInterruptedError | KeyboardInterrupt):
            raise error
        return float(super().calculate_delay(attempt_num))


TRY_AGAIN = _UnlessAsked(max_retries=8, delay=15, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For what may mend itself: a quarter of a minute, … an hour, two in all: a database may be down for one."""
