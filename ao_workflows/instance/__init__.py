"""Dagster's instance in the containers of a deployment: what ``dagster.yaml`` names by module and class.

What belongs here: where a run is executed, and how it learns that it shall end. What does not: what a run does.
"""
