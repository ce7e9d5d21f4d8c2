"""The clients of the outer world, one vendor a module: S3, SQS, DRS, the staging disk, the sync script.

A vendor's library is imported where its client is made, not where its module is: every run and every tick's
process pays for what the definitions import.
"""
