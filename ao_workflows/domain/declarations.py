"""What a bag declares: its tag files, read with ``bagit`` as the authority on them.

What belongs here: the declaration, the manifests' entries, the Oxum and fetch.txt (RFC 8493, and its drafts from
0.93 on). What does not: whether the bag is what it declares (``bag_rules``).

``bagit`` gets the very bytes that were read and hashed, in memory: what it judges is what is proven, and no tag
file is read a second time.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

from ao_workflows.domain.bag_layout import PAYLOAD
from ao_workflows.domain.errors import Problem
from ao_workflows.domain.zips import HASHES

_VERSIONS = frozenset({(0, 93), (0, 94), (0, 95), (0, 96), (0, 97), (1, 0)})
_TAG_MANIFESTS_COUNT = (0, 97)
_STRICT = (1, 0)

_MANIFEST = re.compile(r"(tag)?manifest-([A-Za-z0-9_-]+)\.txt")
_OTHERS = frozenset({"bagit.txt", "bag-info.txt", "package-info.txt", "fetch.txt"})
_STRICT_DECLARATION = re.compile(
    rb"BagIt-Version: [0-9]+\.[0-9]+(?:\r\n|\r|\n)Tag-File-Character-Encoding: [!-~]+(?:\r\n|\r|\n)?"
)
_OXUM = re.compile(r"([0-9]+)\.([0-9]+)")
_ENTRY = re.compile(r"[ \t]*(\S+)[ \t]+(\*?)((?:\./)*)(.*\S)\s*")


@dataclass(frozen=True)
class Manifest:
    """A manifest's file name, and hashlib's name of its algorithm; None where hashlib has none."""

    name: str
    of_tags: bool
    token: str
    algorithm: str | None


@dataclass
class Declared:
    """What a bag's tag files say, and what is wrong with them. Paths are relative to the bag's folder.

    ``entries`` has each manifest entry's digests by hashlib's name of the algorithm, ``fetch`` the paths that
    fetch.txt would bring, ``oxum`` the payload's bytes and files; ``readable`` is false where so much is wrong that
    nothing can be compared with the entries.
    """

    version: tuple[int, int] = (0, 0)
    manifests: tuple[Manifest, ...] = ()
    entries: dict[str, dict[str, str]] = field(default_factory=dict)
    fetch: frozenset[str] = frozenset()
    oxum: tuple[int, int] | None = None
    readable: bool = False
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def strict(self) -> bool:
        """Whether the rules that came with version 1.0 hold."""
        return self.version >= _STRICT


def is_declaration(path: str) -> bool:
    """Whether this file says what the bag is."""
    return path in _OTHERS or _MANIFEST.fullmatch(path) is not None


def manifests_among(paths: Iterable[str]) -> tuple[Manifest, ...]:
    """The manifests, payload's and tags', in the order of their names.

    RFC 8493, 2.4, names algorithms without punctuation (``sha3256``), bagit as hashlib does (``sha3_256``).
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
    """The algorithms by which payload must be hashed, or tag files: by all that the bag names, these."""
    return tuple(sorted({it.algorithm for it in manifests if it.algorithm and (of_tags or not it.of_tags)}))


def read_declaration(folder: str, files: Mapping[str, bytes]) -> Declared:
    """Reads a bag's declarations, ``files``; problems name them below ``folder``, which ends in ``/`` or is empty."""
    declared = Declared(manifests=manifests_among(files))
    kept = _Kept()
    read: list[str] = ["bagit.txt"]
    module = _bagit_over(files, [it.token for it in declared.manifests if it.algorithm], kept, read)
    wrong = (module.BagError, ValueError, LookupError, AttributeError, TypeError)
    try:
        bag = _opened(module)
    except wrong as error:
        declared.problems.append(_structure(folder, read[-1], error))
        return declared
    declared.version = tuple(bag.version_info)
    if declared.version not in _VERSIONS:
        reason = "BagIt-Version {}.{} is none of those from 0.93 to 1.0".format(*declared.version)
        declared.problems.append(_structure(folder, "bagit.txt", reason))
    declared.readable = True
    declared.entries = _by_algorithm(bag.entries, declared.manifests)
    for check in (_check_declaration, _check_manifests, _read_fetch, _read_oxum):
        try:
            check(declared, folder, files, bag)
        except wrong as error:
            declared.problems.append(_structure(folder, read[-1], error))
    declared.warnings += [f"{folder}{line}" for line in kept.lines]
    return declared


def _structure(folder: str, path: str, reason: object) -> Problem:
    return Problem("structure", f"{folder}{path}", _without_place(str(reason)))


def _without_place(message: str) -> str:
    return message.replace(f"{_NOWHERE}: ", "").replace(f"{_NOWHERE}/", "")


_NOWHERE = "/bag"


