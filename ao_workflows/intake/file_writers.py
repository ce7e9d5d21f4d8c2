"""Whether anybody has a file open for writing.

What belongs here: asking the kernel. What does not: what follows from its answer (``folder_rules``).

Linux gives a read lease on a file only if nobody has it open for writing. It knows of every process of this machine, in
whatever container; it does not know of other machines, so a lease on NFS or SMB says nothing. A lease is given to the
file's owner, and to a process with CAP_LEASE. See fcntl(2), "Leases".
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

from ao_workflows.intake.folder_rules import Writers

_LOCAL = {
    0xEF53,  # ext2, ext3, ext4
    0x58465342,  # XFS
    0x9123683E,  # Btrfs
    0x2FC12FC1,  # ZFS
    0xF2F52010,  # F2FS
    0x01021994,  # tmpfs
    0x794C7630,  # overlayfs
}
"""The file systems that no other machine writes to, by the number that statfs(2) gives."""

_STATFS_BYTES = 512


def open_plain_file(path: Path) -> int:
    """Opens a file for reading without following a link or waiting for a FIFO, and returns its descriptor.

    :raises OSError: as open(2).
    """
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def writers(path: Path) -> Writers:
    """Returns whether anybody has the file open for writing: "none", "some", or "unknown" if nobody can say.

    :raises OSError: if it cannot be opened for reading.
    """
    handle = open_plain_file(path)
    try:
        if _file_system(path) not in _LOCAL:
            return "unknown"
        # Whoever opens the file for writing during the lease waits until it is given back, and this process gets a
        # signal. The default signal would end it.
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        try:
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError:
            return "some"
        except OSError:
            return "unknown"
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return "none"
    finally:
        os.close(handle)


def _file_system(path: Path) -> int:
    """Returns the kind of file system that a path is on; 0 if that cannot be known."""
    import ctypes

    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None).statfs(os.fsencode(path), answer):
        return 0
    # The first field of struct statfs is f_type, a long.
    return int.from_bytes(answer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder)
