"""Zips of bags to measure with: made on the spot, each content its own, and none of them by the platform.

What belongs here: writing a zip with a bag in it, one of holes among them. What does not: the measuring.
"""

from __future__ import annotations

import hashlib
import random
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

_WORDS = 5000
_HOLE = 1 << 24


def write_bag(
    path: Path, contents: Iterable[bytes], algorithm: str, *, rid: str = "W1", deflated: bool = False
) -> Path:
    """A zip of one bag, the work's, with a file for each content, 500 a folder, its manifests at the end."""
    listed, files, total = [], 0, 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED, compresslevel=6) as bag:
        bag.mkdir(f"{rid}.bag")
        bag.mkdir(f"{rid}.bag/data")
        for number, content in enumerate(contents):
            name = f"data/images/W1-I{number // 500:04}/W1-I{number // 500:04}{number:06}.jpg"
            bag.writestr(f"{rid}.bag/{name}", content)
            listed.append(f"{hashlib.new(algorithm, content).hexdigest()}  {name}\n")
            files, total = files + 1, total + len(content)
        for name, text in _tag_files("".join(listed), f"{total}.{files}", algorithm):
            bag.writestr(f"{rid}.bag/{name}", text)
    return path


def _tag_files(manifest: str, oxum: str, algorithm: str) -> Iterator[tuple[str, str]]:
    tags = {
        "bagit.txt": "BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n",
        "bag-info.txt": f"Payload-Oxum: {oxum}\n",
        f"manifest-{algorithm}.txt": manifest,
    }
    yield from tags.items()
    digests = {name: hashlib.new(algorithm, text.encode()).hexdigest() for name, text in tags.items()}
    yield f"tagmanifest-{algorithm}.txt", "".join(f"{digest} {name}\n" for name, digest in digests.items())


def images(count: int, size: int) -> Iterator[bytes]:
    """Bytes that nothing compresses, as a scanned page's are."""
    chance = random.Random(count)  # noqa: S311 - to fill files
    return (chance.randbytes(size) for _ in range(count))


def texts(count: int, size: int) -> Iterator[bytes]:
    """Words that compress to about two fifths, as a transcribed page's do."""
    chance = random.Random(count)  # noqa: S311 - to fill files
    words = [bytes(chance.choices(range(97, 123), k=chance.randint(2, 9))) for _ in range(_WORDS)]
    return (b" ".join(chance.choices(words, k=size // 6)) for _ in range(count))


def write_bag_of_holes(path: Path, size: int) -> Path:
    """A zip of one bag with one stored file of ``size`` zero bytes, which takes no room: the zip is sparse.

    Laid out by hand, since ``zipfile`` would write every zero.
    """
    hole, crc, digest = bytes(_HOLE), 0, hashlib.sha512()
    for at in range(0, size, _HOLE):
        piece = memoryview(hole)[: size - at]
        crc = zlib.crc32(piece, crc)
        digest.update(piece)
    page = "data/images/W1-I0001/W1-I00010001.tif"
    tags = _tag_files(f"{digest.hexdigest()}  {page}\n", f"{size}.1", "sha512")
    members: list[tuple[str, int, int, bytes | None]] = [(page, size, crc, None)]
    members += [(name, len(text), zlib.crc32(text.encode()), text.encode()) for name, text in tags]
    directory = b""
    with path.open("wb") as out:
        for name, length, checksum, text in members:
            raw, offset = f"W1.bag/{name}".encode(), out.tell()
            wide = struct.pack("<2H2Q", 1, 16, length, length)
            times = (0, 0x5021)
            out.write(struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, *times, checksum, *_WIDE, len(raw), len(wide)))
            out.write(raw + wide)
            if text is None:
                out.seek(length, 1)
            else:
                out.write(text)
            wide = struct.pack("<2H3Q", 1, 24, length, length, offset)
            # fmt: off
            directory += struct.pack(
                "<4s6H3L5H2L", b"PK\1\2", 3 << 8 | 45, 45, 0, 0, *times, checksum, *_WIDE, len(raw), len(wide),
                0, 0, 0, 0o100644 << 16, _WIDE[0],
            ) + raw + wide
            # fmt: on
        start = out.tell()
        out.write(directory)
        end = out.tell()
        out.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *[len(members)] * 2, end - start, start))
        out.write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
        out.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, *_WIDE, 0))
    return path


_WIDE = (0xFFFFFFFF, 0xFFFFFFFF)
