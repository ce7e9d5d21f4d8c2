"""Deployment: the folder that docker compose runs from.

What belongs here: what is to be in it, what an update may change, and the writing of it. What does not: the services of
a machine without containers (``services``).
"""
