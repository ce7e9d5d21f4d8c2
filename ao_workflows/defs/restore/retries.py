"""Trying a stage again: what may mend itself is, and a run that was asked to end is not.

What belongs here: how often, and after how long. What does not: which errors may mend themselves
(``ao_workflows.errors``).
"""

from __future__ import annotations

import dagster as dg

from ao_workflows.instance.interrupts import RetryUnlessInterrupted

TRY_AGAIN = RetryUnlessInterrupted(max_retries=8, delay=15, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For what may mend itself: a quarter of a minute, … an hour, two in all: a database may be down for one."""
