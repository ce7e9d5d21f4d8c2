"""Works on their way into a share that is full, or loses its power: a small disk of its own, mounted here.

What belongs here: what is left then, and that the next run goes on. What does not: a share that goes away
(``test_unmounted_shares``), and a full scratch disk (``staging.test_full_disk``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from ao_workflows_tests.support.desks import RID, Desk
from ao_workflows_tests.support.mounts import LoopDisk
from ao_workflows_tests.support.sites import bag_zip
from ao_workflows_tests.test_what_syncs_take import deliver, quick, replaced, tree

MIB = 1 << 20


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda _policy, _attempt: 0)


def fill_but(disk: LoopDisk, left: int) -> Path:
    """A file that leaves so many bytes free on the disk."""
    filler = disk.path / "filler"
    there = os.statvfs(disk.path)
    with filler.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, there.f_bavail * there.f_frsize - left - MIB // 8)
    return filler


def hidden(desk: Desk) -> list[str]:
    """What is beside the work's place."""
    return sorted(path.name for path in desk.site.place(RID).parent.iterdir() if path.name != RID)


@pytest.mark.parametrize("left", [0, MIB, 3 * MIB, 6 * MIB], ids=["nothing", "a little", "the old file", "and a half"])
def test_a_full_share_leaves_the_old_work_whole_and_the_next_run_goes_on(desk: Desk, disk: LoopDisk, left: int) -> None:
    """Room may end while the old files are kept, or while the new tree is built."""
    old = {"page.tif": os.urandom(3 * MIB), "text.txt": b"old"}
    new = {"page.tif": os.urandom(3 * MIB), "more.tif": os.urandom(3 * MIB), "text.txt": b"new"}
    assert deliver(desk, bag_zip(RID, old), 1).success
    filler = fill_but(disk, left)
    assert "No space left on device" in desk.failure(deliver(desk, bag_zip(RID, new), 2))
    assert tree(desk.site.place(RID)) == old
    assert hidden(desk) == []
    filler.unlink()
    result = desk.again()
    assert result.success, desk.failure(result)
    assert tree(desk.site.place(RID)) == new
    assert replaced(desk) == [old]


def test_tries_that_fail_do_not_fill_the_share_with_what_is_kept(desk: Desk, disk: LoopDisk) -> None:
    """Each try kept the same old files once more, and so took the room that the next one needed."""
    old = {"page.tif": os.urandom(2 * MIB), "text.txt": b"old"}
    new = {"page.tif": os.urandom(2 * MIB), "text.txt": b"new"}
    assert deliver(desk, bag_zip(RID, old), 1).success
    (desk.site.place(RID) / "extra.txt").write_bytes(b"extra")
    gate = desk.site.folder / "open"
    desk.wrap(f'[ -e {gate} ] && sync "$@"')
    desk.failure(deliver(desk, bag_zip(RID, new), 2, word={"replace": True}))
    (first,) = (disk.path / ".ao-archive/replaced" / RID).iterdir()
    for _ in range(2):
        desk.failure(desk.again(word={"replace": True}))
    assert replaced(desk) == [old | {"extra.txt": b"extra"}]
    (kept,) = (disk.path / ".ao-archive/replaced" / RID).iterdir()
    # It is freed so long after the last try, not after the first.
    assert kept.name > first.name
    # Another one is kept where the archive's copy is another by now.
    (desk.site.place(RID) / "extra.txt").unlink()
    (desk.site.place(RID) / "extra.txt").write_bytes(b"EXTRA")
    gate.touch()
    assert desk.again(word={"replace": True}).success
    assert replaced(desk) == [old | {"extra.txt": b"extra"}, old | {"extra.txt": b"EXTRA"}]


def test_a_link_that_a_failed_replacement_kept_is_not_what_an_in_place_script_writes_into(
    desk: Desk, disk: LoopDisk
) -> None:
    """What the first try would have removed is a link to the file that stands, and that the next delivery changes."""
    quick(desk)
    script = (desk.site.folder / "quick.sh").read_text()
    old = desk.site.place(RID) / "extra.txt"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"extra")
    (desk.site.folder / "quick.sh").write_text("#!/bin/bash\nexit 6\n")
    desk.failure(deliver(desk, bag_zip(RID, {"text.txt": b"1"}), 1, word={"replace": True}))
    assert replaced(desk) == [{"extra.txt": b"extra"}]
    (desk.site.folder / "quick.sh").write_text(script)
    assert deliver(desk, bag_zip(RID, {"text.txt": b"1", "extra.txt": b"EXTRA, and longer"}), 2).success
    assert old.read_bytes() == b"EXTRA, and longer"
    assert {"extra.txt": b"extra"} in replaced(desk)


def test_what_a_keeping_that_was_killed_left_goes_with_the_next_one(desk: Desk, disk: LoopDisk) -> None:
    """It would stand there for a month, and take the room of a work."""
    assert deliver(desk, bag_zip(RID, {"text.txt": b"old"}), 1).success
    half = disk.path / ".ao-archive/replaced" / RID / "2026-11-21T07.02.00.000000Z.part/page.tif"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    assert deliver(desk, bag_zip(RID, {"text.txt": b"new"}), 2).success
    assert replaced(desk) == [{"text.txt": b"old"}]


@contextmanager
def after_a_power_cut(disk: LoopDisk, at: Path) -> Iterator[Path]:
    """The disk as ``cut_power`` found it."""
    at.mkdir()
    after = LoopDisk(at, disk.image.with_suffix(".cut"))
    after.mount()
    try:
        yield at
    finally:
        after.unmount()


def cut_power(disk: LoopDisk) -> str:
    """Words for a script: copies the disk as it would be found after a power cut at this moment.

    What the disk knows of names and sizes is on it, as it is every few seconds; what files hold need not be.
    """
    other = disk.path / "other"
    return f"echo x >{other}; command sync {other}; cp {disk.image} {disk.image.with_suffix('.cut')}"


def test_what_is_kept_is_on_the_disk_before_the_script_takes_the_original(
    desk: Desk, disk: LoopDisk, tmp_path: Path
) -> None:
    """After a power cut the kept files were empty, and the archive's own were gone."""
    page = os.urandom(MIB)
    assert deliver(desk, bag_zip(RID, {"page.tif": page}), 1).success
    desk.wrap(f'{cut_power(disk)}; sync "$@"')
    assert deliver(desk, bag_zip(RID, {"page.tif": page[::-1]}), 2).success
    with after_a_power_cut(disk, tmp_path / "after") as share:
        (kept,) = (share / ".ao-archive/replaced" / RID).iterdir()
        assert (kept / "page.tif").read_bytes() == page


def test_the_old_tree_goes_only_for_one_that_is_on_the_disk(desk: Desk, disk: LoopDisk, tmp_path: Path) -> None:
    """After a power cut the work's place had the new tree, with files of no bytes, and the old one was gone."""
    old, new = {"text.txt": b"old"}, {"text.txt": b"new", "page.tif": os.urandom(MIB)}
    assert deliver(desk, bag_zip(RID, old), 1).success
    desk.wrap(f'sync "$@" && {cut_power(disk)}')
    assert deliver(desk, bag_zip(RID, new), 2).success
    with after_a_power_cut(disk, tmp_path / "after") as share:
        assert tree(share / "12" / RID) in (old, new)
