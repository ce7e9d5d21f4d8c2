"""Places: where the archive keeps a work, and where its images are on the web.

What belongs here: the archive's rule for a RID's share and bucket, the one place that has it, and the web's prefix.
What does not: the keys of a staging bucket (``ao_workflows.works.object_keys``), and whether a share is mounted
(``ao_workflows.archive.shares``).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ao_workflows.works.rids import bucket_number

BUCKETS_PER_SHARE = 25
"""Each of the archive's four trees, Archive0 to Archive3, has 25 of the 100 buckets."""


def archive_place(parent: Path, rid: str) -> Path:
    """Where the archive keeps a work: ``/mnt/Archive`` and W1NLM4712 make ``/mnt/Archive0/12/W1NLM4712``.

    The bucket is the RID's last two digits (``00`` where they are no digits), the share the bucket div 25.
    """
    bucket = bucket_number(rid)
    return parent.with_name(f"{parent.name}{bucket // BUCKETS_PER_SHARE}") / f"{bucket:02d}" / rid


def web_prefix(parent: str, rid: str) -> str:
    """The prefix that the image server reads: ``<parent>/<first two hex digits of md5(RID)>/<RID>/images/``."""
    shard = hashlib.md5(rid.encode(), usedforsecurity=False).hexdigest()[:2]
    return f"{parent.rstrip('/')}/{shard}/{rid}/images/"
