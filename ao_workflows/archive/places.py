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


def share_number(rid: str) -> int:
    """The number of the share that a work is in."""
    return bucket_number(rid) // BUCKETS_PER_SHARE


def share_tree(parent: Path, share: int) -> Path:
    """The share's folder: ``/mnt/Archive`` and 2 make ``/mnt/Archive2``."""
    return parent.with_name(f"{parent.name}{share}")


def archive_place(parent: Path, rid: str) -> Path:
    """Where the archive keeps a work: ``/mnt/Archive`` and W1NLM4712 make ``/mnt/Archive0/12/W1NLM4712``.

    The bucket is the RID's last two digits (``00`` where they are no digits), the share the bucket div 25. The
    reference sync script has the same rule, in bash; a test holds the two against one another.
    """
    return share_tree(parent, share_number(rid)) / f"{bucket_number(rid):02d}" / rid


def web_prefix(parent: str, rid: str) -> str:
    """The prefix that the image server reads: ``<parent>/<first two hex digits of md5(RID)>/<RID>/images/``."""
    shard = hashlib.md5(rid.encode(), usedforsecurity=False).hexdigest()[:2]
    return f"{parent.rstrip('/')}/{shard}/{rid}/images/"
