"""Room on the scratch disk: promised once, given back, and never to the dead."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ao_workflows.errors import NoRoom
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.staging.rejected_messages import keep
from ao_workflows.staging.room import Room
from ao_workflows.staging.staging import Staging
from ao_workflows_tests.support.kept_works import kept
from ao_workflows_tests.support.small_disks import mounted

MIB = 1 << 20


@pytest.fixture
def layout(tmp_path: Path) -> StagingLayout:
    return StagingLayout(tmp_path)


def room(layout: StagingLayout, *, reserve: int = 0, patience: float = 0) -> Room:
    """A process's room of the disk. The tests' promises are large parts of what is free: others use the disk too."""
    return Room(layout, reserve, patience)


def most_of_what_is_free(layout: StagingLayout) -> int:
    disk = os.statvfs(layout.root)
    return disk.f_bavail * disk.f_frsize * 7 // 10


def nobody(_: object) -> None:
    """Neither hears nor waits."""


def test_two_works_that_do_not_fit_together_follow_each_other(layout: StagingLayout) -> None:
    """Each alone fits, and both would meet a full disk after half a night."""
    most = most_of_what_is_free(layout)
    first, second = room(layout), room(layout, patience=3600)
    first.promise("W1", most, nobody)
    said: list[str] = []
    second.promise("W2", most, said.append, wait=lambda _: first.release("W1"))
    assert len(said) == 1
    assert "no room for W2" in said[0]
    assert "waiting for other works to be done" in said[0]
    with pytest.raises(NoRoom):
        first.promise("W1", most, nobody)


def test_a_work_that_gets_no_room_is_told_all_the_figures(layout: StagingLayout) -> None:
    """A person must see whether to free the disk, to wait, or to buy a larger one."""
    most = most_of_what_is_free(layout)
    first = room(layout)
    first.promise("W1", most, nobody)
    with pytest.raises(NoRoom, match=r"it waited 0 hours.*room_wait_hours.*reprocess") as raised:
        room(layout, reserve=5 * MIB).promise("W2", most, nobody)
    assert (raised.value.needed, raised.value.promised, raised.value.reserve) == (most, most, 5 * MIB)
    assert raised.value.free > most
    assert not raised.value.transient
    assert not layout.reservation("W2").exists()


def test_a_work_that_no_disk_of_this_size_can_hold_does_not_wait(layout: StagingLayout) -> None:
    """A day's waiting would end the same way."""
    disk = os.statvfs(layout.root)
    waits: list[float] = []
    with pytest.raises(NoRoom, match="the disk is too small for it even when it is empty"):
        room(layout, patience=3600).promise("W1", disk.f_blocks * disk.f_frsize + 1, nobody, wait=waits.append)
    assert waits == []


def test_the_reserve_stays_free(layout: StagingLayout) -> None:
    """The database, the logs and other people's files are on the same disk."""
    most = most_of_what_is_free(layout)
    with pytest.raises(NoRoom):
        room(layout, reserve=most).promise("W1", most, nobody)
    room(layout).promise("W1", most, nobody)


def test_kept_messages_are_a_part_of_the_reserve(tmp_path: Path) -> None:
    """A flood of messages that cannot be used took its room from the works, and left the reserve untouched."""
    with mounted(tmp_path / "disk", "size=64m") as disk:
        layout = StagingLayout(disk)
        free = room(layout)._look("W1", 1, 0)[0].free
        for number in range(8):
            keep(Staging(root=str(disk)), "fpl", "q", f"m{number}", "x" * MIB, "it is no event")
        room(layout, reserve=16 * MIB).promise("W1", free - 17 * MIB, nobody)
        with pytest.raises(NoRoom) as raised:
            room(layout, reserve=16 * MIB).promise("W2", 2 * MIB, nobody)
        assert 7 * MIB < raised.value.reserve < 8 * MIB


_PROMISE_AND_STAY = """
import sys, signal
from pathlib import Path
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.staging.room import Room
from ao_workflows.staging.staging import Staging
from ao_workflows_tests.support.kept_works import kept
from ao_workflows_tests.support.small_disks import mounted
room = Room(StagingLayout(Path(sys.argv[1])), 0, 0)
room.promise("W1", int(sys.argv[2]), print)
print("promised", flush=True)
signal.pause()
"""


