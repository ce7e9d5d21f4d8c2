"""The restore of one work: four assets, one module a stage, and what they have in common.

What belongs here: the stages, their checks, retries, partition and job. What does not: sensors (``defs.sensors``).

Each stage ends with its receipt and its column in DRS. A stage that finds its own receipt for the same input, with
what it names still there, does not do the work again; so a run may die anywhere and be run again.
"""
