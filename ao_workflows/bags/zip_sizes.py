"""How much room a zip's files take when they are unpacked, from the directory at its end alone.

What belongs here: adding up. What does not: reading the directory (``zip_records``), and whether the zip is sound or
safe, which is found out when it is unpacked (``zip_directory``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ao_workflows.bags.zip_records import MAX32, ReadRange, find_directory, read_extra, walk, widened
from ao_workflows.errors import ZipRefused

_BLOCK_ON_DISK = 4096


@dataclass(frozen=True)
class UnpackedSize:
    """What is in a zip: the number of its ``files``, and their ``bytes``."""

    files: int
    bytes: int

    @property
    def on_disk(self) -> int:
        """The bytes that the files take on a disk: the last block of each is half empty, and a folder takes one."""
        return self.bytes + self.files * _BLOCK_ON_DISK


def unpacked_size(read: ReadRange, size: int) -> UnpackedSize | None:
    """The unpacked size of a zip of ``size`` bytes; None where unpacking it would find no directory, or not be certain
    which.
    """
    path = Path("the zip")
    files = total = 0
    try:
        for entry in walk(read, find_directory(read, size, path), path):
            unpacked = entry[6]
            if unpacked == MAX32:
                wide = widened(read_extra(entry[11]) or {}, (unpacked, MAX32))
                if wide is None:
                    return None
                unpacked = wide[0]
            files += 1
            total += unpacked
    except ZipRefused:
        return None
    return UnpackedSize(files, total)
