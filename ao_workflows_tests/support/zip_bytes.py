"""Zips made byte by byte, for what ``zipfile`` will not write, and bags to put in them.

What belongs here: writing a zip's records with any field wrong, and the files of a right bag. What does not: what
a test then expects of them. Nothing of the platform is used: what it reads is made without it.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

STORED = 0
DEFLATED = 8
UTF8 = 1 << 11
FILE = 0o100644
FOLDER = 0o040755

MAX32 = 0xFFFFFFFF
NOON = (12 << 11, (2020 - 1980) << 9 | 6 << 5 | 15)
"""2020-06-15 12:00, as a header packs it: time, date."""


@dataclass(frozen=True)
class Entry:
    """A member of a zip. What is None is what it should be; the ``local_`` fields are the directory's unless given.

    ``content`` is what stands in the zip in place of the data, compressed or not.
    """

    name: str | bytes
    data: bytes = b""
    method: int = STORED
    flags: int = UTF8
    mode: int = FILE
    host: int = 3
    extra: bytes = b""
    content: bytes | None = None
    crc: int | None = None
    size: int | None = None
    packed: int | None = None
    offset: int | None = None
    disk: int = 0
    local_name: bytes | None = None
    local_flags: int | None = None
    local_extra: bytes = b""
    local_method: int | None = None
    local_size: int | None = None
    local_crc: int | None = None
    after: bytes = b""
    """What follows the content: a data descriptor, say."""

    @property
    def raw(self) -> bytes:
        return self.name if isinstance(self.name, bytes) else self.name.encode()

    def in_zip(self) -> bytes:
        if self.content is not None:
            return self.content
        return deflated(self.data) if self.method == DEFLATED else self.data


def deflated(data: bytes) -> bytes:
    """The bytes as method 8 has them."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def _given(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def zip_bytes(
    entries: Iterable[Entry],
    *,
    before: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    disk: int = 0,
    zip64_end: bool = False,
    cut: int = 0,
) -> bytes:
    """The zip; ``before`` stands in front of it, ``count`` is what its end record says, ``cut`` the bytes it lacks."""
    body, directory, listed = b"", b"", 0
    for entry in entries:
        content = entry.in_zip()
        crc, size = _given(entry.crc, zlib.crc32(entry.data)), _given(entry.size, len(entry.data))
        packed = _given(entry.packed, len(content))
        local_name = entry.raw if entry.local_name is None else entry.local_name
        # fmt: off
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", entry.host << 8 | 45, 45, entry.flags, entry.method, *NOON, crc, packed, size,
            len(entry.raw), len(entry.extra), 0, entry.disk, 0, entry.mode << 16, _given(entry.offset, len(body)),
        ) + entry.raw + entry.extra
        body += struct.pack(
            "<4s5H3L2H", b"PK\3\4", 45, _given(entry.local_flags, entry.flags),
            _given(entry.local_method, entry.method), *NOON,
            _given(entry.local_crc, crc), packed, _given(entry.local_size, size),
            len(local_name), len(entry.local_extra),
        ) + local_name + entry.local_extra + content + entry.after
        # fmt: on
        listed += 1
    start = len(body)
    end = b""
    if zip64_end:
        end += struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, listed, listed, len(directory), start)
        end += struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1)
        end += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, MAX32, MAX32, len(comment)) + comment
    else:
        said = _given(count, listed)
        end += struct.pack("<4s4H2LH", b"PK\5\6", disk, disk, said, said, len(directory), start, len(comment)) + comment
    made = before + body + directory + end
    return made[: len(made) - cut]


def end_record(entries: int = 0, size: int = 0, start: int = 0, comment: int = 0) -> bytes:
    """An end record: how many entries, the directory's bytes and place, and how long a comment follows."""
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, entries, entries, size, start, comment)


def extra_field(kind: int, data: bytes) -> bytes:
    """One extra field."""
    return struct.pack("<2H", kind, len(data)) + data


def bag_files(
    payload: Mapping[str, bytes],
    *,
    algorithms: Iterable[str] = ("sha256",),
    version: str = "1.0",
    tags: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """The files of a valid bag by their path in its folder, payload first and manifests last.

    ``tags`` are further tag files, or other ones in place of those that are made.
    """
    algorithms = tuple(algorithms)
    oxum = f"{sum(map(len, payload.values()))}.{len(payload)}"
    files = {f"data/{path}": content for path, content in payload.items()}
    declared = {
        "bagit.txt": f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n".encode(),
        "bag-info.txt": f"Payload-Oxum: {oxum}\n".encode(),
        **{f"manifest-{name}.txt": manifest(files, name) for name in algorithms},
        **(tags or {}),
    }
    tag_manifests = {f"tagmanifest-{name}.txt": manifest(declared, name) for name in algorithms}
    return files | declared | (tag_manifests | {name: tags[name] for name in tag_manifests if tags and name in tags})


def manifest(files: Mapping[str, bytes], algorithm: str) -> bytes:
    """The lines of a manifest of these files; of what RFC 8493 has encoded, percent signs are left as bagit does."""
    written = {path.replace("\r", "%0D").replace("\n", "%0A"): data for path, data in files.items()}
    return "".join(f"{hashlib.new(algorithm, data).hexdigest()}  {path}\n" for path, data in written.items()).encode()


def entries_of(files: Mapping[str, bytes], folder: str = "W1.bag", method: int = STORED) -> list[Entry]:
    """The members of these files below a folder, with an entry for ``data/`` too: a payload may be empty."""
    return [
        Entry(f"{folder}/data/", mode=FOLDER),
        *(Entry(f"{folder}/{path}", data, method) for path, data in files.items()),
    ]


def write_zip(path: Path, entries: Iterable[Entry], **how: object) -> Path:
    """Writes ``zip_bytes`` to a file, and returns its path."""
    path.write_bytes(zip_bytes(entries, **how))  # type: ignore[arg-type]
    return path


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: each file's bytes, None for a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
