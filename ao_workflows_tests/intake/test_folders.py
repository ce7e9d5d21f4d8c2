"""An intake's folder: what is seen in it, the claim of a file, and its copy, on real file systems."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ao_workflows.download.download import DownloadPaths
from ao_workflows.errors import FileChanged, FileGone, FolderError
from ao_workflows.events.dropped_files import Claim
from ao_workflows.fixity.digests import file_crc64nvme
from ao_workflows.intake.file_ranges import FileRanges
from ao_workflows.intake.folder_rules import SeenFile, candidates
from ao_workflows.intake.folders import Folders
from ao_workflows_tests.conftest import skip_or_fail
from ao_workflows_tests.support.other_users import as_nobody

NAME = "W1NLM4712.bag.zip"
OWNER = "4e5f6071"
DATA = bytes(range(256)) * 4096 * 20
"""20 MiB: three parts."""


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def folders(drop: Path) -> Folders:
    return Folders(folders={"drop": str(drop)})


@pytest.fixture(params=["same", "another"])
def staging(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on the intake's file system, and one on another."""
    if request.param == "same":
        yield tmp_path / "staging"
        return
    with TemporaryDirectory(dir="/dev/shm") as folder:
        assert os.stat(folder).st_dev != tmp_path.stat().st_dev  # noqa: PTH116
        yield Path(folder)


def places(folder: Path) -> DownloadPaths:
    final = folder / "incoming/W1NLM4712/W1NLM4712.bag.zip"
    return DownloadPaths(final, Path(f"{final}.part"), Path(f"{final}.journal"))


def look(folders: Folders, name: str = NAME) -> SeenFile:
    (found,) = [one for one in folders.look("drop") if one.name == name]
    return found


def claimed(folders: Folders, drop: Path, data: bytes = DATA) -> Claim:
    (drop / NAME).write_bytes(data)
    claim = folders.claim("drop", look(folders), OWNER)
    assert claim
    return claim


def test_what_is_no_plain_file_is_seen_and_never_opened(folders: Folders, drop: Path) -> None:
    """A FIFO blocks whoever opens it; a symbolic link leads out of the folder."""
    (drop / "W1.zip").symlink_to("/etc/passwd")
    (drop / "W2.zip").mkdir()
    os.mkfifo(drop / "W3.zip")
    (drop / "save").mkdir()
    (drop / "notes.txt").write_text("x")
    (drop / os.fsdecode(b"\xff.zip")).write_text("x")
    wanted, left = candidates(folders.look("drop"))
    assert wanted == []
    assert {(one.name, one.reason) for one in left if one.name.startswith("W")} == {
        ("W1.zip", "is a symbolic link"),
        ("W2.zip", "is a folder"),
        ("W3.zip", "is no plain file"),
    }
    assert len(left) == 5


def test_a_folder_that_is_not_there_is_named_with_its_intake(folders: Folders, drop: Path) -> None:
    """A share that is not mounted."""
    drop.rmdir()
    with pytest.raises(FolderError, match=rf"{drop}: the folder of the intake 'drop' .*Is it mounted"):
        folders.look("drop")
    assert folders.claims("drop") == []


def test_a_file_that_may_not_be_read_is_said_to_be_one(folders: Folders, drop: Path) -> None:
    """It must stay in the folder: claimed, it would fail in the run, and nobody could mend it in time."""
    (drop / NAME).write_bytes(b"x")
    (drop / NAME).chmod(0)
    for folder in (drop, *drop.parents):
        with suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    said = as_nobody(lambda: folders.writers("drop", SeenFile(NAME)))
    assert "FolderError" in said
    assert "may not be read by the user" in said


def test_a_claim_moves_the_file_and_leaves_its_bytes_alone(folders: Folders, drop: Path) -> None:
    """The original is kept as it was dropped."""
    (drop / NAME).write_bytes(b"bag")
    before = (drop / NAME).stat()
    claim = folders.claim("drop", look(folders), OWNER)
    assert claim
    assert os.listdir(drop) == ["save"]
    after = (drop / "save" / claim.name).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert folders.claims("drop") == [claim]
    assert folders.event("drop", claim).size == 3


