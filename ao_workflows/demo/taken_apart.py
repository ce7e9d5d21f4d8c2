"""A sample work taken apart, as the archive's deep archive does: each image group inverted in a zip of its own.

What belongs here: which files each part has, and under which names. What does not: bagging and zipping them
(``ao_workflows.demo.samples``), and the platform's own rules for parts, which must not judge themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def taken_apart(rid: str, payload: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yields the name of each part of a work, and its files by their paths in the part's payload.

    The part that is named as the work has all that is in no image group, in a folder of the work's name.

    :param payload: the work's files, by their paths in it.
    """
    parts: dict[str, dict[str, bytes]] = {}
    for path, content in payload.items():
        kind, folder, *rest = path.split("/")
        if kind in {"images", "archive"} and rest:
            parts.setdefault(folder, {})["/".join((folder, kind, *rest))] = content
        else:
            parts.setdefault(rid, {})[f"{rid}/{path}"] = content
    yield from sorted(parts.items())
