"""Reading a tree from the disk, not from memory, shown on a disk whose bytes change behind the kernel's back."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import subprocess
from pathlib import Path

import pytest

from ao_workflows.fixity.trees import FileFixity, compare_tree, open_to_read
from ao_workflows_tests.support.mounts import loop_disk

PAGE = os.urandom(1 << 20)


def bagged(name: str, content: bytes) -> list[tuple[str, FileFixity]]:
    return [(name, FileFixity("W1", name, len(content), {"sha256": hashlib.sha256(content).hexdigest()}))]


def pages_in_memory(path: Path) -> int:
    """As the kernel counts them: https://man7.org/linux/man-pages/man2/mincore.2.html"""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        seen = (ctypes.c_ubyte * -(-len(mapped) // mmap.PAGESIZE))()
        first = ctypes.c_char.from_buffer(mapped)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(mapped)), seen) == 0
        del first
        return sum(page & 1 for page in seen)


def test_what_is_dropped_is_gone_from_memory(tmp_path: Path) -> None:
    """An advice that the kernel does not heed would leave the proof where it was: in memory."""
    with loop_disk(tmp_path, tmp_path / "disk") as disk:
        path = disk.path / "0001.jpg"
        path.write_bytes(PAGE)
        subprocess.run(["sync", "-f", disk.path], check=True)
        assert pages_in_memory(path) == len(PAGE) // mmap.PAGESIZE
        os.close(open_to_read(str(path), dropping_cache=False))
        assert pages_in_memory(path) == len(PAGE) // mmap.PAGESIZE
        os.close(open_to_read(str(path), dropping_cache=True))
        assert pages_in_memory(path) == 0


@pytest.mark.parametrize("dropping_cache", [True, False])
def test_a_byte_that_the_disk_has_otherwise_is_found_where_memory_is_dropped(
    tmp_path: Path, dropping_cache: bool
) -> None:
    """A disk that takes a byte and keeps another is what the proof is for, and memory does not know of it."""
    with loop_disk(tmp_path, tmp_path / "disk") as disk:
        (disk.path / "0001.jpg").write_bytes(PAGE)
        subprocess.run(["sync", "-f", disk.path], check=True)
        disk.spoil(PAGE[4096:8192])
        files = bagged("0001.jpg", PAGE)
        problems = compare_tree(disk.path, files, "checksum", dropping_cache=dropping_cache)
        assert [problem.kind for problem in problems] == (["checksum"] if dropping_cache else [])
