"""A work's folder in the archive, listed: its files and its folders' times, or what of it no bag can hold.

What belongs here: the walk. What does not: reading the files (``ao_workflows.deep_copy.bag_stream``).
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ao_workflows.deep_copy.bag_tags import can_be_listed
from ao_workflows.deep_copy.part_layout import part_of_file
from ao_workflows.deep_copy.what_to_copy import ArchivedFile
from ao_workflows.errors import DeepCopyError, Problem


@dataclass(frozen=True)
class ArchivedTree:
    """The files of a work, in the order of their paths, and the times of its folders in ns, by their paths."""

    files: tuple[ArchivedFile, ...]
    times: dict[str, int]


def list_tree(rid: str, place: Path) -> ArchivedTree:
    """Lists a work's folder in the archive.

    :raises DeepCopyError: if there is something in it that is no file, or that a bag cannot name, or if two files would
        come under one name; or if a folder cannot be read.
    """
    files: list[ArchivedFile] = []
    problems: list[Problem] = []
    times: dict[str, int] = {}
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            times[folder.rstrip("/")] = (place / folder).stat().st_mtime_ns
            for entry in os.scandir(place / folder):
                path = f"{folder}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/")
                elif why := _why_not(entry, path):
                    shown = os.fsencode(path).decode(errors="replace")
                    problems.append(Problem("structure", shown, why))
                else:
                    status = entry.stat(follow_symlinks=False)
                    files.append(ArchivedFile(path, status.st_size, status.st_mtime_ns))
        except OSError as error:
            problems.append(Problem("unreadable", folder, f"cannot be read: {error.strerror}"))
    twice = Counter(part_of_file(rid, file.path) for file in files)
    problems += [
        Problem("structure", file.path, "is there twice: turned round, and as other works have it")
        for file in files
        if twice[part_of_file(rid, file.path)] > 1
    ]
    if not files and not problems:
        problems.append(Problem("missing", str(place), "has no file"))
    if problems:
        raise DeepCopyError(rid, place, problems)
    return ArchivedTree(tuple(sorted(files, key=lambda file: file.path)), times)


def _why_not(entry: os.DirEntry[str], path: str) -> str:
    if not entry.is_file(follow_symlinks=False):
        return "is no file: a link, perhaps"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is no UTF-8, and so no bag's"
    return "" if can_be_listed(path) else "its name has %0A or %0D in it, which a bag's manifest takes for a line's end"
