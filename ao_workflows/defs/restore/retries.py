"""Trying a stage again: what may mend itself is, and a run that was asked to end is not.

What belongs here: how often, and after how long. What does not: which errors may mend themselves
(``ao_workflows.errors``).
"""

from __future__ import annotations

import dagster as dg

from ao_workflows.instance.interrupts import RetryUnlessInterrupted

TRY_AGAIN = RetryUnlessInterrupted(max_retries=8, delay=15, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For failures that may pass by themselves. The waits grow from a quarter of a minute to an hour, and are two hours in
all, since a database may be down for an hour.
"""
