"""Disks that a test mounts: a small ext4 in a file, whose bytes the test can change behind the kernel's back.

What belongs here: making, mounting and unmounting such disks. What does not: what a test wants of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ao_workflows_tests.conftest import skip_or_fail

UNSHARE = ("unshare", "--mount", *(("--user", "--map-root-user") if os.geteuid() else ()))
"""Begins a command that runs a program with mounts of its own."""


@dataclass(frozen=True)
class LoopDisk:
    """A disk whose bytes are the file ``image``, and that belongs at ``path``."""

    path: Path
    image: Path

    def mount(self, path: Path | None = None) -> None:
        """At its own path, or at another one's. Skips the test where no disk may be mounted."""
        words = ["mount", "-o", "loop", self.image, path or self.path]
        tried = subprocess.run(words, capture_output=True, text=True, check=False)
        if tried.returncode:
            skip_or_fail(f"a disk cannot be mounted here: {tried.stderr.strip()}")

    def unmount(self, path: Path | None = None) -> None:
        subprocess.run(["umount", path or self.path], check=True)

    def spoil(self, content: bytes) -> None:
        """Changes the first byte of ``content`` where the disk has it. The kernel's memory of a file is as it was."""
        whole = self.image.read_bytes()
        assert whole.count(content) == 1, "the content is not on the disk, or is there more than once"
        with self.image.open("r+b") as disk:
            disk.seek(whole.index(content))
            disk.write(bytes([content[0] ^ 1]))


@contextmanager
def loop_disk(folder: Path, path: Path, megabytes: int = 24) -> Iterator[LoopDisk]:
    """A disk that is mounted at ``path``, which is made; its image is in ``folder``."""
    if shutil.which("mkfs.ext4") is None:
        skip_or_fail("a disk cannot be made here: mkfs.ext4 is not there")
    disk = LoopDisk(path, folder / f"{path.name}.img")
    with disk.image.open("wb") as out:
        out.truncate(megabytes << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", disk.image], check=True)
    path.mkdir(parents=True, exist_ok=True)
    disk.mount()
    try:
        yield disk
    finally:
        while os.path.ismount(path):
            disk.unmount()


def skip_unless_mounts() -> None:
    """Skips the test where a process may not have mounts of its own."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        skip_or_fail("a file system cannot be mounted here: unshare --mount is not allowed")