def test_of_many_that_claim_one_file_one_has_it(folders: Folders, drop: Path) -> None:
    """Two sites, two daemons, a person who starts a second one."""
    for _ in range(15):
        (drop / NAME).write_bytes(b"bag")
        seen = look(folders)
        go_reader, go_writer = os.pipe()
        children = []
        for number in range(4):
            child = os.fork()
            if child == 0:
                os.close(go_writer)
                os.read(go_reader, 1)
                os._exit(0 if folders.claim("drop", seen, f"{number:08d}") else 7)
            children.append(child)
        os.close(go_writer)
        os.close(go_reader)
        codes = sorted(os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children)
        assert codes == [0, 7, 7, 7]
    assert len(folders.claims("drop")) == 15


def test_a_file_that_took_the_looked_at_one_s_name_is_put_back(folders: Folders, drop: Path) -> None:
    """It may be half there: nobody has looked whether it is complete."""
    (drop / NAME).write_bytes(b"complete")
    seen = look(folders)
    (drop / NAME).unlink()
    (drop / NAME).write_bytes(b"hal")
    assert folders.claim("drop", seen, OWNER) is None
    assert (drop / NAME).read_bytes() == b"hal"
    assert folders.claims("drop") == []


def test_a_claim_that_cannot_be_made_says_why(folders: Folders, drop: Path) -> None:
    """Whoever reads the tick must know what to change."""
    (drop / NAME).write_bytes(b"bag")
    (drop / "save").write_text("in the way")
    with pytest.raises(FolderError, match=r"save: cannot be made"):
        folders.claim("drop", look(folders), OWNER)
    (drop / "save").unlink()
    with TemporaryDirectory(dir="/dev/shm") as other:
        (drop / "save").symlink_to(other)
        with pytest.raises(FolderError, match="must be on the folder's own file system"):
            folders.claim("drop", look(folders), OWNER)
    assert (drop / NAME).exists()


@pytest.mark.parametrize("file", ["../../etc/passwd", "W1NLM4712.bag.zip", "/etc/passwd", ""])
def test_no_run_config_reads_or_removes_another_file(folders: Folders, drop: Path, file: str) -> None:
    """Whoever may start a run would else remove any file of the archive's."""
    for call in (folders.claimed, folders.remove):
        with pytest.raises(FolderError, match="is not the name of a claimed file of W1NLM4712"):
            call("drop", file, "W1NLM4712")
    claim = claimed(folders, drop, b"x")
    with pytest.raises(FolderError, match="is not the name of a claimed file of W2"):
        folders.remove("drop", claim.name, "W2")


def test_a_file_is_copied_whole_with_its_digest(folders: Folders, drop: Path, staging: Path) -> None:
    """On the same file system and across two."""
    claim = claimed(folders, drop)
    there = places(staging)
    file = folders.claimed("drop", claim.name, claim.rid)
    brought = folders.bring(file, there, lambda _there: None)
    assert hashlib.sha256(there.final.read_bytes()).digest() == hashlib.sha256(DATA).digest()
    assert brought.crc64nvme == file_crc64nvme(file.path)
    assert brought.size == len(DATA)
    assert file.path.exists()
    assert not there.part.exists()
    assert there.final.stat().st_ino != file.path.stat().st_ino


def test_a_copy_that_is_killed_at_any_moment_is_gone_on_with(folders: Folders, drop: Path, staging: Path) -> None:
    """Under the final name nothing is ever but the whole."""
    from ao_workflows_tests.support.folder_sites import killed_before_step

    claim = claimed(folders, drop)
    there = places(staging)
    file = folders.claimed("drop", claim.name, claim.rid)
    number, killed = 1, True
    while killed:
        killed = killed_before_step(number, [staging], lambda: folders.bring(file, there, lambda _there: None)).killed
        if there.final.exists():
            assert there.final.stat().st_size == len(DATA)
            assert file_crc64nvme(there.final) == file_crc64nvme(file.path)
        brought = folders.bring(file, there, lambda _there: None)
        assert brought.crc64nvme == file_crc64nvme(there.final) == file_crc64nvme(file.path)
        there.remove()
        number += 1
    assert number > 5


