"""Interrupted steps: a retry policy that lets a cancelled run end.

What belongs here: the policy's behaviour. What does not: how often a stage is tried again
(``ao_workflows.defs.restore.retries``).

Dagster asks a retry policy for the delay while it handles the step's error, in the method that is overridden here. If
it asks elsewhere or by another name, a run that a person cancels goes on for hours, from retry to retry.
"""

from __future__ import annotations

import sys

import dagster as dg


class RetryUnlessInterrupted(dg.RetryPolicy):
    """A retry policy that tries a failed step again, unless the step's run was asked to end: then the interrupt is
    passed on.

    Dagster's own policy treats an interrupt as one more failure of the step.
    """

    def calculate_delay(self, attempt_num: int) -> float:
        """Returns the seconds until the next attempt.

        :raises DagsterExecutionInterruptedError: if the step failed because of that; likewise KeyboardInterrupt.
        """
        error = sys.exception()
        if isinstance(error, dg.DagsterExecutionInterruptedError | KeyboardInterrupt):
            raise error
        return float(super().calculate_delay(attempt_num))
