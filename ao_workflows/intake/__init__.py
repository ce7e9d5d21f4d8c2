"""Intake: the queues and folders that works come from.

What belongs here: the decisions about messages and files, and the clients of SQS and of folders. What does not: the
sensors, which only read, call and write (``defs.sensors``).
"""
