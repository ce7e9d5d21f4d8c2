"""Glacier: asking for works, and seeing how far their restores are.

What belongs here: the rules, the client and the requests of works. What does not: the events that tell of a finished
restore (``events``).
"""
