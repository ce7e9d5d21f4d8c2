"""What a bag declares: its tag files, read with ``bagit`` as the authority on them.

What belongs here: the declaration, the manifests' entries, the Oxum and fetch.txt (RFC 8493, and its drafts from
0.93 on). What does not: whether the bag is what it declares (``rules``), and how bagit comes to read from memory
(``bagit_in_memory``).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ao_workflows.bags.bagit_in_memory import BagitInMemory, without_place
from ao_workflows.bags.entries import Entries
from ao_workflows.bags.first_few import FirstFew
from ao_workflows.bags.manifests import ManifestReader, decoded
from ao_workflows.bags.memory import Memory
from ao_workflows.bags.tag_lines import SMALL, SmallFile
from ao_workflows.errors import Problem
from ao_workflows.fixity.algorithms import HASHES

_VERSIONS = frozenset({(0, 93), (0, 94), (0, 95), (0, 96), (0, 97), (1, 0)})
_STRICT = (1, 0)

_MANIFEST = re.compile(r"(tag)?manifest-([A-Za-z0-9_-]+)\.txt")
_OTHERS = frozenset({"bagit.txt", "bag-info.txt", "package-info.txt", "fetch.txt"})
_STRICT_DECLARATION = re.compile(
    rb"BagIt-Version: [0-9]+\.[0-9]+(?:\r\n|\r|\n)Tag-File-Character-Encoding: [!-~]+(?:\r\n|\r|\n)?"
)
_OXUM = re.compile(r"([0-9]+)\.([0-9]+)")

_FETCH = "fetch.txt"
_FETCH_BYTES = 1 << 26
_PER_FETCHED = 1000
_AS_FETCHED = 10
_AS_TAGS = 32
"""By so much a file grows when it is read: where each line is a few bytes, and each becomes an object or two."""

ReadFile = Callable[[str, Callable[[bytes], object]], object]
"""Reads one of the bag's files, and passes its bytes on in pieces."""


@dataclass(frozen=True)
class Manifest:
    """A manifest's file name, and hashlib's name of its algorithm, which is None if hashlib does not have it.

    ``of_tags`` says that it is a tag manifest; ``token`` is the algorithm as the file's name has it.
    """

    name: str
    of_tags: bool
    token: str
    algorithm: str | None


@dataclass
class Declared:
    """What a bag's tag files say, and what is wrong with them. Paths are relative to the bag's folder.

    ``entries`` has the digests in the manifests by path, as the path is written there, and by hashlib's name of the
    algorithm. ``decode_first`` says that such paths are probably percent-encoded. ``fetch`` has the paths in fetch.txt,
    ``oxum`` the payload's bytes and files. ``readable`` is false if so much is wrong that nothing can be compared with
    the entries.
    """

    version: tuple[int, int] = (0, 0)
    manifests: tuple[Manifest, ...] = ()
    entries: Entries = field(default_factory=Entries)
    decode_first: bool = False
    fetch: frozenset[str] = frozenset()
    oxum: tuple[int, int] | None = None
    readable: bool = False
    problems: FirstFew[Problem] = field(default_factory=FirstFew)
    warnings: FirstFew[str] = field(default_factory=FirstFew)

    @property
    def strict(self) -> bool:
        """Whether the rules hold that came with version 1.0."""
        return self.version >= _STRICT


def is_declaration(path: str) -> bool:
    """Whether this file is one of those that say what the bag is: bagit.txt, manifests and the like."""
    return path in _OTHERS or _MANIFEST.fullmatch(path) is not None


def manifests_among(paths: Iterable[str]) -> tuple[Manifest, ...]:
    """Returns the manifests among these paths, those of the payload and of tags, in the order of their names.

    RFC 8493, 2.4, writes algorithms without punctuation (``sha3256``), bagit writes them as hashlib does
    (``sha3_256``).
    """
    found = []
    for path in sorted(paths):
        if match := _MANIFEST.fullmatch(path):
            token = match[2]
            plain = re.sub(r"[^a-z0-9]", "", token.lower())
            found.append(Manifest(path, bool(match[1]), token, _BY_PLAIN_NAME.get(plain)))
    return tuple(found)


_BY_PLAIN_NAME = {name.replace("_", ""): name for name in HASHES}


def algorithms(manifests: Iterable[Manifest], *, of_tags: bool) -> tuple[str, ...]:
    """Returns the algorithms by which the payload, or with ``of_tags`` the tag files, must be hashed."""
    return tuple(sorted({it.algorithm for it in manifests if it.algorithm and (of_tags or not it.of_tags)}))


