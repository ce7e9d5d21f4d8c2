"""What a site does for itself at night, each job with its schedule.

What belongs here: housekeeping, the backup, the look at stuck works. What does not: how each is done (``upkeep``,
``status``).
"""
