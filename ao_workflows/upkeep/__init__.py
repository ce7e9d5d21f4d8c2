"""Upkeep: what keeps a site's disks and databases from growing, and its backup.

What belongs here: the rules and the work of it. What does not: the jobs that run it (``defs.nightly``).
"""
