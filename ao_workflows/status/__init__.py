"""Status: where works stand, and why.

What belongs here: the evidence, gathered from DRS, staging and Dagster, and what follows from it: where a work stands,
what a redo does, which restored copies expire, which deliveries must wait. What does not: printing it (``cli``).
"""
