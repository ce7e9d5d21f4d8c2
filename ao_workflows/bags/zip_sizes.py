"""How much room a zip's files need when they are unpacked, from the zip's directory alone.

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
    """The number of files in a zip, and their bytes."""

    files: int
    bytes: int

    @property
    def on_disk(self) -> int:
        """The bytes that the files need on a disk: the last block of each is half empty on average, and a folder needs
        one.
        """
        return self.bytes + self.files * _BLOCK_ON_DISK


def unpacked_size(read: ReadRange, size: int) -> UnpackedSize | None:
    """Returns the unpacked size of a zip of ``size`` bytes; None if its directory is missing, or it is not certain
    which it is.
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