def test_the_parts_that_a_killed_copy_has_made_are_not_made_again(folders: Folders, drop: Path, staging: Path) -> None:
    """300 GB take hours."""
    claim = claimed(folders, drop)
    file = folders.claimed("drop", claim.name, claim.rid)
    there = places(staging)

    folders.bring(file, there, lambda _there: None)
    lines = there.journal.read_text().splitlines(keepends=True)
    there.journal.write_text("".join(lines[:-1]))
    assert folders.bring(file, there, lambda _there: None).resumed == 16 << 20
    assert file_crc64nvme(there.final) == file_crc64nvme(file.path)


def test_a_file_that_is_written_to_while_it_is_copied_is_not_taken(folders: Folders, drop: Path, staging: Path) -> None:
    """Half of the old bytes and half of the new ones are no bag; the next try begins anew."""
    claim = claimed(folders, drop)
    there = places(staging)
    file = folders.claimed("drop", claim.name, claim.rid)
    writer = file.path.open("ab")
    under_way = FileRanges(file).open(0, 100)
    assert under_way.read(10) == DATA[:10]

    def write(_copied: int) -> None:
        writer.write(b"more")
        writer.close()

    with pytest.raises(FileChanged) as raised:
        folders.bring(file, there, write)
    with pytest.raises(FileChanged):
        under_way.close()
    assert raised.value.transient
    assert not there.final.exists()
    again = folders.claimed("drop", claim.name, claim.rid)
    assert folders.bring(again, there, lambda _there: None).size == len(DATA) + 4
    assert there.final.read_bytes() == DATA + b"more"


def test_a_file_that_was_taken_away_is_said_to_be_gone(folders: Folders, drop: Path, tmp_path: Path) -> None:
    """Whoever redoes a work that is synced must be told what to do."""
    claim = claimed(folders, drop, b"bag")
    file = folders.claimed("drop", claim.name, claim.rid)
    assert folders.remove("drop", claim.name, claim.rid)
    assert not folders.remove("drop", claim.name, claim.rid)
    with pytest.raises(FileGone, match=f"put its zip into {drop}$"):
        folders.claimed("drop", claim.name, claim.rid)
    with pytest.raises(FileGone):
        folders.bring(file, places(tmp_path), lambda _there: None)


_ON_A_SMALL_DISK = """
import os, subprocess, sys
from pathlib import Path
from ao_workflows.errors import StagingError
from ao_workflows.intake.folders import Folders
from ao_workflows_tests.intake.test_folders import places
drop, name, disk = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], check=True)
folders = Folders(folders={"drop": drop})
try:
    folders.bring(folders.claimed("drop", name, "W1NLM4712"), places(Path(disk)), lambda _there: None)
except StagingError as error:
    print(type(error).__name__, error.transient)
print([name for _, _, names in os.walk(disk) for name in names])
"""


def test_a_full_staging_disk_leaves_the_original_and_no_part(folders: Folders, drop: Path, tmp_path: Path) -> None:
    """The run is tried again, and reprocessed when there is room: the file is still there."""
    unshare = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.geteuid() else [])]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        skip_or_fail("a file system cannot be mounted here: unshare --mount is not allowed")
    claim = claimed(folders, drop)
    disk = tmp_path / "small"
    disk.mkdir()
    done = subprocess.run(
        [*unshare, sys.executable, "-c", _ON_A_SMALL_DISK, drop, claim.name, disk],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["StagingFull True", "[]"], done.stderr
    assert (drop / "save" / claim.name).stat().st_size == len(DATA)
