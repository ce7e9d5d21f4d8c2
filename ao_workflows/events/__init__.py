"""Events: what starts a work, read from what came in.

What belongs here: reading S3's events in all their wrappings, dropped files, the parts of a message, and the names of
intakes. What does not: receiving messages and claiming files (``intake``).
"""
