"""The layout of parts: which zip a file of a work goes to, under which path, and the zip's key and tags in the bucket.

What belongs here: the rules of ``deep-archive`` (of the index's bdrc-util 1.0.15: ``archive_ops/DeepArchive.py``,
``archive_ops/InvertWork.py`` and ``util_lib/utils.py``) as functions of names. What does not: what has changed
(``ao_workflows.deep_copy.what_to_copy``), and the bag around the files (``ao_workflows.deep_copy.bag_tags``).
"""

from __future__ import annotations

from ao_workflows.archive.places import share_number
from ao_workflows.works.parts import Part
from ao_workflows.works.rids import bucket_number

_GROUP_DEPTH = 3
"""A file of an image group has the medium's folder and the group's above it."""

_TAGS = {"owner": "ao"}
_PROJECTS = {"NLM": "NLM", "FPL": "FPL", "W8LS": "OwdyHay"}


def part_of_file(rid: str, path: str) -> tuple[str, str]:
    """Returns the name of the part that a file of a work belongs to, and the file's path in the part's payload.

    ``images/W1-I1_001/0001.jpg`` goes to the part ``W1-I1_001``, turned round: ``W1-I1_001/images/0001.jpg``. A work
    that the archive keeps turned round has such paths already. Everything else goes to the part that is named as the
    work, below the folder ``W1/``.

    :param path: the file's path in the work's folder.
    """
    medium, _, rest = path.partition("/")
    group, _, inside = rest.partition("/")
    if path.count("/") >= _GROUP_DEPTH - 1 and Part(rid, group).group:
        return group, f"{group}/{medium}/{inside}"
    if rest and Part(rid, medium).group:
        return medium, path
    return rid, f"{rid}/{path}"


def key_of_part(rid: str, name: str) -> str:
    """Returns the key of a part's zip: ``Archive0/00/W1NLM4700/W1NLM4700-I1NLM4700_001.bag.zip``.

    The folders above it are those of the work in the archive itself, whose shares have 25 buckets each.
    """
    return f"Archive{share_number(rid)}/{bucket_number(rid):02d}/{rid}/{name}.bag.zip"


def tags_of_work(rid: str) -> dict[str, str]:
    """Returns the tags that the zips of a work get: who owns it, and the project that its RID names, if any."""
    projects = [project for word, project in _PROJECTS.items() if word in rid]
    return _TAGS | ({"project": projects[0]} if projects else {})