def _bagit_over(
    files: Mapping[str, bytes], tokens: Iterable[str], kept: logging.Handler, read: list[str]
) -> ModuleType:
    """bagit's own module once more, privately, with ``files`` in place of the disk.

    It looks only for manifests with ``tokens``. What it logs goes to ``kept``, the names of what it reads to ``read``.
    """
    spec = importlib.util.find_spec("bagit")
    if spec is None or spec.loader is None:
        raise ImportError("bagit is not installed")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def name_of(path: str) -> str:
        return posixpath.relpath(path, _NOWHERE)

    def open_text_file(path: str, _mode: str = "r", encoding: str = "utf-8") -> io.TextIOWrapper:
        read.append(name_of(path))
        content = io.BytesIO(files[read[-1]])
        content.name = path
        return io.TextIOWrapper(content, encoding=encoding, errors="strict")

    def is_there(path: str) -> bool:
        return name_of(path) in files

    logger = logging.Logger("bagit", logging.WARNING)
    logger.addHandler(kept)
    names: dict[str, Any] = vars(module)
    names["open_text_file"] = open_text_file
    names["os"] = SimpleNamespace(
        sep="/", path=SimpleNamespace(**vars(posixpath) | {"isfile": is_there, "exists": is_there})
    )
    names["LOGGER"] = logger
    names["CHECKSUM_ALGOS"] = tuple(dict.fromkeys(tokens))
    return module


def _opened(module: ModuleType) -> Any:
    class Bag(module.Bag):  # type: ignore[name-defined, misc]
        version_info: tuple[int, int]

        def _path_is_dangerous(self, path: str) -> bool:
            # bagit asks the disk, five times an entry; here no path comes near one.
            return path.startswith(("/", "~", "../")) or path == ".."

        def _load_manifests(self) -> None:
            # Tag manifests count in every version: RFC 8493 has no bag whose tag files may be wrong.
            declared = self.version_info
            self.version_info = max(declared, _TAG_MANIFESTS_COUNT)
            try:
                super()._load_manifests()
            finally:
                self.version_info = declared

    return Bag(_NOWHERE)


class _Kept(logging.Handler):
    """Keeps bagit's warnings. Its errors are found again, with their place, by the checks below."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            self.lines.append(_without_place(record.getMessage()))


def _by_algorithm(entries: dict[str, dict[str, str]], manifests: Iterable[Manifest]) -> dict[str, dict[str, str]]:
    names = {it.token: it.algorithm for it in manifests if it.algorithm}
    same = all(token == name for token, name in names.items())
    for path, digests in entries.items():
        if not same or any(digest != digest.lower() for digest in digests.values()):
            entries[path] = {names[token]: digest.lower() for token, digest in digests.items()}
    return entries


def _check_declaration(declared: Declared, folder: str, files: Mapping[str, bytes], _bag: Any) -> None:
    declaration = files["bagit.txt"]
    if declaration.startswith(b"\xef\xbb\xbf"):
        declared.problems.append(_structure(folder, "bagit.txt", "it begins with a byte-order mark"))
    elif declared.strict and not _STRICT_DECLARATION.fullmatch(declaration):
        declared.problems.append(
            _structure(folder, "bagit.txt", "it is not the two lines, to the letter, that RFC 8493, 2.1.1, asks for")
        )


def _check_manifests(declared: Declared, folder: str, files: Mapping[str, bytes], bag: Any) -> None:
    """What bagit lets pass: lines that are no entries, ``..``, entries of the wrong kind, unknown algorithms."""
    for manifest in declared.manifests:
        if manifest.algorithm is None:
            declared.warnings.append(
                f"{folder}{manifest.name}: hashlib has no {manifest.token}: its entries were not compared"
            )
            continue
        marked = False
        for line in io.TextIOWrapper(io.BytesIO(files[manifest.name]), encoding=bag.encoding):
            if not line.strip("\ufeff \t\r\n") or line.startswith("#"):
                continue
            entry = _ENTRY.fullmatch(line.lstrip("\ufeff"))
            if entry is None:
                reason = f"{line.strip()!r} is not a digest and a path"
                declared.problems.append(_structure(folder, manifest.name, reason))
                continue
            path = entry[4]
            marked = marked or bool(entry[2] or entry[3])
            if ".." in path and ".." in path.split("/"):
                declared.problems.append(_structure(folder, manifest.name, f"the path {path!r} has '..' in it"))
            elif manifest.of_tags and declared.strict and path.startswith("tagmanifest-"):
                declared.problems.append(_structure(folder, manifest.name, f"it lists the tag manifest {path!r}"))
            elif not manifest.of_tags and not path.startswith(PAYLOAD):
                declared.problems.append(_structure(folder, manifest.name, f"{path!r} is no payload"))
        if marked:
            declared.warnings.append(f"{folder}{manifest.name}: has paths that begin with '*' or './'")
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
    try:
        entries = list(bag.fetch_entries())
    except ValueError as error:
        raise ValueError("a line is not a URL, a length and a path") from error
    bag.validate_fetch()
    declared.fetch = frozenset(posixpath.normpath(path) for _, _, path in entries)
    for path in sorted(declared.fetch - declared.entries.keys()):
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
