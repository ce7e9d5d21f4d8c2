"""The lock of a work's place in the archive: whatever brings the work, one at a time writes it."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ao_workflows import clients
from ao_workflows.archive import mounted_shares as archive_shares
from ao_workflows.archive.shares import place_lock
from ao_workflows.defs.restore.own_part import OwnPart
from ao_workflows.defs.restore.syncing import Syncing
from ao_workflows.defs.restore.zip_works import sync_each
from ao_workflows.drs.client import Drs
from ao_workflows.errors import ArchiveShareLost, WorkBusy
from ao_workflows.fixity.trees import FileFixity, write_fixity
from ao_workflows.machine import file_locks
from ao_workflows.staging.receipts import Origin
from ao_workflows.staging.staging import Staging
from ao_workflows.works.parts import Part
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.archive_rule import FIND_BUCKET
from ao_workflows_tests.support.desks import FILES, OTHER, RID, Desk, two_works

THIRD = "W1NLM4733"

UNLOCKED = """\
{rule}
find_bucket
place={parent}/archive/Archive$share/$bucket
echo "begin $rid" >>{parent}/order
mkdir -p $place && sleep 0.5 && cp -rT "$work" $place/$rid
echo "end $rid" >>{parent}/order
while getopts AWa:w:s: option; do [ $option = s ] && echo $rid >>"$OPTARG"; done
"""
"""A site's own script, which locks nothing."""


def staged(desk: Desk, rid: str, *works: str) -> Syncing:
    """The syncing of the works of a zip that came under the partition ``rid``, and lie unpacked."""
    staging = Staging(root=str(desk.site.site.staging.root))
    files = []
    for work in works:
        path = staging.layout.work(rid) / work / "text.txt"
        path.parent.mkdir(parents=True)
        path.write_bytes(work.encode())
        files.append(FileFixity(work, "text.txt", len(work), {"sha256": hashlib.sha256(work.encode()).hexdigest()}))
    fixity = staging.layout.fixity(rid)
    fixity.parent.mkdir(parents=True)
    write_fixity(fixity, files)
    script = clients.sync_script(desk.site.site)
    # By a person's word each work is written, also where the archive has it already.
    said = {"until_recorded": ExitStack(), "still_wanted": lambda: None, "record_guest": lambda *_of: None}
    own = OwnPart(Part(rid, rid), "2026-01-01T00:00:00Z", "an event", Path(script.archive_parent), fixity)
    return Syncing(
        staging, script, own, Origin("an event", rid, 0), f"run-{rid}", True, lambda _line: None, others=works, **said
    )


def test_two_zips_with_one_work_never_write_it_at_the_same_moment(desk: Desk) -> None:
    """Each run has its own partition's lock, and the site's own script has none: both wrote one tree, file by file."""
    desk.wrap(UNLOCKED.format(parent=desk.site.folder, rule=FIND_BUCKET))
    zips = [(staged(desk, RID, RID, OTHER), (OTHER, RID)), (staged(desk, THIRD, OTHER, THIRD), (OTHER, THIRD))]
    results: list[Any] = []
    barrier = threading.Barrier(2)

    def run(syncing: Syncing, works: tuple[str, ...]) -> None:
        barrier.wait()
        with syncing.until_recorded:
            results.append(sync_each(syncing, works))

    threads = [threading.Thread(target=run, args=each) for each in zips]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [list(failed.values()) for _, failed in results] == [[], []]
    of_other = [line for line in (desk.site.folder / "order").read_text().splitlines() if line.endswith(OTHER)]
    assert of_other == [f"begin {OTHER}", f"end {OTHER}"] * 2


