"""Download: one object into one file, resumed where it can be, proven at its end.

What belongs here: the plan of parts, the transfer, its journal, pace and progress. What does not: where the bytes come
from (``aws``, ``intake``).
"""
