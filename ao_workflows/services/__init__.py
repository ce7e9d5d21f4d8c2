"""Services: ``ao up`` and ``ao down``, a site's processes on a machine without containers.

What belongs here: the record of them, their folder, starting and ending them. What does not: processes in general
(``machine``).
"""
