"""Dagster itself: its instance, its processes, its run queue, its launchers, its logs and its records.

What belongs here: the classes that ``dagster.yaml`` names, and all code that needs a private name of Dagster or its
libraries, with one module for each purpose. Each module says what breaks if those names change, and
``test_dagster_contracts`` checks them. What does not: what a run does.
"""
