"""Fixity: the bytes that a file must have, and whether it has them.

What belongs here: algorithms, digests, S3's checksums, trees compared with a list. What does not: what a bag's
manifests mean (``bags``).
"""
