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

from ao_workflows.bags.declarations import Declared, Manifest, algorithms, manifests_among, read_declaration
from ao_workflows.bags.entries import SIZES, PackedDigests
from ao_workflows.bags.first_few import FirstFew
from ao_workflows.bags.layout import PAYLOAD, TOO_DEEP, too_deep
from ao_workflows.bags.member_names import why_unsafe
from ao_workflows.bags.memory import PER_FILE, Memory, held_for_name
from ao_workflows.errors import Problem, StagingError

_CHUNK = 1 << 20
_PER_DIGEST = 64
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass
class FolderContent:
    """What a bag's folder contains, by path in the folder; ``digests`` by hashlib's name of the algorithm."""

    sizes: dict[str, int] = field(default_factory=dict)
    declared: Declared = field(default_factory=Declared)
    manifests: tuple[Manifest, ...] = ()
    digests: dict[str, PackedDigests] = field(default_factory=dict)
    has_payload_folder: bool = False
    problems: FirstFew[Problem] = field(default_factory=FirstFew)


def read_folder(
    folder: Path,
    threads: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    control_characters: bool = False,
    memory: Memory | None = None,
) -> FolderContent:
    """Reads every file of a bag's folder once, and computes the digests that its manifests need.

    A name that no zip may have is a problem here as well: a folder that is valid must also be accepted as a zip.

    :param progress: called with the bytes done and the bytes in all.
    :param control_characters: whether names may contain control characters.
    :raises StagingError: if a file cannot be read.
    :raises ZipRefused: if it needs more memory than it may.
    """
    content, memory = FolderContent(), memory or Memory(folder)
    for path, size, reason in _walk(folder):
        memory.take(PER_FILE + held_for_name(path))
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

    memory.take(len(content.sizes) * sum(_PER_DIGEST + SIZES[name] for name in for_tags))

    def look(path: str, take: Callable[[bytes], object] | None = None) -> tuple[int, PackedDigests]:
        return _hashed(folder / path, for_payload if path.startswith(PAYLOAD) else for_tags, take)

    def read(path: str, take: Callable[[bytes], object]) -> None:
        note(path, look(path, take))

    def note(path: str, found: tuple[int, PackedDigests]) -> None:
        nonlocal done
        content.sizes[path], content.digests[path] = found
        done += content.sizes[path]
        if progress:
            progress(done, total)

    content.declared = read_declaration("", content.sizes, read, memory)
    left = [path for path in content.sizes if path not in content.digests]
    with ThreadPoolExecutor(threads) as pool:
        for path, found in zip(left, pool.map(look, left), strict=True):
            note(path, found)
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


def _hashed(path: Path, names: tuple[str, ...], take: Callable[[bytes], object] | None) -> tuple[int, PackedDigests]:
    """The file's bytes and digests; its content is passed on, if somebody takes it."""
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
                if take:
                    take(bytes(piece))
    except OSError as error:
        raise StagingError(path, f"cannot be read: {error.strerror}") from error
    return size, PackedDigests(names, tuple(each.digest() for each in hashes.values()))
