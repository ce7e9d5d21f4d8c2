"""Bags: from a zip to the proven folders of its works.

What belongs here: reading a zip, what it holds, the names in it, what a bag declares, the proof, and which works are
let in. What does not: digests of trees in general (``fixity``) and where works are kept (``staging``).
"""
