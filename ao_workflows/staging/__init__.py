"""Staging: the scratch disk, laid out, locked, promised and freed.

What belongs here: the layout, receipts and whether they hold, locks of works and runs, room, freeing, kept messages.
What does not: unpacking (``bags``) and downloading (``download``).
"""
