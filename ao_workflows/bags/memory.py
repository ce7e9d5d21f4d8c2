"""How much memory a run may need to read one zip or one bag, counted before it is needed.

What belongs here: the account, what a file's name and a folder's cost, and the refusal. What does not: who counts what.

The costs are the most that was measured, so that what is refused depends on the zip alone, and not on the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ao_workflows.errors import ZipRefused

MEMORY_MIB = 2048
"""What a run may need by default. A run has 4 GiB (RUN_MEMORY), of which Dagster and the other stages need some."""

PER_FILE = 1500
"""Bytes that a file costs, from the zip's directory to the list of fixity, besides its name and digests."""

_PER_FOLDER = 1000
_COPIES = 8
"""How often a name is held at most: in the zip, in its bag, in the work, in small letters, in what is said of it."""


class Memory:
    """The account of what one zip, or one bag's folder, needs.

    :param path: the zip or the folder.
    :param mib: the MiB that it may need.
    """

    def __init__(self, path: Path, mib: int = MEMORY_MIB) -> None:
        self._path = path
        self._mib = mib
        self._left = mib << 20

    def take(self, size: int, member: str | None = None) -> None:
        """Counts ``size`` bytes.

        :param member: the file that needs them; None if it is all of them together.
        :raises ZipRefused: if these are more than are left.
        """
        self._left -= size
        if self._left < 0:
            reason = (
                f"to read it takes more memory than the {self._mib} MiB that [debag] memory_mib in site.toml allows. "
                f"If it is meant to be so large, raise memory_mib, and a run's own memory with it; else make the bag "
                f"again, or several of it"
            )
            raise ZipRefused(self._path, member, reason)

    def refusal_of(self, member: str) -> Callable[[str], NoReturn]:
        """Returns a function that refuses the file ``member`` for a reason that it is given."""

        def refuse(reason: str) -> NoReturn:
            raise ZipRefused(self._path, member, reason)

        return refuse


def held_for_name(name: str) -> int:
    """Returns the bytes that the copies of a file's name need."""
    return _COPIES * (len(name) if name.isascii() else 4 * len(name))


def held_for_folder(name: str) -> int:
    """Returns the bytes that a folder needs, which may be one that the names only imply."""
    return _PER_FOLDER + held_for_name(name)
