"""The bag of one part as a zip: which members it has, where each begins, and the bytes that no file gives.

What belongs here: the zip's beginning and end, and its identity. What does not: reading the files
(``ao_workflows.deep_copy.bag_stream``), and the records of a zip (``ao_workflows.deep_copy.zip_layout``).

The manifests follow the payload, so that the files are read once: their digests are not needed before.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ao_workflows.deep_copy.bag_tags import ALGORITHM, BAGIT, bag_info, manifest, manifest_size, tag_manifest
from ao_workflows.deep_copy.what_to_copy import FileToCopy, PartToCopy
from ao_workflows.deep_copy.zip_layout import (
    ZipMember,
    after_bytes,
    directory_end,
    directory_entry,
    local_header,
    stored_size,
)

_BAG = ".bag"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """What was found in a file while it was read: the CRC32 of its bytes, and its digests in hex."""

    crc: int
    digests: Mapping[str, str]


class PartBag:
    """The bag of a part, as bytes that can be counted before a file is read.

    ``members`` are the payload's files in the part's order, and ``starts`` where in the zip each of them begins, the
    last one being where the manifests do.

    :param times: the times of the work's folders in ns, by their paths in the work.
    """

    def __init__(self, part: PartToCopy, times: Mapping[str, int]) -> None:
        self.name = part.name
        self.files: Sequence[FileToCopy] = part.files
        self._top = f"{part.name}{_BAG}/"
        self._newest = max(file.modified_ns for file in part.files)
        self._payload = [file.payload for file in part.files]
        self.members = [
            ZipMember(f"{self._top}data/{file.payload}", file.size, file.modified_ns) for file in part.files
        ]
        self._before = [
            *(ZipMember(name, 0, modified) for name, modified in self._folders(times)),
            ZipMember(f"{self._top}bagit.txt", len(BAGIT), self._newest),
        ]
        self.head = b"".join(local_header(member) for member in self._before) + BAGIT
        self.head += after_bytes(self._before[-1], zlib.crc32(BAGIT))
        self.starts = list(accumulate(map(stored_size, self.members), initial=len(self.head)))
        self.size = self.starts[-1] + self._tail_size()

    @property
    def payload_bytes(self) -> int:
        """The payload's bytes."""
        return sum(file.size for file in self.files)

    def identity(self) -> str:
        """Returns a digest of the bag's layout: of its files' names, sizes and times, not of what is in them."""
        found = hashlib.sha256(self.head)
        for member in self.members:
            found.update(local_header(member))
            found.update(f"{member.size},{member.modified_ns};".encode())
        return found.hexdigest()

    def tail(self, found: Sequence[FoundFile]) -> bytes:
        """Returns what follows the payload: the manifests and the zip's directory.

        :param found: what was found in each file, in their order.
        """
        listing = manifest(self._payload, (each.digests[ALGORITHM] for each in found))
        out, entries = bytearray(), []
        for member, start in zip(self._before, accumulate(self._sizes_before(), initial=0), strict=False):
            entries.append(directory_entry(member, 0 if member.is_folder else zlib.crc32(BAGIT), start))
        for member, start, each in zip(self.members, self.starts, found, strict=False):
            entries.append(directory_entry(member, each.crc, start))
        for name, content in self._tags(listing):
            member = ZipMember(f"{self._top}{name}", len(content), self._newest)
            entries.append(directory_entry(member, zlib.crc32(content), self.starts[-1] + len(out)))
            out += local_header(member) + content + after_bytes(member, zlib.crc32(content))
        directory = b"".join(entries)
        out += directory + directory_end(len(entries), self.starts[-1] + len(out), len(directory))
        return bytes(out)

    def _tags(self, listing: bytes) -> list[tuple[str, bytes]]:
        info = bag_info(self.name, self.payload_bytes, len(self.files))
        tags = [(f"manifest-{ALGORITHM}.txt", listing), ("bag-info.txt", info)]
        return [*tags, (f"tagmanifest-{ALGORITHM}.txt", tag_manifest([*tags, ("bagit.txt", BAGIT)]))]

    def _sizes_before(self) -> Iterator[int]:
        return map(stored_size, self._before)

    def _tail_size(self) -> int:
        """The bytes of the tail: digests and CRCs have the same lengths whatever they are."""
        start = self.starts[-1]
        tags = [(name, len(content)) for name, content in self._tags(b"")]
        size = directory = 0
        for name, length in [(tags[0][0], manifest_size(self._payload)), *tags[1:]]:
            member = ZipMember(f"{self._top}{name}", length, self._newest)
            directory += len(directory_entry(member, 0, start + size))
            size += stored_size(member)
        placed = [
            *zip(self._before, accumulate(self._sizes_before(), initial=0), strict=False),
            *zip(self.members, self.starts, strict=False),
        ]
        directory += sum(len(directory_entry(member, 0, at)) for member, at in placed)
        entries = len(self._before) + len(self.members) + len(tags)
        return size + directory + len(directory_end(entries, start + size, directory))

    def _folders(self, times: Mapping[str, int]) -> list[tuple[str, int]]:
        """The bag's folders with their times, each after its parent."""
        found: dict[str, int] = {}
        for file in self.files:
            here, there = file.payload.rpartition("/")[0], file.path.rpartition("/")[0]
            while here and here not in found:
                found[here] = times.get(there, self._newest)
                here, there = here.rpartition("/")[0], there.rpartition("/")[0]
        # Whoever reads these zips takes a folder of such a name for a bag. Its files make it anyway.
        named = {f"{self._top}data/{name}/": when for name, when in found.items() if not name.endswith(_BAG)}
        return [(self._top, self._newest), (f"{self._top}data/", self._newest), *sorted(named.items())]
