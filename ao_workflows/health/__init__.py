"""Health: what a site needs, tried, for ``ao site check`` and ``ao health``.

What belongs here: the findings, and the looks at disks and connections. What does not: where works stand (``status``).
"""