def test_two_runs_with_one_anothers_works_do_not_wait_for_one_another(desk: Desk) -> None:
    """Each had its own work locked until it was recorded, and waited for the other's until both gave up."""
    desk.wrap(UNLOCKED.format(parent=desk.site.folder, rule=FIND_BUCKET))
    results = []
    barrier = threading.Barrier(2)

    def run(syncing: Syncing) -> None:
        barrier.wait()
        with syncing.until_recorded:
            results.append(sync_each(syncing, (RID, OTHER)))

    threads = [threading.Thread(target=run, args=(staged(desk, rid, RID, OTHER),)) for rid in (RID, OTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(list(synced), failed) for synced, failed in results] == [([RID, OTHER], {})] * 2


def test_who_waits_too_long_is_told_who_has_the_work_and_tries_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large work takes hours: no run waits so long with its place in the queue."""
    monkeypatch.setattr(archive_shares, "PATIENCE_SECONDS", 0.3)
    desk.wrap('sync "$@"')
    shares = clients.archive_shares(desk.site.site)
    syncing = staged(desk, RID, RID, OTHER)
    with shares.place_held(OTHER, "run of another zip"), syncing.until_recorded:
        started = time.monotonic()
        synced, failed = sync_each(syncing, (RID, OTHER))
        assert time.monotonic() - started < 60
    assert list(synced) == [RID]
    assert isinstance(failed[OTHER], WorkBusy)
    assert failed[OTHER].transient
    assert f"{OTHER} is being worked on by run of another zip, process " in str(failed[OTHER])
    assert desk.starts == [RID]
    with syncing.until_recorded:
        assert list(sync_each(syncing, (RID, OTHER))[0]) == [RID, OTHER]


@dataclass(frozen=True, kw_only=True)
class Asking(Drs):
    """A database that looks, when a work's end is recorded, whether another run could write the work."""

    parent: str

    def record(self, rid: str, stage: Stage | None, *others: Any, **more: Any) -> None:
        super().record(rid, stage, *others, **more)
        if stage == Stage.SYNCED_ARCHIVE:
            with pytest.raises(WorkBusy, match=rid):
                file_locks.take(place_lock(Path(self.parent), rid), rid)


def test_the_events_own_work_is_held_until_the_database_has_it_and_those_beside_it_are_not(desk: Desk) -> None:
    """An older delivery that came in between would be the one that the archive has, and the newer one recorded."""
    lock = place_lock(desk.site.site.archive.parent, RID)
    desk.wrap(f'if [ "$rid" != {RID} ]; then flock -n {lock} true && exit 9; fi; sync "$@"')
    drs = Asking(url=desk.site.site.drs.url, parent=str(desk.site.site.archive.parent))
    result = desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES)), drs=drs)
    assert result.success, desk.failure(result)
    shares = clients.archive_shares(desk.site.site)
    for work in (RID, OTHER):
        with shares.place_held(work, "afterwards"):
            pass


def test_what_the_script_has_left_running_does_not_keep_the_lock(desk: Desk) -> None:
    """The script inherits it: a daemon of the script's would hold the work for ever."""
    desk.wrap('sync "$@"; setsid sleep 30 >/dev/null 2>&1 </dev/null &')
    assert desk.run().success
    with clients.archive_shares(desk.site.site).place_held(RID, "afterwards"):
        pass


_WORKER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from ao_workflows.archive.sync_options import SyncOptions
from ao_workflows.archive import sync_script
from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.archive.sync_script import SyncScript
sync_script.GRACE_SECONDS = 2
script, parent, notes, logs = sys.argv[1:]
resource = SyncScript(script=script, archive_parent=parent, logs=logs, timeout_minutes=5)
with ArchiveShares(Path(parent), Path(notes)).place_held("W1NLM4712", "run") as lock:
    say = lambda line: print(line, flush=True)
    resource.run("W1NLM4712", Path("/works/W1NLM4712"), SyncOptions(), "run", say, datetime.now(UTC), (lock,))
"""


def test_a_script_that_outlives_its_worker_keeps_others_out_until_it_has_ended(desk: Desk) -> None:
    """It may heed no TERM for ten seconds, and writes as long."""
    desk.wrap("trap '' TERM; echo began; while :; do sleep 0.1; done")
    site = desk.site.site
    words = [site.sync.script, site.archive.parent, desk.site.layout.archive_shares(), desk.site.folder / "logs"]
    with subprocess.Popen([sys.executable, "-c", _WORKER, *words], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "began\n"
        worker.kill()
    killed = time.monotonic()
    with pytest.raises(WorkBusy):
        file_locks.take(place_lock(site.archive.parent, RID), RID)
    with clients.archive_shares(site).place_held(RID, "the next run"):
        assert time.monotonic() - killed > 1


def test_the_lock_says_who_has_it_and_nobody_once_it_is_given_back(desk: Desk) -> None:
    """A person who looks into the folder must not be told of a run of last year."""
    lock = place_lock(desk.site.site.archive.parent, RID)
    with clients.archive_shares(desk.site.site).place_held(RID, "run 7"):
        assert lock.read_text().startswith("run 7, process ")
    assert lock.read_text() == ""


def test_a_full_share_is_not_told_to_be_mounted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way out of a full disk is room."""

    def take(path: Path, *_words: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(file_locks, "take", take)
    shares = clients.archive_shares(desk.site.site)
    with pytest.raises(ArchiveShareLost, match="No space left on device") as full, shares.place_held(RID, "run"):
        pass
    assert "Free some room on it" in str(full.value)
    assert "Mount it" not in str(full.value)


def test_where_nothing_can_be_locked_it_is_told_and_tried_again(desk: Desk) -> None:
    """The platform's own folder belongs to somebody else, or is a file."""
    locks = place_lock(desk.site.site.archive.parent, RID).parent
    locks.write_text("")
    shares = clients.archive_shares(desk.site.site)
    with pytest.raises(ArchiveShareLost, match=r"cannot be used: .*locks: ") as lost, shares.place_held(RID, "run"):
        pass
    assert lost.value.transient
    assert "must belong to the user that runs this" in str(lost.value)
