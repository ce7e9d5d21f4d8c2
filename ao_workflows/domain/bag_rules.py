"""Whether a bag is what it declares: its files and their digests against its manifests, Oxum and fetch.txt.

What belongs here: the comparison, and every difference in words. What does not: reading the tag files
(``declarations``), and where files and digests come from, a zip or a folder (``bags``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ao_workflows.domain.bag_layout import PAYLOAD
from ao_workflows.domain.declarations import Declared, algorithms
from ao_workflows.domain.errors import Problem

Digests = Mapping[str, str]
"""Hex digests by hashlib's names of their algorithms."""


@dataclass
class Verdict:
    """What a bag turned out to be, by paths in the bag.

    ``digests`` has those of every file that could be read; ``vouched`` those that the manifests give, of each file
    that they name and the bag has.
    """

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    digests: dict[str, Digests] = field(default_factory=dict)
    vouched: dict[str, Digests] = field(default_factory=dict)
    payload_files: int = 0
    payload_bytes: int = 0


def judge(
    folder: str,
    declared: Declared,
    sizes: Mapping[str, int],
    found: Callable[[str], Digests | None],
    has_payload_folder: bool,
) -> Verdict:
    """Compares what the bag declares with what it has. Problems name paths below ``folder``.

    ``sizes`` has the bytes of every file by its path in the bag's folder; ``found`` returns a file's digests, or
    None if it is damaged, which is reported elsewhere.
    """
    verdict = Verdict([*declared.problems], [*declared.warnings])
    for path, size in sizes.items():
        if path.startswith(PAYLOAD):
            verdict.payload_files += 1
            verdict.payload_bytes += size
    if not has_payload_folder:
        verdict.problems.append(Problem("structure", f"{folder}data", "the payload's folder is not there"))
    elif not verdict.payload_files:
        verdict.warnings.append(f"{folder}{PAYLOAD}: has no file: the bag is valid, and holds no work")
    if declared.readable:
        listed = _compare_entries(folder, declared, sizes, found, verdict)
        _compare_coverage(folder, declared, sizes, listed, verdict)
        _compare_oxum(folder, declared, verdict)
    for path in sizes:
        if path not in verdict.digests and (digests := found(path)) is not None:
            verdict.digests[path] = digests
    return verdict


def as_found(sizes: Mapping[str, int], found: Callable[[str], Digests | None]) -> Verdict:
    """The verdict on a work without a manifest: all is payload, and its digests are what they are."""
    verdict = Verdict(payload_files=len(sizes), payload_bytes=sum(sizes.values()))
    for path in sizes:
        if (digests := found(path)) is not None:
            verdict.digests[path] = digests
    return verdict


def _compare_entries(
    folder: str,
    declared: Declared,
    sizes: Mapping[str, int],
    found: Callable[[str], Digests | None],
    verdict: Verdict,
) -> dict[str, set[str]]:
    """Compares the manifests' entries with the files; returns the algorithms by which each file is listed."""
    others = _Others(sizes)
    listed: dict[str, set[str]] = {}
    for entry, expected in declared.entries.items():
        path = entry if entry in sizes else others.find(entry)
        if path is None:
            reason = "it is in the manifest and not in the bag"
            if entry in declared.fetch:
                reason = "it is to be fetched, which is never done: the bag is incomplete"
            verdict.problems.append(Problem("missing", folder + entry, reason))
            continue
        if path in listed:
            verdict.warnings.append(f"{folder}{path}: is listed more than once, under names that look the same")
        listed.setdefault(path, set()).update(expected)
        verdict.vouched[path] = {**verdict.vouched[path], **expected} if path in verdict.vouched else expected
        digests = found(path)
        if digests is None:
            continue
        # Equal ones are kept once: 200,000 files' digests are many bytes.
        verdict.digests[path] = expected if digests == expected else digests
        for algorithm, digest in expected.items():
            if digests[algorithm] != digest:
                reason = f"its {algorithm} is not the one in the manifest"
                verdict.problems.append(
                    Problem("checksum", folder + path, reason, algorithm, digest, digests[algorithm])
                )
    return listed


class _Others:
    """Files by the other names that a manifest may have for them.

    RFC 8493, 5.1.3 and 2.1.3: names are the same that differ in Unicode normalisation alone, and a manifest writes
    ``%25`` for ``%``. bagit writes ``%`` as it is, so the plain name goes first.
    """

    def __init__(self, names: Mapping[str, int]) -> None:
        self._names = names
        self._normal: dict[str, str] | None = None

    def find(self, entry: str) -> str | None:
        if self._normal is None:
            self._normal = {unicodedata.normalize("NFC", name): name for name in self._names}
        normal = unicodedata.normalize("NFC", entry)
        return self._normal.get(normal) or self._normal.get(normal.replace("%25", "%"))


def _compare_coverage(
    folder: str, declared: Declared, sizes: Mapping[str, int], listed: Mapping[str, set[str]], verdict: Verdict
) -> None:
    """Every payload file is in a manifest, from version 1.0 on in each; tag files that are in none are told."""
    needed = set(algorithms(declared.manifests, of_tags=False)) if declared.strict else set()
    tags_are_listed = any(manifest.of_tags for manifest in declared.manifests)
    for path in sizes:
        by = listed.get(path)
        if path.startswith(PAYLOAD):
            if by is None:
                reason = "it is in the bag and not in the manifest"
                verdict.problems.append(Problem("unexpected", folder + path, reason))
            elif needed - by:
                reason = f"it is not in the manifest of {', '.join(sorted(needed - by))}"
                verdict.problems.append(Problem("structure", folder + path, reason))
        elif by is None and tags_are_listed and not path.startswith("tagmanifest-"):
            verdict.warnings.append(f"{folder}{path}: is in no tag manifest, so it is not proven")


def _compare_oxum(folder: str, declared: Declared, verdict: Verdict) -> None:
    has = verdict.payload_bytes, verdict.payload_files
    if declared.oxum is not None and declared.oxum != has:
        name = "bag-info.txt" if declared.version >= (0, 96) else "package-info.txt"
        reason = "Payload-Oxum has other bytes or files than the payload"
        verdict.problems.append(
            Problem("oxum", folder + name, reason, "", "{}.{}".format(*declared.oxum), "{}.{}".format(*has))
        )
