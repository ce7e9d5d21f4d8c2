"""What Dagster loads: a work's restore, the sensors, and what runs at night.

What belongs here: assets, checks, jobs, sensors, schedules; each reads, calls and writes. What does not: rules and
clients, which are in their subject's room.
"""
