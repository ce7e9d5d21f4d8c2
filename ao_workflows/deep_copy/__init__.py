"""Deep copies: a work of the archive put into a bucket of S3, in the parts in which the archive keeps works there.

What belongs here: which part a file goes to, what has changed since the last copy, the bag of a part as a stream of
bytes, its upload, and the durable record of what was copied. What does not: S3's calls (``ao_workflows.aws.uploads``),
the names of parts (``ao_workflows.works.parts``), taking parts back (``ao_workflows.bags``), and the stage
(``ao_workflows.defs.restore.deep_copied``).
"""
