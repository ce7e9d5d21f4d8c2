"""BagIt's rules: a bag's files and digests compared with its manifests, Oxum and fetch.txt.

What belongs here: the comparison, and every difference in words. What does not: reading the tag files
(``declarations``), and where files and digests come from, a zip or a folder (``proof``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ao_workflows.bags.declarations import Declared, algorithms, is_declaration
from ao_workflows.bags.entries import PackedDigests
from ao_workflows.bags.first_few import FirstFew
from ao_workflows.bags.layout import PAYLOAD
from ao_workflows.bags.manifests import names_meant
from ao_workflows.bags.member_names import control_character
from ao_workflows.errors import Problem

Digests = Mapping[str, str]
"""Hex digests by hashlib's names of their algorithms."""


@dataclass
class BagValidation:
    """The result of validating one bag; paths are those in the bag.

    ``digests`` has the digests of every file that could be read. ``vouched`` has, of each file that the manifests name
    and that the bag contains, the digests that the manifests give.
    """

    problems: FirstFew[Problem] = field(default_factory=FirstFew)
    warnings: FirstFew[str] = field(default_factory=FirstFew)
    digests: dict[str, Digests] = field(default_factory=dict)
    vouched: dict[str, Digests] = field(default_factory=dict)
    payload_files: int = 0
    payload_bytes: int = 0


def validate_bag(
    folder: str,
    declared: Declared,
    sizes: Mapping[str, int],
    found: Callable[[str], Digests | None],
    has_payload_folder: bool,
) -> BagValidation:
    """Compares what a bag declares with what it contains.

    :param folder: comes before the paths in problems.
    :param sizes: the bytes of every file, by its path in the bag.
    :param found: returns a file's digests; None if the file is damaged, which is reported elsewhere.
    """
    validation = BagValidation()
    validation.problems += declared.problems
    validation.warnings += declared.warnings
    for path, size in sizes.items():
        if path.startswith(PAYLOAD):
            validation.payload_files += 1
            validation.payload_bytes += size
    if not has_payload_folder:
        validation.problems.append(Problem("structure", f"{folder}data", "the payload's folder is not there"))
    elif not validation.payload_files:
        validation.warnings.append(f"{folder}{PAYLOAD}: has no file: the bag is valid, and holds no work")
    validation.warnings += _oddities(folder, sizes)
    if declared.readable:
        listed = _compare_entries(folder, declared, sizes, found, validation)
        _compare_coverage(folder, declared, sizes, listed, validation)
        _compare_oxum(folder, declared, validation)
    for path in sizes:
        if path not in validation.digests and (digests := found(path)) is not None:
            validation.digests[path] = digests
    return validation


def as_found(sizes: Mapping[str, int], found: Callable[[str], Digests | None]) -> BagValidation:
    """Returns the result for a work without a manifest: every file is payload, and has the digests that it has."""
    validation = BagValidation(payload_files=len(sizes), payload_bytes=sum(sizes.values()))
    validation.warnings += _oddities("", sizes)
    for path in sizes:
        if (digests := found(path)) is not None:
            validation.digests[path] = digests
    return validation


