"""The manifests' entries, packed: of 200,000 files the digests alone are many bytes as text.

What belongs here: holding digests by path, and handing them out. What does not: a manifest's lines (``manifests``), and
what an entry's path stands for (``rules``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ao_workflows.bags.memory import Memory, held_for_name
from ao_workflows.fixity.algorithms import HASHES

SIZES = {name: make().digest_size for name, make in HASHES.items()}
"""The bytes of a digest, by hashlib's name of its algorithm."""

_MARKS = 255
_PER_STRANGER = 700
"""Bytes of an entry whose path is that of no file: it is a problem too, or one of the names that are searched for."""


class PackedDigests(Mapping[str, str]):
    """A file's digests in hex, by hashlib's names of their algorithms; they are held as bytes, in the same order."""

    __slots__ = ("algorithms", "raw")

    def __init__(self, algorithms: tuple[str, ...], raw: tuple[bytes, ...]) -> None:
        self.algorithms = algorithms
        self.raw = raw

    def __getitem__(self, algorithm: str) -> str:
        try:
            return self.raw[self.algorithms.index(algorithm)].hex()
        except ValueError:
            raise KeyError(algorithm) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.algorithms)

    def __len__(self) -> int:
        return len(self.algorithms)

    def __repr__(self) -> str:
        return repr(dict(self))


class Entries(Mapping[str, Mapping[str, str]]):
    """What the manifests of one bag list: digests by path, as it is written there, and by algorithm.

    A digest has its place in one run of bytes for each algorithm, at the number of its file; so an entry of a file that
    the bag has costs its digest, a byte, and the place of the file's name in a table.

    :param files: the bag's files, whose names are not copied.
    """

    def __init__(self, files: Iterable[str] = (), memory: Memory | None = None) -> None:
        self._rows = {path: row for row, path in enumerate(files)}
        self._memory = memory or Memory(Path())
        self._packed: dict[str, bytearray] = {}
        self._listed: dict[str, bytearray] = {}
        self._odd: dict[tuple[int, str], str] = {}
        self._all: tuple[str, ...] = ()

    def note(self, manifest: int, algorithm: str, path: str, digest: str) -> str | None:
        """Notes the digest of a path; returns the one that it has already from this manifest, or another one.

        :param manifest: the manifest's number.
        :param digest: in small letters. One that cannot be any is noted as it is.
        :raises ZipRefused: if there is no memory for it.
        """
        size = SIZES[algorithm]
        if algorithm not in self._packed:
            self._memory.take(len(self._rows) * (size + 1))
            self._packed[algorithm] = bytearray(len(self._rows) * size)
            self._listed[algorithm] = bytearray(len(self._rows))
            self._all = tuple(sorted(self._packed))
        packed, listed = self._packed[algorithm], self._listed[algorithm]
        row = self._rows.get(path)
        if row is None:
            self._memory.take(_PER_STRANGER + held_for_name(path), path)
            row = self._rows[path] = len(self._rows)
        if row >= len(listed):
            lacking = row + 1 - len(listed)
            self._memory.take(lacking * (size + 1), path)
            packed.extend(bytes(lacking * size))
            listed.extend(bytes(lacking))
        place, mark = slice(row * size, row * size + size), manifest % _MARKS + 1
        if listed[row]:
            before = self._odd.get((row, algorithm)) or packed[place].hex()
            if before != digest or listed[row] == mark:
                return before
        listed[row] = mark
        try:
            raw = bytes.fromhex(digest)
        except ValueError:
            raw = b""
        if len(raw) == size:
            packed[place] = raw
        else:
            self._memory.take(_PER_STRANGER + held_for_name(digest), path)
            self._odd[row, algorithm] = digest
        return None

    def each(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yields every path that is listed, with its digests."""
        columns = [(SIZES[name], self._packed[name], self._listed[name]) for name in self._all]
        for path, row in self._rows.items():
            if self._odd or not columns or any(row >= len(listed) or not listed[row] for _, _, listed in columns):
                if path in self:
                    yield path, self[path]
            else:
                raw = [bytes(packed[row * size : row * size + size]) for size, packed, _ in columns]
                yield path, PackedDigests(self._all, tuple(raw))

    def __getitem__(self, path: str) -> Mapping[str, str]:
        row = self._rows[path]
        by = tuple(name for name in self._all if row < len(self._listed[name]) and self._listed[name][row])
        if not by:
            raise KeyError(path)
        raw = PackedDigests(by, tuple([self._raw(row, name) for name in by]))
        odd = {name: self._odd[row, name] for name in by if (row, name) in self._odd}
        return {**raw, **odd} if odd else raw

    def _raw(self, row: int, algorithm: str) -> bytes:
        size = SIZES[algorithm]
        return bytes(self._packed[algorithm][row * size : row * size + size])

    def __contains__(self, path: object) -> bool:
        row = self._rows.get(path)  # type: ignore[call-overload]
        return row is not None and any(row < len(listed) and listed[row] for listed in self._listed.values())

    def __iter__(self) -> Iterator[str]:
        return (path for path in self._rows if path in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