def test_the_promise_of_a_process_that_was_killed_is_nobody_s(layout: StagingLayout) -> None:
    """A killed worker's promise would keep the others out until a person removed it."""
    most = most_of_what_is_free(layout)
    with subprocess.Popen(
        [sys.executable, "-c", _PROMISE_AND_STAY, layout.root, str(most)], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout
            assert other.stdout.readline() == "promised\n"
            with pytest.raises(NoRoom):
                room(layout).promise("W2", most, nobody)
        finally:
            other.kill()
    room(layout).promise("W2", most, nobody)
    assert not layout.reservation("W1").exists()


def test_what_is_on_the_disk_already_is_not_counted_twice(layout: StagingLayout) -> None:
    """A download that is gone on with, or a work that is half unpacked, has taken its room already."""
    for path in (layout.part("W1"), layout.work("W1") / "W1/a", layout.work_under_way("W1", "run") / "W1/b"):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * MIB)
    disk = os.statvfs(layout.root)
    with pytest.raises(NoRoom) as raised:
        room(layout).promise("W1", disk.f_blocks * disk.f_frsize + 4 * MIB, nobody)
    assert raised.value.needed == disk.f_blocks * disk.f_frsize + MIB


def test_what_another_work_has_unpacked_is_not_taken_for_ones_own(layout: StagingLayout) -> None:
    """``W1`` would be promised less than it writes, by as much as ``W1.1`` has on the disk, and meet a full one."""
    for name in (".W1.1.run.tmp", ".W1.going-01234567.tmp"):
        (layout.root / "works" / name).mkdir(parents=True)
        (layout.root / "works" / name / "page.jpg").write_bytes(b"x" * MIB)
    disk = os.statvfs(layout.root)
    needed = disk.f_blocks * disk.f_frsize + MIB
    with pytest.raises(NoRoom) as raised:
        room(layout).promise("W1", needed, nobody)
    assert raised.value.needed == needed


def test_works_get_room_in_the_order_in_which_they_asked(layout: StagingLayout) -> None:
    """Passed by every small work, a large one would wait until no small one is left."""
    most = most_of_what_is_free(layout)
    holder, large, small = room(layout), room(layout, patience=1), room(layout)
    holder.promise("W1", most, nobody)

    def meanwhile(_: float) -> None:
        with pytest.raises(NoRoom):
            small.promise("W3", MIB, nobody)
        holder.release("W1")

    large.promise("W2", most, nobody, wait=meanwhile, clock=ticks(0.0, 0.0, 0.0))
    small.promise("W3", MIB, nobody)


def test_a_work_that_has_what_it_needs_waits_for_nobody(layout: StagingLayout) -> None:
    """One that is unpacked already frees the disk for the others by going on."""
    most = most_of_what_is_free(layout)
    holder, waiting, done = room(layout), room(layout, patience=1), room(layout)
    holder.promise("W1", most, nobody)

    def meanwhile(_: float) -> None:
        done.promise("W3", 0, nobody)
        holder.release_all()

    waiting.promise("W2", most, nobody, wait=meanwhile, clock=ticks(0.0, 0.0, 0.0))


def test_room_is_made_only_as_far_as_a_work_lacks_it(layout: StagingLayout) -> None:
    """What is freed without need is downloaded again by whoever wanted it."""
    most = most_of_what_is_free(layout)
    holder = room(layout)
    holder.promise("W1", most, nobody)
    steps = ["left over", "W8", "W9"]

    def free_next() -> bool:
        if steps.pop(0) == "W8":
            holder.release("W1")
        return True

    room(layout).promise("W2", most, nobody, free_next)
    assert steps == ["W9"]
    room(layout).promise("W3", 0, nobody, free_next)
    assert steps == ["W9"]


def test_a_work_that_waits_behind_another_frees_nothing(layout: StagingLayout) -> None:
    """What it frees would go to the one ahead, which frees what it needs itself."""
    most = most_of_what_is_free(layout)
    holder, first = room(layout), room(layout, patience=1)
    holder.promise("W1", most, nobody)
    freed: list[str] = []

    def meanwhile(_: float) -> None:
        with pytest.raises(NoRoom):
            room(layout).promise("W3", most, nobody, lambda: bool(freed.append("W3")))
        holder.release("W1")

    first.promise("W2", most, nobody, lambda: bool(freed.append("W2")), meanwhile, ticks(0.0, 0.0, 0.0))
    assert freed == ["W2"]


