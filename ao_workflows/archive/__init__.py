"""The archive: where a work's place is, what its shares are, and the sync script that brings a work there.

What belongs here: the rule for places, ``sync.yml``, the script's run, the looks at shares, what a sync takes away, and
the copy on the web. What does not: the stages that decide when a work is synced (``defs.restore``).
"""
