"""Object keys: the key of a work's zip in a staging bucket, by the site's layout.

What belongs here: the layout, its check, the key. What does not: the archive's own places
(``ao_workflows.archive.places``).
"""

from __future__ import annotations

from string import Formatter

from ao_workflows.works.rids import RID_LENGTH, bucket_number

LAYOUT = "Archive{share}/{nn}/{rid}/{rid}.bag.zip"
"""Where the archive's uploads put a work's zip in a staging bucket."""


_FIELDS = ("rid", "nn", "share")


_NUMBERS_PER_PREFIX = 50
"""The keys begin with Archive0 or Archive1, whatever share of the archive the work is in."""


def check_layout(layout: str) -> str:
    """Returns ``layout`` if it gives every work an object key of its own.

    :param layout: a key with ``{rid}`` in it, and with ``{nn}`` and ``{share}`` where they are wanted.
    :raises ValueError: in words for whoever writes site.toml.
    """
    longest = "W".ljust(RID_LENGTH, "1")
    try:
        fields = [(name, spec or "", conversion) for _, name, spec, conversion in Formatter().parse(layout) if name]
        key = layout.format(rid=longest, nn="12", share=0)
    except (ValueError, LookupError, AttributeError):
        fields, key = [], ""
    plain = all(name in _FIELDS and "{" not in spec and not conversion for name, spec, conversion in fields)
    # By a part of its RID a work may have another's key
    if not plain or longest not in key:
        raise ValueError(f"must be a key with {{rid}} in it, and of {{nn}} and {{share}} what is wanted: {LAYOUT!r}")
    return layout


def object_key(layout: str, rid: str) -> str:
    """Returns the key of a work's zip by the layout: by the archive's own, ``Archive0/12/W1NLM4712/W1NLM4712.bag.zip``.

    In the layout ``{nn}`` stands for the RID's last two digits (``00`` if these are not digits), and ``{share}`` for
    that number divided by 50, rounded down.
    """
    number = bucket_number(rid)
    return layout.format(rid=rid, nn=f"{number:02d}", share=number // _NUMBERS_PER_PREFIX)
