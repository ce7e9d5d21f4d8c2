"""DRS: the archive's database, with its table ``glacier_sync_progress``.

What belongs here: the client, the rows and what they mean, the configuration, failures of the driver, the check of the
table. What does not: any other database (Dagster's own is in ``instance`` and ``upkeep``).
"""
