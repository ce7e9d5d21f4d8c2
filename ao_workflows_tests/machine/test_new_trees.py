"""A tree that appears whole or not at all: its modes, what it replaces, and who else may be at it."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ao_workflows.bags.debagging import debag
from ao_workflows.errors import BagInvalid, StagingError, StagingFull
from ao_workflows.machine.new_trees import NewTree
from ao_workflows_tests.support.debagging import debagged, refused, right_entries
from ao_workflows_tests.support.zip_bytes import Entry, bag_files, entries_of, tree, write_zip


def modes(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.rglob("*")}


@pytest.mark.parametrize("umask", ["022", "077", "000"])
def test_files_are_0644_and_folders_0755_whatever_the_umask_and_the_zip_say(tmp_path: Path, umask: str) -> None:
    """The archive's readers could not read a work restored under a strict umask; a set-id bit runs as another user."""
    files = bag_files({"a/b": b"x"})
    entries = [Entry(f"W1.bag/{path}", data, mode=0o106777) for path, data in files.items()]
    path = write_zip(tmp_path / "W1.bag.zip", entries)
    (tmp_path / "place").mkdir()
    # As staging that is shared by a group often is.
    (tmp_path / "place").chmod(0o2775)
    program = (
        "import os, sys; os.umask(int(sys.argv[1], 8)); from pathlib import Path;"
        "from ao_workflows.bags.debagging import debag; debag(Path(sys.argv[2]), Path(sys.argv[3]))"
    )
    subprocess.run([sys.executable, "-c", program, umask, str(path), str(tmp_path / "place/out")], check=True)
    found = modes(tmp_path / "place")
    assert {name: mode for name, mode in found.items() if (tmp_path / "place" / name).is_dir()} == dict.fromkeys(
        ("out", "out/W1", "out/W1/a", "out/W1/W1.bag"), "0o755"
    )
    assert {mode for name, mode in found.items() if (tmp_path / "place" / name).is_file()} == {"0o644"}


def test_what_stood_there_is_replaced_and_nothing_hidden_stays(tmp_path: Path) -> None:
    """A page that was taken out of the work would come back from the last time."""
    (tmp_path / "out/W1").mkdir(parents=True)
    (tmp_path / "out/W1/old").write_text("old")
    debagged(tmp_path, right_entries())
    assert not (tmp_path / "out/W1/old").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"out", "W1.bag.zip"}


def test_what_stood_there_stays_when_the_new_one_is_refused(tmp_path: Path) -> None:
    """A bad second restore must not cost the good first one."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/kept").write_text("kept")
    path = write_zip(tmp_path / "W1.bag.zip", entries_of(bag_files({"x": b"x"}) | {"data/extra": b"?"}))
    with pytest.raises(BagInvalid):
        debag(path, tmp_path / "out")
    assert tree(tmp_path / "out") == {"kept": b"kept"}
    assert {path.name for path in tmp_path.iterdir()} == {"out", "W1.bag.zip"}


def test_nobody_else_can_enter_the_folder_while_it_is_under_way(tmp_path: Path) -> None:
    """Who can put a link into it while it is made decides where the next file is written."""
    with NewTree(tmp_path / "new") as made:
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
        made.publish(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o755


def test_a_link_where_the_tree_is_to_be_made_is_not_followed(tmp_path: Path) -> None:
    """A link planted under the hidden name would send the whole work elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/precious").write_text("precious")
    (tmp_path / ".out.tmp").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StagingError):
        debagged(tmp_path, right_entries())
    assert tree(tmp_path / "elsewhere") == {"precious": b"precious"}


def test_a_tree_that_another_process_is_making_is_left_alone(tmp_path: Path) -> None:
    """Two runs over one folder would each remove what the other has written."""
    (tmp_path / ".out.tmp").mkdir()
    other = os.open(tmp_path / ".out.tmp", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(StagingError, match="another process"):
            debagged(tmp_path, right_entries())
        assert (tmp_path / ".out.tmp").is_dir()
    finally:
        os.close(other)


def test_what_a_dead_process_left_is_cleared_away(tmp_path: Path) -> None:
    """Half a work from a killed run must not mix with the whole one."""
    (tmp_path / ".out.tmp/W1").mkdir(parents=True)
    (tmp_path / ".out.tmp/W1/half").write_text("half")
    debagged(tmp_path, right_entries())
    assert not (tmp_path / "out/W1/half").exists()


def test_a_disk_that_is_full_is_said_with_the_path_and_nothing_stays(tmp_path: Path) -> None:
    """The reader must learn that the disk is full, not that a bag is bad, and find room when he looks."""
    path = write_zip(tmp_path / "W1.bag.zip", entries_of(bag_files({"large": bytes(4_000_000)})))
    (tmp_path / "small").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path / "small")]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        # A limit on the size of files fails in the same place, for who may not mount.
        program = (
            "import resource, signal, sys; from pathlib import Path; from ao_workflows.bags.debagging import debag;"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000));"
            "debag(Path(sys.argv[1]), Path(sys.argv[2]))"
        )
        run = subprocess.run(
            [sys.executable, "-c", program, str(path), str(tmp_path / "small/out")], capture_output=True, check=False
        )
        assert b"StagingError" in run.stderr
        assert b"large" in run.stderr
    else:
        try:
            with pytest.raises(StagingFull, match=r"/small/.*: the disk is full: .* wanted"):
                debag(path, tmp_path / "small/out")
            assert list((tmp_path / "small").iterdir()) == []
        finally:
            subprocess.run(["umount", str(tmp_path / "small")], check=True)


@pytest.mark.parametrize(
    "payload", [{"Page": b"1", "page": b"2"}, {"Images/a": b"1", "images/b": b"2"}], ids=["files", "folders"]
)
def test_names_that_the_file_system_takes_for_one_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, payload: dict[str, bytes]
) -> None:
    """On such a file system the second page would be written over the first. (Few machines may mount one: a fake.)"""
    really_open, really_mkdir = os.open, os.mkdir

    def folded(path: str) -> str:
        return path if path.startswith("/") else path.lower()

    def open_folded(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        return really_open(folded(os.fspath(path)), flags, mode, dir_fd=dir_fd)

    def mkdir_folded(path: str | Path, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        really_mkdir(folded(os.fspath(path)), mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", open_folded)
    monkeypatch.setattr(os, "mkdir", mkdir_folded)
    error = refused(tmp_path, entries_of(bag_files(payload)))
    assert "takes its name for that of another member" in error.reason
    assert error.member is not None
    assert error.member.lower().startswith(("w1.bag/data/page", "w1/images"))
