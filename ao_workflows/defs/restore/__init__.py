"""The restore of one work: four assets, one module a stage, and what they have in common.

What belongs here: the stages, their checks, retries, partition and job. What does not: sensors (``defs.sensors``).
"""
