"""Status: where works stand, and why.

What belongs here: the evidence, gathered from DRS, staging and Dagster, and what follows of it: standing, what a redo
does, what expires, which deliveries count. What does not: printing it (``cli``).
"""
