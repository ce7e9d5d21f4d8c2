"""A bag in a folder: its files, their sizes and digests, and names that no bag may have.

What belongs here: walking and reading a folder. What does not: what a bag's files mean (``declarations``, ``rules``).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ao_workflows.bags.declarations import Manifest, algorithms, is_declaration, manifests_among
from ao_workflows.bags.layout import PAYLOAD, TOO_DEEP, too_deep
from ao_workflows.bags.member_names import why_unsafe
from ao_workflows.errors import Problem, StagingError

_CHUNK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass
class FolderContent:
    """What a bag's folder contains, by path in the folder; ``digests`` by hashlib's name of the algorithm."""

    sizes: dict[str, int] = field(default_factory=dict)
    declarations: dict[str, bytes] = field(default_factory=dict)
    manifests: tuple[Manifest, ...] = ()
    digests: dict[str, dict[str, str]] = field(default_factory=dict)
    has_payload_folder: bool = False
    problems: list[Problem] = field(default_factory=list)


def read_folder(
    folder: Path,
    threads: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    control_characters: bool = False,
) -> FolderContent:
    """Reads every file of a bag's folder once, and computes the digests that its manifests need.

    A name that no zip may have is a problem here as well: a folder that is valid must also be accepted as a zip.

    :param progress: called with the bytes done and the bytes in all.
    :param control_characters: whether names may contain control characters.
    :raises StagingError: if a file cannot be read.
    """
    content = FolderContent()
    for path, size, reason in _walk(folder):
        content.has_payload_folder = content.has_payload_folder or path == PAYLOAD
        if reason := reason or _why_unfit(path, control_characters):
            readable = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            content.problems.append(Problem("structure", readable, reason))
        elif not path.endswith("/"):
            content.sizes[path] = size
    content.manifests = manifests_among(content.sizes)
    done, total = 0, sum(content.sizes.values())
    for_payload = algorithms(content.manifests, of_tags=False)
    for_tags = algorithms(content.manifests, of_tags=True)

    def look(path: str) -> tuple[int, dict[str, str]]:
        keep: list[bytes] | None = [] if is_declaration(path) else None
        size, digests = _hashed(folder / path, for_payload if path.startswith(PAYLOAD) else for_tags, keep)
        if keep is not None:
            content.declarations[path] = b"".join(keep)
        return size, digests

    with ThreadPoolExecutor(threads) as pool:
        for path, (size, digests) in zip([*content.sizes], pool.map(look, [*content.sizes]), strict=True):
            content.sizes[path], content.digests[path] = size, digests
            done += size
            if progress:
                progress(done, total)
    return content


def _walk(folder: Path) -> Iterator[tuple[str, int, str]]:
    """Every file's path, its bytes, and why no bag may have it, or nothing; of folders too, with ``/`` at their end."""
    folders = [""]
    while folders:
        for path, size, reason in _look_into(folder, folders.pop()):
            if too_deep(path):
                yield path, 0, TOO_DEEP
                continue
            if path.endswith("/"):
                folders.append(path)
            yield path, size, reason


def _look_into(folder: Path, below: str) -> Iterator[tuple[str, int, str]]:
    """The same of what one folder has; its folders' paths end in ``/``."""
    try:
        with os.scandir(folder / below) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            path = f"{below}{entry.name}"
            if entry.is_symlink():
                yield path, 0, "it is a symbolic link"
            elif entry.is_dir():
                yield f"{path}/", 0, ""
            elif not entry.is_file():
                yield path, 0, "it is neither a file nor a folder"
            else:
                yield path, entry.stat(follow_symlinks=False).st_size, ""
    except OSError as error:
        raise StagingError(folder / below, f"cannot be read: {error.strerror}") from error


def _why_unfit(path: str, control_characters: bool) -> str:
    """Why no bag may have this name, or nothing."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    # Below a folder, as in a zip: no name begins the path.
    return why_unsafe(f"bag/{path}", control_characters) or ""


def _hashed(path: Path, names: tuple[str, ...], keep: list[bytes] | None) -> tuple[int, dict[str, str]]:
    """The file's bytes and digests; its content too, if there is a list to keep it in."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    buffer = memoryview(bytearray(_CHUNK))
    size = 0
    try:
        with open(path, "rb", buffering=0, opener=lambda name, _: os.open(name, _READ)) as stream:
            while got := stream.readinto(buffer):
                piece = buffer[:got]
                size += got
                for each in hashes.values():
                    each.update(piece)
                if keep is not None:
                    keep.append(bytes(piece))
    except OSError as error:
        raise StagingError(path, f"cannot be read: {error.strerror}") from error
    return size, {name: each.hexdigest() for name, each in hashes.items()}
