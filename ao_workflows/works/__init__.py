"""Works: what a RID may be, the stages that a work goes through, the keys of its objects, and the tags of its runs.

What belongs here: names, as plain values. What does not: places in the archive (``archive``) or on the scratch disk
(``staging``).
"""
