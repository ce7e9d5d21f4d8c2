"""Works on their way into an archive whose share goes away: a real disk, mounted and unmounted under the run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows import clients
from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.definitions import build
from ao_workflows.defs.restore import syncing
from ao_workflows.drs.client import Drs
from ao_workflows.errors import ArchiveShareLost
from ao_workflows.staging.staging import Staging
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.desks import FILES, RID, Desk
from ao_workflows_tests.support.kept_works import kept as kept_work
from ao_workflows_tests.support.kept_works import unneeded_of
from ao_workflows_tests.support.mounts import UNSHARE, LoopDisk, loop_disk, skip_unless_mounts
from ao_workflows_tests.support.sites import TrialSite, bag_zip


def shares(site: TrialSite) -> ArchiveShares:
    return clients.archive_shares(site.site)


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What happens before the work is tried again, each time; after the last of them it is tried no more."""
    left: list[Callable[[], object]] = []

    def wait(_policy: dg.RetryPolicy, _attempt: int) -> float:
        if left:
            left.pop(0)()
        return 0

    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", wait)
    return left


def kept(desk: Desk) -> None:
    """Nothing of the work was freed, and nothing says that it is in the archive."""
    assert desk.site.layout.zip(RID).exists()
    assert (desk.site.layout.work(RID) / RID / "text.txt").read_bytes() == FILES["text.txt"]
    assert Stage.SYNCED_ARCHIVE not in desk.row.times


def test_an_empty_mount_point_gets_no_work(desk: Desk, disk: LoopDisk, tries: list[Callable[[], object]]) -> None:
    """The work was copied to the root disk, proven there, and its staged copy freed."""
    desk.wrap('sync "$@"')
    disk.unmount()
    said = desk.failure(desk.run())
    assert f"{disk.path}: has no marker .ao-archive/share.json that can be read: is the share mounted?" in said
    assert desk.starts == []
    assert list(disk.path.iterdir()) == []
    kept(desk)


def test_a_share_that_is_mounted_again_lets_the_run_go_on(
    desk: Desk, disk: LoopDisk, tries: list[Callable[[], object]]
) -> None:
    """Nobody has to find the works of a night in which a server was away."""
    disk.unmount()
    tries += [lambda: None, disk.mount]
    assert desk.run().success
    assert os.path.ismount(disk.path)
    assert (desk.site.place(RID) / "text.txt").read_bytes() == FILES["text.txt"]


def test_a_share_that_is_unmounted_while_the_script_runs_proves_nothing(
    desk: Desk, disk: LoopDisk, tries: list[Callable[[], object]]
) -> None:
    """The script then writes into the folder below, where the work is byte for byte what was bagged."""
    away = desk.site.folder / "away"
    desk.wrap(f'[ -e {away} ] || {{ touch {away}; umount -l {disk.path}; }}; sync "$@"')
    below: list[bool] = []

    def mount_again() -> None:
        below.append(desk.site.place(RID).exists())
        kept(desk)
        disk.mount()

    tries.append(mount_again)
    assert desk.run().success
    assert below == [True]
    assert desk.starts == [RID, RID]
    assert (desk.site.place(RID) / "text.txt").read_bytes() == FILES["text.txt"]
    assert os.path.ismount(disk.path)


def test_a_share_that_goes_away_after_the_script_is_not_flushed_nor_proven(
    desk: Desk, disk: LoopDisk, tries: list[Callable[[], object]]
) -> None:
    """What is missing below the mount point is not missing in the archive: nobody is to look for lost files."""
    desk.wrap(f'sync "$@"; umount -l {disk.path}')
    said = desk.failure(desk.run())
    assert "is the share mounted?" in said
    assert "does not hold what was bagged" not in said
    kept(desk)


def test_a_script_that_fails_because_the_share_went_away_is_not_what_failed(
    desk: Desk, disk: LoopDisk, tries: list[Callable[[], object]]
) -> None:
    """The script's own words for it failed the run for good, in the one minute in which the server was started anew."""
    away = desk.site.folder / "away"
    desk.wrap(f'[ -e {away} ] || {{ touch {away}; umount -l {disk.path}; exit 6; }}; sync "$@"')
    tries.append(disk.mount)
    assert desk.run().success
    assert desk.starts == [RID, RID]
    assert (desk.site.place(RID) / "text.txt").read_bytes() == FILES["text.txt"]


