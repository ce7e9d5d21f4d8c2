"""A work that the archive has already, unchanged: all that syncing it costs, against reading the archive's copy once.

What belongs here: that comparison, with the reference script. What does not: a work's way into an empty archive
(``benchmarks.whole_work``), and what reading costs by itself (``benchmarks.verify``).

Both sides read the archive's copy from the disk, as the proof does, what is in memory dropped before. The flushes are
left out: they have nothing to write.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.archive.places import archive_place
from ao_workflows.archive.shares import SHARES
from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.defs.restore.syncing import Syncing, sync_each
from ao_workflows.fixity.trees import FileFixity, compare_tree, read_fixity, write_fixity
from ao_workflows.site.sections import CHECKOUT
from ao_workflows.staging.receipts import Origin, placed_name
from ao_workflows.staging.staging import Staging
from benchmarks.bag_zips import images
from benchmarks.measure import Result, at_most, seconds_in_turn

ROUNDS = 5
RID = "W1"
SETTLED_SECONDS = 3
"""What was written a moment ago is read twice, and an archive's works are older than that."""


def run() -> list[Result]:
    """Needs some 5 GB of room for a while where temporary files go (TMPDIR)."""
    with tempfile.TemporaryDirectory(prefix="ao-sync-") as folder:
        name = "2 GB in 2,000 files, there already: reading the archive's copy once"
        return [_unchanged(Path(folder), 2000, 1_000_000, name)]


class _Unflushed(SyncScript):
    """The sync script, without the flush of the archive after it."""

    def flush(self, place: Path | str) -> None:
        pass


def _unchanged(folder: Path, count: int, size: int, name: str) -> Result:
    staging = Staging(root=str(folder / "staging"))
    shares = ArchiveShares(folder / "Archive", staging.layout.archive_shares())
    for share in SHARES:
        shares.tree(share).mkdir()
    shares.set_up(plain_folders=frozenset(SHARES))
    script = _Unflushed(
        script=str(CHECKOUT / "docker/sync/syncOneWork.sh"),
        archive_parent=str(folder / "Archive"),
        logs=str(folder / "logs"),
        timeout_minutes=60,
    )
    work, place = staging.layout.work(RID) / RID, archive_place(folder / "Archive", RID)
    staging.layout.fixity(RID).parent.mkdir(parents=True)
    write_fixity(
        staging.layout.fixity(RID), [_put(work, number, data) for number, data in enumerate(images(count, size))]
    )
    shutil.copytree(work, place)
    time.sleep(SETTLED_SECONDS)
    ours, once = seconds_in_turn(ROUNDS, partial(_sync, staging, script), partial(_read, staging, place), warm_up=1)
    return at_most(name, ours, once, "s", 1.2)


def _put(work: Path, number: int, data: bytes) -> FileFixity:
    path = f"images/W1-I{number // 500:04}/W1-I{number // 500:04}{number:06}.jpg"
    (work / path).parent.mkdir(parents=True, exist_ok=True)
    (work / path).write_bytes(data)
    return FileFixity(RID, path, len(data), {"sha512": hashlib.sha512(data).hexdigest()})


def _sync(staging: Staging, script: SyncScript) -> None:
    """As ``synced_archive`` does it: the look before, the script, the proof, the receipt."""
    staging.layout.receipt(RID, placed_name(RID)).unlink(missing_ok=True)
    said: list[str] = []
    origin = Origin("an event", "0", 0)
    with ExitStack() as until_recorded:
        syncing = Syncing(
            staging, script, RID, origin, "a-run", True, said.append, until_recorded, lambda: None, lambda _placed: None
        )
        _, failed = sync_each(syncing, [RID])
    assert not failed, failed
    assert any("nothing is copied" in line for line in said), said


def _read(staging: Staging, place: Path) -> None:
    """Each file's digest once, the list of them read from the disk."""
    files = read_fixity(staging.layout.fixity(RID))
    assert not compare_tree(place, ((file.path, file) for file in files), "checksum", dropping_cache=True)
