"""The machine: files, locks, processes, logged commands, threads, the boot, moments of time.

What belongs here: what any program on a machine needs, whatever it does; nothing here knows of works or bags. What does
not: the layout of the scratch disk (``staging``).
"""