@pytest.mark.parametrize("when", ["compare_copy", "list_changes"])
def test_a_share_that_goes_away_while_the_archives_copy_is_read_gets_no_work(
    desk: Desk, disk: LoopDisk, tries: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """To read a large work takes an hour: the share had been looked at before, and the script wrote below it after."""
    desk.wrap('sync "$@"')
    assert desk.run().success
    real = getattr(syncing, when)

    def unmounting(*words: Any) -> Any:
        subprocess.run(["umount", "-l", disk.path], check=False)
        return real(*words)

    monkeypatch.setattr(syncing, when, unmounting)
    changed = bag_zip(RID, FILES | {"text.txt": b"TEXT\n"})
    body = desk.site.restore(RID, changed).replace("06:32:44", "07:00:00")
    said = desk.failure(desk.site.run(RID, body))
    assert "is the share mounted?" in said
    assert desk.starts == [RID]
    assert list(disk.path.iterdir()) == []
    assert (desk.site.layout.work(RID) / RID / "text.txt").read_bytes() == b"TEXT\n"


@dataclass(frozen=True, kw_only=True)
class UnmountedMeanwhile(Drs):
    """A database that takes its time: the share is away when the record is written."""

    disk: str

    def record(self, rid: str, stage: Stage | None, *others: Any, **more: Any) -> None:
        super().record(rid, stage, *others, **more)
        if stage == Stage.SYNCED_ARCHIVE:
            subprocess.run(["umount", "-l", self.disk], check=False)


def are_there(desk: Desk, works: list[str]) -> bool:
    """Whether all of the shares that the works are in are there as they were noted."""
    try:
        shares(desk.site).look_for_all(works)
    except ArchiveShareLost:
        return False
    return True


def test_nothing_is_freed_when_the_share_went_away_after_the_proof(
    desk: Desk, disk: LoopDisk, tries: list[Callable[[], object]]
) -> None:
    """The staged copy may be the last one that anybody can read."""
    drs = UnmountedMeanwhile(url=desk.site.site.drs.url, disk=str(disk.path))
    assert "is the share mounted?" in desk.failure(desk.run(drs=drs))
    assert (desk.site.layout.work(RID) / RID / "text.txt").exists()
    assert desk.site.layout.zip(RID).exists()


def test_a_work_that_was_freed_is_not_missing_while_its_share_is_away(
    desk: Desk, disk: LoopDisk, tries: list[Callable[[], object]]
) -> None:
    """Compared again, it would be told as lost, and a person sent to Glacier for it."""
    assert desk.run().success
    disk.unmount()
    said = desk.failure(desk.again())
    assert "is the share mounted?" in said
    assert "bring it back from S3" not in said
    disk.mount()
    assert desk.again().success


def test_kept_works_stay_while_their_share_is_away(desk: Desk, disk: LoopDisk) -> None:
    """Their time is over in the one night in which nobody can read the archive."""
    staging = Staging(root=str(desk.site.site.staging.root), keep_days=1)
    for rid in (RID, "W1NLM4799"):
        kept_work(staging, rid, days_ago=9)
    unneeded = unneeded_of(staging, shares(desk.site).look_for_all)
    disk.unmount()
    unneeded.free_all()
    assert unneeded.freed == ("W1NLM4799",)
    assert "is the share mounted?" in unneeded.kept.stuck[0]
    disk.mount()
    unneeded.free_all()
    assert (unneeded.freed, unneeded.kept.stuck) == (("W1NLM4799", RID), ())


def test_nothing_is_removed_from_what_has_a_shares_place_and_is_another(
    desk: Desk, disk: LoopDisk, tmp_path: Path
) -> None:
    """What another site keeps on its own disk, for longer, would be gone on the morning after a wrong mount."""
    disk.unmount()
    with loop_disk(tmp_path / "staging", disk.path) as other:
        kept = other.path / ".ao-archive/replaced" / RID / "2026-01-01T00.00.00.000000Z"
        kept.mkdir(parents=True)
        with dg.instance_for_test() as instance:
            job = build(desk.site.site).resolve_job_def("housekeeping")
            assert job.execute_in_process(instance=instance).success
        assert kept.exists()


def test_a_share_that_was_never_set_up_takes_no_work_and_says_the_way_out(desk: Desk) -> None:
    """After an update nothing is noted: that will not mend itself, so it is told at once."""
    desk.wrap('sync "$@"')
    desk.site.layout.archive_shares().unlink()
    result = desk.run()
    assert "run ao archive init once" in desk.failure(result)
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
    assert desk.starts == []
    kept(desk)


@pytest.mark.parametrize("what", ["an empty disk", "another share", "a copy of the marker", "no folder"])
def test_another_thing_at_the_shares_place_is_not_the_share(
    desk: Desk, disk: LoopDisk, tmp_path: Path, what: str, tries: list[Callable[[], object]]
) -> None:
    """A swapped cable, a line of fstab, a copy that was made once to move the archive: each is a place to write to."""
    desk.wrap('sync "$@"')
    marker = disk.path / ".ao-archive"
    shutil.copytree(marker, tmp_path / "marker")
    disk.unmount()
    other = None
    match what:
        case "an empty disk":
            other = loop_disk(tmp_path / "staging", disk.path)
        case "another share":
            disk.path.rmdir()
            shutil.copytree(desk.site.folder / "archive/Archive1", disk.path)
        case "a copy of the marker":
            shutil.copytree(tmp_path / "marker", marker)
        case "no folder":
            disk.path.rmdir()
    if other:
        with other:
            said = desk.failure(desk.run())
    else:
        said = desk.failure(desk.run())
    expected = {
        "an empty disk": "has no marker",
        "another share": "is marked as share 1, and is mounted as share 0",
        "a copy of the marker": "only a copy of its marker is there",
        "no folder": "cannot be used: ",
    }
    assert f"{disk.path}: " in said
    assert expected[what] in said
    assert desk.starts == []
    kept(desk)


def test_two_shares_that_are_mounted_in_one_anothers_places_are_told(
    desk: Desk, disk: LoopDisk, tmp_path: Path
) -> None:
    """Both are real, and each takes every other quarter of the works for its own."""
    tree = desk.site.folder / "archive/Archive1"
    shutil.rmtree(tree)
    with loop_disk(tmp_path, tree) as other:
        assert not shares(desk.site).set_up(exchanged=frozenset({1}))[1]
        other.unmount()
        disk.unmount()
        other.mount(disk.path)
        disk.mount(other.path)
        assert not are_there(desk, [RID])
        assert not are_there(desk, ["W1NLM4730"])
        assert are_there(desk, ["W1NLM4799"])
        disk.unmount(other.path)
        other.unmount(disk.path)
        disk.mount()
        other.mount()
        assert are_there(desk, [RID, "W1NLM4730"])


_OLDER = """
import sys
from pathlib import Path
from ao_workflows.errors import AoError
from ao_workflows.archive.mounted_shares import ArchiveShares
shares = ArchiveShares(Path(sys.argv[1]), Path(sys.argv[2]))
print("began", flush=True)
sys.stdin.readline()
try:
    with shares.place_held("W1NLM4712", "run"):
        print("took it for the share")
except AoError as error:
    print(type(error).__name__, error.transient, error)
"""


def test_a_process_whose_mounts_are_older_than_the_share_does_not_write_below_it(desk: Desk, disk: LoopDisk) -> None:
    """A worker that was started before the share was mounted: all others see the share, and it the folder below."""
    skip_unless_mounts()
    disk.unmount()
    words = [*UNSHARE, sys.executable, "-c", _OLDER, desk.site.site.archive.parent, desk.site.layout.archive_shares()]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as older:
        assert older.stdout is not None
        assert older.stdout.readline() == "began\n"
        disk.mount()
        assert are_there(desk, [RID])
        said, _ = older.communicate("now\n")
    assert said.startswith(f"ArchiveShareLost True {disk.path}: has no marker")
    disk.unmount()
    assert list(disk.path.iterdir()) == []


def test_what_is_noted_has_the_id_and_the_device(desk: Desk, disk: LoopDisk) -> None:
    """Who compares the note with the disk finds the one in the other."""
    noted = json.loads(desk.site.layout.archive_shares().read_text())["0"]
    assert noted["id"] == json.loads((disk.path / ".ao-archive/share.json").read_text())["id"]
    assert (noted["device"]["kind"], noted["device"]["mounted_there"]) == ("ext4", True)


def test_the_proof_is_of_what_the_disk_has_and_not_of_what_memory_has(
    desk: Desk, disk: LoopDisk, tmp_path: Path
) -> None:
    """A disk that took a byte and kept another: read back from the page cache, the work was proven."""
    files = FILES | {"unlike.bin": os.urandom(1 << 16)}
    (tmp_path / "unlike").write_bytes(files["unlike.bin"][8192:12288])
    spoil = (
        "import sys; from pathlib import Path; from ao_workflows_tests.support.mounts import LoopDisk;"
        "LoopDisk(Path(sys.argv[1]), Path(sys.argv[2])).spoil(Path(sys.argv[3]).read_bytes())"
    )
    desk.wrap(
        f'sync "$@" && command sync -f {disk.path} && cd {Path(__file__).parents[1]} && '
        f"{sys.executable} -c '{spoil}' {disk.path} {disk.image} {tmp_path}/unlike"
    )
    said = desk.failure(desk.run(files))
    assert "unlike.bin: has another sha512 than was bagged" in said
    kept(desk)
