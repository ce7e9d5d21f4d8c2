"""Places: where the archive keeps a work, and where its images are on the web.

What belongs here: the archive's rule for a RID's share and bucket, the one place that has it, and the web's prefix.
What does not: the keys of a staging bucket (``ao_workflows.works.object_keys``), and whether a share is mounted
(``ao_workflows.archive.shares``).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ao_workflows.works.rids import bucket_number

BUCKETS_PER_SHARE = 25
"""Each of the archive's four trees, Archive0 to Archive3, has 25 of the 100 buckets."""


def share_number(rid: str) -> int:
    """Returns the number, 0 to 3, of the share that a work is in."""
    return bucket_number(rid) // BUCKETS_PER_SHARE


def share_tree(parent: Path, share: int) -> Path:
    """Returns the folder of a share: for ``/mnt/Archive`` and 2, ``/mnt/Archive2``."""
    return parent.with_name(f"{parent.name}{share}")


def archive_place(parent: Path, rid: str) -> Path:
    """Returns the folder of a work in the archive: for ``/mnt/Archive`` and W1NLM4712, ``/mnt/Archive0/12/W1NLM4712``.

    The bucket is the RID's last two digits (``00`` if these are not digits); the share is the bucket's number divided
    by 25, rounded down. The reference sync script has the same rule, in bash; a test compares the two.

    :param parent: the path of the shares without their digit.
    """
    return share_tree(parent, share_number(rid)) / f"{bucket_number(rid):02d}" / rid


def standing_place(parent: Path, rid: str) -> Path:
    """Returns the folder in which the archive's copy of a work is now.

    It is beside its place if the reference script was killed between its two renames; the next run of the script puts
    it back. Without this the archive would seem not to have the work.
    """
    place = archive_place(parent, rid)
    old = place.with_name(f".{rid}.sync") / "old"
    return old if old.is_dir() and not os.path.lexists(place) else place


def web_prefix(parent: str, rid: str) -> str:
    """Returns the S3 prefix from which the image server reads a work's images.

    It is ``<parent>/<first two hex digits of md5(RID)>/<RID>/images/``.
    """
    shard = hashlib.md5(rid.encode(), usedforsecurity=False).hexdigest()[:2]
    return f"{parent.rstrip('/')}/{shard}/{rid}/images/"
