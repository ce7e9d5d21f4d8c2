"""Object keys: the key of a work's zip in a staging bucket, and where the work's parts lie beside it.

What belongs here: the patterns of keys, their check, the key, the prefix. What does not: whose part a key is
(``ao_workflows.works.parts``), and the archive's own places (``ao_workflows.archive.places``).
"""

from __future__ import annotations

from collections.abc import Iterable
from string import Formatter

from ao_workflows.works.rids import RID_LENGTH, bucket_number

LAYOUT = "Archive{share}/{nn}/{rid}/{rid}.bag.zip"
"""Where the archive's uploads put a work's zip in a staging bucket until 2024."""

PLACES = ("Archive{quarter}/{nn}/{rid}/{rid}.bag.zip", LAYOUT)
"""Where a work's zip, and its parts, may be: where they are put now, and where they were before. For half of all works
the two are one.
"""


_FIELDS = ("rid", "nn", "share", "quarter")


def check_layout(layout: str) -> str:
    """Returns ``layout`` if it gives every work an object key of its own.

    :param layout: a key with ``{rid}`` in it, and with ``{nn}``, ``{quarter}`` and ``{share}`` where they are wanted.
    :raises ValueError: in words for whoever writes site.toml.
    """
    longest = "W".ljust(RID_LENGTH, "1")
    try:
        fields = [(name, spec or "", conversion) for _, name, spec, conversion in Formatter().parse(layout) if name]
        key = layout.format(rid=longest, nn="12", share=0, quarter=0)
    except (ValueError, LookupError, AttributeError):
        fields, key = [], ""
    plain = all(name in _FIELDS and "{" not in spec and not conversion for name, spec, conversion in fields)
    # By a part of its RID a work may have another's key
    if not plain or longest not in key:
        raise ValueError(
            f"must be a key with {{rid}} in it, and of {{nn}}, {{quarter}} and {{share}} what is wanted: {PLACES[0]!r}"
        )
    return layout


def object_key(layout: str, rid: str) -> str:
    """Returns the key of a work's zip by the layout: by the archive's own, ``Archive0/12/W1NLM4712/W1NLM4712.bag.zip``.

    In the layout ``{nn}`` stands for the RID's last two digits (``00`` if these are not digits), ``{quarter}`` for that
    number divided by 25, rounded down, as the archive's shares are counted, and ``{share}`` for it divided by 50.
    """
    number = bucket_number(rid)
    return layout.format(rid=rid, nn=f"{number:02d}", share=number // 50, quarter=number // 25)


def prefix_of_parts(layout: str, rid: str) -> str:
    """Returns with what the keys of a work's parts begin: ``Archive0/00/W1NLM4700/``, the folder of its zip.

    If that folder is not the work's own, it is the folder and the RID; keys of other works may begin with that, too.
    """
    folder, slash, _ = object_key(layout, rid).rpartition("/")
    return f"{folder}/" if folder.rpartition("/")[2] == rid else f"{folder}{slash}{rid}"


def keys_of_part(places: Iterable[str], rid: str, name: str) -> frozenset[str]:
    """Returns all keys under which an intake's bucket may have one part of a work, by its patterns.

    Where the uploads were put until 2024 and where they are put now, a zip of one name is the same part.

    :param name: the part's; the RID for the zip that is named as the work.
    """
    keys = (object_key(place, rid).rpartition("/") for place in places)
    return frozenset(f"{folder}{slash}{file.replace(rid, name)}" for folder, slash, file in keys if rid in file)
