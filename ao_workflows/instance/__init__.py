"""Dagster itself: its instance, its processes, its run queue, its launchers, its logs and its records.

What belongs here: what ``dagster.yaml`` names by module and class, and whatever needs a name that Dagster or its
libraries do not make public, one module a reason. Each says what breaks when those names move, and
``test_dagster_contracts`` tries them. What does not: what a run does.
"""
