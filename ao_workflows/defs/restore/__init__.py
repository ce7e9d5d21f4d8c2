"""The restore of one work: four assets, one module a stage, and what they have in common.

What belongs here: the stages, their checks, retries, partition and job. What does not: sensors (``defs.sensors``).

At its end each stage writes its receipt and its column in DRS. A stage does not do its work again if it finds its own
receipt for the same input, and the files that the receipt names are still there. So a run may die at any point and be
run again.
"""