def _oddities(folder: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if control_character(name):
            yield f"{folder}{name}: has a control character in its name, and is taken"


def _compare_entries(
    folder: str,
    declared: Declared,
    sizes: Mapping[str, int],
    found: Callable[[str], Digests | None],
    validation: BagValidation,
) -> dict[str, tuple[str, ...]]:
    """Compares the manifests' entries with the files; returns the algorithms by which each file is listed."""
    listed: dict[str, tuple[str, ...]] = {}
    others = _Others(sizes, declared, listed, found)
    for entry, expected in others.those_that_are_certain_first():
        path = entry if "%" not in entry and entry in sizes else others.find(entry, expected)
        if path is None:
            entry = others.likeliest(entry)  # noqa: PLW2901
            reason = "it is in the manifest and not in the bag"
            if entry in declared.fetch:
                reason = "it is to be fetched, which is never done: the bag is incomplete"
            validation.problems.append(Problem("missing", folder + entry, reason))
            continue
        if path != entry and entry.rstrip(" \t\r") == path.rstrip(" \t\r"):
            validation.warnings.append(f"{folder}{path}: is listed as {entry!r}, which ends in another way")
        if path in listed:
            validation.warnings.append(f"{folder}{path}: is listed more than once, under names that look the same")
        by = expected.algorithms if isinstance(expected, PackedDigests) else tuple(expected)
        listed[path] = (*listed[path], *by) if path in listed else by
        digests = found(path)
        if digests is not None:
            validation.digests[path] = digests
            if path not in validation.vouched and _are_the_same(digests, expected):
                # Equal ones are kept once: 200,000 files' digests are many bytes.
                validation.vouched[path] = digests
                continue
        validation.vouched[path] = {**validation.vouched[path], **expected} if path in validation.vouched else expected
        if digests is None:
            continue
        for algorithm, digest in expected.items():
            if digests[algorithm] != digest:
                reason = f"its {algorithm} is not the one in the manifest"
                validation.problems.append(
                    Problem("checksum", folder + path, reason, algorithm, digest, digests[algorithm])
                )
    return listed


def _are_the_same(digests: Digests, expected: Digests) -> bool:
    if isinstance(digests, PackedDigests) and isinstance(expected, PackedDigests):
        return digests.algorithms == expected.algorithms and digests.raw == expected.raw
    return digests == expected


class _Others:
    """The files that entries mean whose names are not the entries' own, letter by letter.

    RFC 8493, 2.1.3 and 5.1.3: a manifest encodes some characters (``manifests.names_meant``), and names are the same
    that differ in Unicode normalisation alone. Whichever of the names it is, its digest proves it; so where several
    fit, the one counts that has the digest and that no other entry has taken.
    """

    def __init__(
        self,
        names: Mapping[str, int],
        declared: Declared,
        listed: Mapping[str, tuple[str, ...]],
        found: Callable[[str], Digests | None],
    ) -> None:
        self._names = names
        self._declared = declared
        self._listed = listed
        self._found = found
        self._normal: dict[str, str] | None = None

    def those_that_are_certain_first(self) -> Iterator[tuple[str, Digests]]:
        """The manifests' entries; those come last that may mean the most files."""
        doubtful = [entry for entry in self._declared.entries if "%" in entry]
        doubtful.sort(key=lambda entry: len(self._there(entry)))
        yield from (it for it in self._declared.entries.each() if "%" not in it[0])
        yield from ((entry, self._declared.entries[entry]) for entry in doubtful)

    def likeliest(self, entry: str) -> str:
        return next(self._meant(entry))

    def find(self, entry: str, expected: Digests) -> str | None:
        there = self._there(entry)
        free = [path for path in there if not expected.keys() & self._listed.get(path, ())]
        if len(free) > 1:
            free.sort(key=lambda path: not self._is(path, expected))
        return next(iter(free or there), None)

    def _there(self, entry: str) -> list[str]:
        return list(dict.fromkeys(path for name in self._meant(entry) if (path := self._file(name)) is not None))

    def _meant(self, entry: str) -> Iterator[str]:
        return names_meant(entry, decode_first=self._declared.decode_first, strict=self._declared.strict)

    def _file(self, name: str) -> str | None:
        if name in self._names:
            return name
        if self._normal is None:
            self._normal = {unicodedata.normalize("NFC", name): name for name in self._names}
        return self._normal.get(unicodedata.normalize("NFC", name))

    def _is(self, path: str, expected: Digests) -> bool:
        digests = self._found(path) or {}
        return all(digests.get(algorithm) == digest for algorithm, digest in expected.items())


def _compare_coverage(
    folder: str,
    declared: Declared,
    sizes: Mapping[str, int],
    listed: Mapping[str, tuple[str, ...]],
    validation: BagValidation,
) -> None:
    """Every payload file is in a manifest, from version 1.0 on in each; tag files that are in none are told, save those
    that every bag has, where it has no tag manifest.
    """
    needed = set(algorithms(declared.manifests, of_tags=False)) if declared.strict else set()
    tags_are_listed = any(manifest.of_tags for manifest in declared.manifests)
    for path in sizes:
        by = listed.get(path)
        if path.startswith(PAYLOAD):
            if by is None:
                reason = "it is in the bag and not in the manifest"
                validation.problems.append(Problem("unexpected", folder + path, reason))
            elif needed.difference(by):
                reason = f"it is not in the manifest of {', '.join(sorted(needed.difference(by)))}"
                validation.problems.append(Problem("structure", folder + path, reason))
        elif by is None and (not is_declaration(path) or (tags_are_listed and not path.startswith("tagmanifest-"))):
            validation.warnings.append(f"{folder}{path}: is in no tag manifest, so it is not proven")


def _compare_oxum(folder: str, declared: Declared, validation: BagValidation) -> None:
    has = validation.payload_bytes, validation.payload_files
    if declared.oxum is not None and declared.oxum != has:
        name = "bag-info.txt" if declared.version >= (0, 96) else "package-info.txt"
        reason = "Payload-Oxum has other bytes or files than the payload"
        validation.problems.append(
            Problem("oxum", folder + name, reason, "", "{}.{}".format(*declared.oxum), "{}.{}".format(*has))
        )