def read_declaration(folder: str, paths: Collection[str], read: ReadFile, memory: Memory) -> Declared:
    """Reads a bag's declarations, each at most once; manifests are held by their entries alone.

    :param folder: comes before the paths in problems; it ends in ``/`` or is empty.
    :param paths: those of all the bag's files.
    :raises ZipRefused: if a file takes more memory than there is, or has a line without an end.
    """
    declared = Declared(manifests=manifests_among(paths))
    files = {path: _read_small(folder, path, read, memory) for path in sorted(_OTHERS.intersection(paths))}
    bagit = BagitInMemory(files)
    try:
        bag = bagit.open()
    except bagit.errors as error:
        declared.problems.append(_structure(folder, bagit.last_read, error))
        return declared
    declared.version = tuple(bag.version_info)
    if declared.version not in _VERSIONS:
        reason = "BagIt-Version {}.{} is none of those from 0.93 to 1.0".format(*declared.version)
        declared.problems.append(_structure(folder, "bagit.txt", reason))
    declared.readable = True
    checks = {"bagit.txt": _check_declaration, _FETCH: _read_fetch, bag.tag_file_name: _read_oxum}
    declared.entries = entries = Entries(paths, memory)
    _read_manifests(declared, folder, entries, bag, read, memory)
    for name, check in checks.items():
        try:
            check(declared, folder, files, bag)
        except bagit.errors as error:
            declared.problems.append(_structure(folder, name, error))
    return declared


def _structure(folder: str, path: str, reason: object) -> Problem:
    return Problem("structure", f"{folder}{path}", without_place(str(reason)))


def _check_declaration(declared: Declared, folder: str, files: Mapping[str, bytes], _bag: Any) -> None:
    declaration = files["bagit.txt"]
    if declaration.startswith(b"\xef\xbb\xbf"):
        declared.problems.append(_structure(folder, "bagit.txt", "it begins with a byte-order mark"))
    elif declared.strict and not _STRICT_DECLARATION.fullmatch(declaration):
        declared.problems.append(
            _structure(folder, "bagit.txt", "it is not the two lines, to the letter, that RFC 8493, 2.1.1, asks for")
        )


def _read_small(folder: str, path: str, read: ReadFile, memory: Memory) -> bytes:
    member = f"{folder}{path}"
    is_fetch = path == _FETCH
    small = SmallFile(_FETCH_BYTES if is_fetch else SMALL, memory.refusal_of(member))

    def feed(piece: bytes) -> None:
        memory.take(len(piece) * (_AS_FETCHED if is_fetch else _AS_TAGS), member)
        small.feed(piece)

    read(path, feed)
    content = small.content()
    if is_fetch:
        memory.take(_PER_FETCHED * (content.count(b"\n") + content.count(b"\r")), member)
    return content


def _read_manifests(
    declared: Declared, folder: str, entries: Entries, bag: Any, read: ReadFile, memory: Memory
) -> None:
    """Reads the manifests' entries; tag manifests count in every version: in none may tag files be wrong."""
    bare_percent = False
    for number, manifest in enumerate(declared.manifests):
        if manifest.algorithm is None:
            declared.warnings.append(
                f"{folder}{manifest.name}: hashlib has no {manifest.token}: its entries were not compared"
            )
            continue
        reader = ManifestReader(
            bag.encoding,
            partial(entries.note, number, manifest.algorithm),
            memory.refusal_of(f"{folder}{manifest.name}"),
            of_tags=manifest.of_tags,
            strict=declared.strict,
        )
        try:
            read(manifest.name, reader.feed)
            reader.end()
        except ValueError as error:
            declared.problems.append(_structure(folder, manifest.name, error))
            declared.readable = False
            continue
        bare_percent = bare_percent or reader.bare_percent
        declared.problems += [_structure(folder, manifest.name, reason) for reason in reader.wrong]
        declared.problems.left_out += reader.wrong.left_out
        declared.warnings += [f"{folder}{manifest.name}: {reason}" for reason in reader.unusual]
        declared.warnings.left_out += reader.unusual.left_out
    declared.decode_first = declared.strict and not bare_percent
    if not any(it.algorithm for it in declared.manifests if not it.of_tags):
        declared.problems.append(
            _structure(folder, "bagit.txt", "the bag has no payload manifest of an algorithm that hashlib has")
        )
    if declared.strict:
        _check_tag_manifests(declared, folder)


def _check_tag_manifests(declared: Declared, folder: str) -> None:
    payload = [it.name for it in declared.manifests if not it.of_tags]
    for manifest in declared.manifests:
        if manifest.of_tags and manifest.algorithm:
            for name in payload:
                if manifest.algorithm not in declared.entries.get(name, {}):
                    declared.problems.append(_structure(folder, manifest.name, f"it does not list {name}"))


def _read_fetch(declared: Declared, folder: str, _files: Mapping[str, bytes], bag: Any) -> None:
    bag.validate_fetch()
    declared.fetch = frozenset(posixpath.normpath(path) for _, _, path in bag.fetch_entries())
    listed = {decoded(path) for path in declared.entries}
    for path in sorted(path for path in declared.fetch if decoded(path) not in listed):
        declared.problems.append(_structure(folder, "fetch.txt", f"{path!r} is in no manifest"))


def _read_oxum(declared: Declared, folder: str, _files: Mapping[str, bytes], bag: Any) -> None:
    values = next((value for name, value in bag.info.items() if name.lower() == "payload-oxum"), None)
    if values is None:
        return
    if isinstance(values, list):
        declared.warnings.append(f"{folder}{bag.tag_file_name}: has several Payload-Oxum; the first counts")
        values = values[0]
    match = _OXUM.fullmatch(values)
    if match is None:
        reason = "it is not bytes, a point, and files"
        declared.problems.append(
            Problem("oxum", f"{folder}{bag.tag_file_name}", f"Payload-Oxum: {reason}", found=values)
        )
        return
    declared.oxum = int(match[1]), int(match[2])
