"""The scratch disk: a tree goes however deep it is, the rest of it goes when something will not, and a full disk is
told as what it is.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from ao_workflows.errors import StagingFull
from ao_workflows.machine.disk import disk_error, files_below, full_at, is_removal_name, removal_name, remove_tree
from ao_workflows_tests.support.small_disks import fill, mounted


def make_deep(top: Path, levels: int, name: str) -> None:
    """A tree so many folders deep, with a file in each, made from within: its path may be too long to be named."""
    top.mkdir(parents=True)
    here = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.close(os.open("page.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@pytest.mark.parametrize(
    ("levels", "name"), [(3000, "d"), (60, "n" * 200)], ids=["deeper than may be recursed", "a path longer than 4096"]
)
def test_a_tree_goes_however_deep_it_is_and_few_of_its_folders_are_open(tmp_path: Path, levels: int, name: str) -> None:
    """A folder 990 levels deep was synced, could not be freed, and its work failed for ever after."""
    make_deep(tmp_path / "W1", levels, name)
    limited = (
        "import resource, sys; from pathlib import Path; from ao_workflows.machine.disk import remove_tree;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); sys.setrecursionlimit(200);"
        "remove_tree(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", limited, str(tmp_path / "W1")], check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_tree_too_deep_to_be_named_is_measured_as_far_as_it_can_be(tmp_path: Path) -> None:
    """The next work waits for room, and looks at what lies there meanwhile."""
    make_deep(tmp_path / "W1", 60, "n" * 200)
    assert 10 < len(list(files_below(tmp_path))) < 60
    remove_tree(tmp_path / "W1")


def test_the_bytes_of_the_files_are_returned_and_links_are_not_followed(tmp_path: Path) -> None:
    """A link in a work, and freeing empties the archive."""
    (tmp_path / "Archive0/W2").mkdir(parents=True)
    (tmp_path / "Archive0/W2/page.jpg").write_bytes(b"kept")
    top = tmp_path / "W1"
    for number in range(300):
        (top / f"a{number % 7}/b/c").mkdir(parents=True, exist_ok=True)
        (top / f"a{number % 7}/b/c/{number}.jpg").write_bytes(b"x" * 100)
    (top / "a1/link").symlink_to(tmp_path / "Archive0")
    assert remove_tree(top) == 300 * 100 + len(str(tmp_path / "Archive0"))
    assert not top.exists()
    assert (tmp_path / "Archive0/W2/page.jpg").read_bytes() == b"kept"
    assert remove_tree(top) == 0
    (tmp_path / "to-folder").symlink_to(tmp_path / "Archive0")
    remove_tree(tmp_path / "to-folder")
    assert (tmp_path / "Archive0/W2/page.jpg").exists()


def test_folders_that_may_not_be_written_to_go_for_who_is_not_root(tmp_path: Path) -> None:
    """A zip's folders, or a script's, may have any mode: root alone may ignore it."""
    for mode in (0o555, 0o000, 0o333):
        below = tmp_path / f"W1/{mode:o}/{mode:o}/{mode:o}"
        below.mkdir(parents=True)
        (below / "page.jpg").write_bytes(b"x")
        for folder in (below, below.parent, below.parent.parent):
            folder.chmod(mode)
    (tmp_path / "W1").chmod(0o500)
    somebody = "import os, sys; os.setgid(65534); os.setuid(65534);" if os.geteuid() == 0 else "import sys;"
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "65534:65534", str(tmp_path)], check=True)
    # What the interpreter loads may lie where only root may look.
    program = (
        "from pathlib import Path; import concurrent.futures.thread; "
        "from ao_workflows.machine.disk import remove_tree; "
        f"{somebody} remove_tree(Path('W1'))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert not (tmp_path / "W1").exists()


def test_what_is_mounted_below_is_left_and_told_and_all_else_goes(tmp_path: Path) -> None:
    """A share that somebody mounted there would be emptied; and one thing in the way must not keep 300 GB."""
    for place in ("W1/mounted", "W1/images/mounted"):
        (tmp_path / "W1/images").mkdir(parents=True)
        (tmp_path / "W1/images/1.jpg").write_bytes(b"x" * 1000)
        with mounted(tmp_path / place, "size=1m") as share:
            (share / "kept").write_bytes(b"kept")
            with pytest.raises(OSError, match=r"mounted|busy") as raised:
                remove_tree(tmp_path / "W1")
            assert (share / "kept").read_bytes() == b"kept"
            assert raised.value.filename == str(share)
            assert not (tmp_path / "W1/images/1.jpg").exists()
        remove_tree(tmp_path / "W1")


def test_a_tree_of_many_files_is_removed_in_little_memory(tmp_path: Path) -> None:
    """A work of 200,000 files is freed by a run that has a limit to its memory."""
    for folder in range(20):
        (tmp_path / f"W1/{folder}").mkdir(parents=True)
        for number in range(250):
            (tmp_path / f"W1/{folder}/{number}.jpg").touch()
    tracemalloc.start()
    remove_tree(tmp_path / "W1")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak / 5000 < 1000


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_used_up_quota_may_mend_themselves(tmp_path: Path, number: int) -> None:
    """Told as for good, a run would end that had only to wait."""
    told = disk_error(tmp_path / "no/such/folder/file", "cannot be written", OSError(number, "x"), 7)
    assert isinstance(told, StagingFull)
    assert (told.transient, told.wanted) == (True, 7)
    assert told.free > 0
    assert "it takes no more files, or a quota is used up" in str(told)


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EACCES, errno.ENAMETOOLONG])
def test_a_disk_that_fails_otherwise_is_for_good(tmp_path: Path, number: int) -> None:
    """A dying disk, tried again for two hours, is a person's two hours later."""
    told = disk_error(tmp_path / "file", "cannot be written", OSError(number, os.strerror(number)))
    assert not told.transient
    assert str(told) == f"staging: {tmp_path}/file: cannot be written: {os.strerror(number)}"


def test_what_is_about_to_go_has_another_name_each_time(tmp_path: Path) -> None:
    """What would not go the last time must not be in the way of what goes now."""
    names = {removal_name(tmp_path / name).name for name in ("W1", "W1", "W1.x", ".W1.run.tmp")}
    assert len(names) == 4
    assert sorted(name[: name.index("going")] for name in names) == [".W1.", ".W1.", ".W1.", ".W1.x."]
    assert all(map(is_removal_name, names))
    assert not any(map(is_removal_name, ("W1", ".W1.run.tmp", ".W1.going-1.run.tmp", ".W1.going-0123456x.tmp")))


def test_whether_a_disk_is_full_is_tried_and_leaves_nothing(tmp_path: Path) -> None:
    """A run without a lock is one that waits for room, or one that is dead: only the disk itself can tell."""
    with mounted(tmp_path / "disk", "size=1m") as disk:
        log = disk / "logs/sync.log"
        assert full_at(log, 64 << 10) is None
        fill(disk)
        full = full_at(log, 64 << 10)
        assert full is not None
        assert full.transient
        assert full.path == log
        assert sorted(path.name for path in disk.rglob("*")) == [".ballast", "logs"]


def test_a_disk_that_refuses_otherwise_is_not_full(tmp_path: Path) -> None:
    """A person who is told to make room where there is enough looks in the wrong place."""
    (tmp_path / "logs").write_text("no folder")
    assert full_at(tmp_path / "logs/sync.log", 0) is None