def test_a_work_that_no_disk_can_hold_frees_nothing(layout: StagingLayout) -> None:
    """The whole disk would be freed for a run that fails all the same."""
    disk = os.statvfs(layout.root)
    freed: list[str] = []
    with pytest.raises(NoRoom):
        room(layout).promise("W1", disk.f_blocks * disk.f_frsize + 1, nobody, lambda: bool(freed.append("W1")))
    assert freed == []


_MAKE_ROOM = """
import sys, time
from ao_workflows.staging.staging import Staging
from ao_workflows_tests.support.kept_works import unneeded_of
root, rid, needed = sys.argv[1:]
staging = Staging(root=root, keep_days=3, reserve_gib=0, room_wait_hours=0.01)
unneeded = unneeded_of(staging)
print("ready", flush=True)
sys.stdin.readline()
staging.room.promise(rid, int(needed), print, unneeded.free_next, lambda _: time.sleep(0.05))
print("promised", *unneeded.freed, flush=True)
sys.stdin.readline()
"""


def test_two_runs_that_need_room_at_once_free_no_more_than_both_need(tmp_path: Path) -> None:
    """Each counted on what the other had freed, or freed the whole disk beside it."""
    with mounted(tmp_path / "disk", "size=16m") as disk:
        for rid, days_ago in (("W1", 9), ("W2", 8), ("W3", 7)):
            kept(Staging(root=str(disk), keep_days=3, reserve_gib=0), rid, days_ago, data=b"x" * 4 * MIB)
        words = [sys.executable, "-c", _MAKE_ROOM, str(disk)]
        runs = [
            subprocess.Popen([*words, rid, str(5 * MIB)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for rid in ("W8", "W9")
        ]
        try:
            for answer in ("ready", "promised"):
                said = [_said(run, answer) for run in runs]
                for run in runs if answer == "ready" else ():
                    assert run.stdin
                    run.stdin.write("go\n")
                    run.stdin.flush()
            assert sorted(" ".join(said).replace("promised", "").split()) == ["W1", "W2"]
            assert os.listdir(disk / "incoming") == ["W3"]
            assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize < 12 * MIB
        finally:
            for run in runs:
                run.communicate("end\n")


def _said(run: subprocess.Popen[str], answer: str) -> str:
    """What the run says on the line that begins with ``answer``; it may say before that it waits."""
    assert run.stdout
    return next(line for line in run.stdout if line.startswith(answer)).strip()


def test_a_run_that_asks_again_keeps_what_it_has(layout: StagingLayout) -> None:
    """A stage is tried again in the same process: its own promise must not stand in its way."""
    most = most_of_what_is_free(layout)
    ours = room(layout)
    ours.promise("W1", most, nobody)
    ours.promise("W1", most, nobody)


def test_a_wait_of_hours_is_said_now_and_then(layout: StagingLayout) -> None:
    """Every ten seconds it would fill the log; once at the beginning, nobody would know whether it still waits."""
    most = most_of_what_is_free(layout)
    room_of_first = room(layout)
    room_of_first.promise("W1", most, nobody)
    said: list[str] = []
    clock = ticks(*(10.0 * tick for tick in range(400)))
    with pytest.raises(NoRoom):
        room(layout, patience=1800).promise("W2", most, said.append, wait=nobody, clock=clock)
    assert 3 <= len(said) <= 4


def ticks(*moments: float) -> Callable[[], float]:
    """A clock that says these, then its last for ever."""
    left = list(moments)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_a_part_that_gets_no_room_is_called_as_a_person_calls_it(layout: StagingLayout) -> None:
    """The name that the disk has for it is no part's name, and no command takes it."""
    most = most_of_what_is_free(layout)
    with pytest.raises(NoRoom, match="no room for W1-I1 of W1: "):
        room(layout, reserve=most).promise("W1+W1-I1", most, nobody)
