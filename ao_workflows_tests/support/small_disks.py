"""Small disks of their own, real ones, that a test fills."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ao_workflows_tests.conftest import skip_or_fail

_BALLAST = ".ballast"


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A tmpfs on ``place``; skips where nothing may be mounted."""
    place.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        skip_or_fail("a file system cannot be mounted here")
    device = place.stat().st_dev
    try:
        yield place
    finally:
        # By its number: a folder above it may have been renamed.
        number = f"{os.major(device)}:{os.minor(device)}"
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            if line.split()[2] == number:
                subprocess.run(["umount", "--lazy", line.split()[4]], check=True)


def fill(disk: Path) -> Path:
    """Fills the disk to the last byte, with a file that is returned: with it goes what fills the disk."""
    ballast = disk / _BALLAST
    with ballast.open("ab", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            return ballast


def use_all_inodes(disk: Path) -> Path:
    """Makes files until the disk takes no more, in a folder that is returned."""
    many = disk / _BALLAST
    many.mkdir()
    for number in range(1 << 20):
        try:
            (many / str(number)).touch()
        except OSError:
            return many
    raise AssertionError(f"{disk} has no limit to its files")
