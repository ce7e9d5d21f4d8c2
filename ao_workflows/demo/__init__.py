"""The main job on this machine: emulated S3 and SQS, sample works, and what a person sees while it runs.

What belongs here: what stands in for AWS and for the archive's digitised works, and the judging of the result. What
does not: any part of the platform; the demo uses the parts that production runs.
"""
