"""The whole of a work of 2 GB, from S3 into the archive: ours, as a run does it, against the present system's steps.

What belongs here: the two ways, and their comparison. What does not: any stage; ours are the platform's assets with
its resources, in one process, and theirs are boto3's download, bdrc-bag's debag in a daemon, the same sync script, and
bagit's validation of what is then in the archive.

Neither side is charged for the disk: what the one before wrote is flushed before the clock starts, and the flush at the
end is left out. Nor for freeing the scratch disk, which ours can leave to a later day, and theirs leaves to somebody.

Ours is told by the object's CRC64NVME, which S3 has of whatever is uploaded today, and once more by its MD5, all that
S3 has of what was uploaded in one piece before: that costs 2.6 core-seconds, and theirs proves nothing of the download.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import bagit
import boto3
import dagster as dg
from bag import bag_ops
from botocore.config import Config

from ao_workflows import clients, definitions
from ao_workflows.archive.mounted_shares import make_archive
from ao_workflows.archive.places import archive_place
from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.defs.restore import syncing
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.defs.sensors.intakes import run_config
from ao_workflows.errors import Problem
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.fixity.trees import compare_tree
from ao_workflows.machine.files import now
from ao_workflows.machine.new_trees import NewTree
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import CHECKOUT
from benchmarks.bag_zips import images, write_bag
from benchmarks.measure import Result, at_least, seconds_in_turn
from benchmarks.s3_server import BUCKET, served

ROUNDS = 5
IMAGES, SIZE = 2000, 1_000_000
RID = "W1"
MD5, CRC64NVME = f"md5/{RID}.bag.zip", f"crc64nvme/{RID}.bag.zip"


def run() -> list[Result]:
    """Needs some 15 GB of room for a while where temporary files go (TMPDIR)."""
    with tempfile.TemporaryDirectory(prefix="ao-whole-") as name:
        root = Path(name)
        with served(root, _write_zip, MD5, CRC64NVME) as url:
            sides = _Sides(root, url)
            crc, md5, peer = seconds_in_turn(
                ROUNDS,
                partial(sides.ours, CRC64NVME),
                partial(sides.ours, MD5),
                partial(sides.theirs, MD5),
                before=sides.clear,
                warm_up=1,
            )
    what = "2 GB in 2,000 files, download to proof"
    return [
        at_least(f"{what} (CRC64NVME): the present steps", crc, peer, "s", 1.5),
        at_least(f"{what} (MD5): the present steps", md5, peer, "s", 1.5),
    ]


def _write_zip(path: Path) -> None:
    write_bag(path, images(IMAGES, SIZE), "sha512", rid=RID)


def _from_memory(*words: Any, **others: Any) -> list[Problem]:
    """The proof, as the peer's, of what is in memory: nothing is flushed, so there is nothing to drop."""
    return compare_tree(*words, **(others | {"dropping_cache": False}))


class _Unflushed(SyncScript):
    """The sync script, without the flush of the archive after it."""

    def flush(self, places: Iterable[str]) -> None:
        pass


class _Sides:
    """Both ways, each time in a new folder below ``root``, from the server at ``url``."""

    def __init__(self, root: Path, url: str) -> None:
        self._root, self._url = root, url
        self._tree: NewTree | None = None
        self._s3 = boto3.client("s3", endpoint_url=url, config=Config(response_checksum_validation="when_required"))

    def clear(self) -> None:
        """An empty staging disk and an empty archive, with nothing that waits to be written.

        They are made where ext4 has no inodes of the side before: it looks through those that were just deleted, for
        each new file nearby.
        """
        if self._tree:
            self._tree.__exit__()
        self._tree = NewTree(self._root / "here")
        self._here = self._tree.path
        self._archive = self._here / "archive" / "Archive"
        for folder in ("staging", "theirs"):
            (self._here / folder).mkdir(parents=True)
        described = parse(_site(self._here, self._url), "the benchmark's site")
        make_archive(clients.archive_shares(described))
        self._resources = clients.resources(described)
        self._resources["sync_script"] = _Unflushed(**vars(self._resources["sync_script"]))
        self._resources["drs"].init()
        os.sync()

    def ours(self, key: str) -> None:
        """The four assets, in a run of their own."""
        event = ObjectEvent("ObjectRestore:Completed", now(), "us-east-1", BUCKET, key)
        quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        defs = dg.Definitions(
            definitions.defs.assets,
            jobs=definitions.defs.jobs,
            resources=self._resources,
            executor=dg.in_process_executor,
        )
        with dg.DagsterInstance.ephemeral() as instance, patch.object(syncing, "compare_tree", _from_memory):
            instance.add_dynamic_partitions(str(WORKS.name), [RID])
            done = defs.resolve_job_def("restore_work").execute_in_process(
                instance=instance, partition_key=RID, run_config=run_config("bench", event) | quiet
            )
        assert done.success
        self._check()

    def theirs(self, key: str) -> None:
        """Download, debag, sync and validate, one after the other."""
        folder = self._here / "theirs"
        self._s3.download_file(BUCKET, key, str(folder / "W1.bag.zip"))
        # It removes the zip when it is done.
        assert bag_ops.debag(str(folder / "W1.bag.zip"), str(folder), in_daemon=True), "bdrc-bag refused the bag"
        words = [CHECKOUT / "docker/sync/syncOneWork.sh", "-a", self._archive, "-s", folder / "list", folder / RID]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        self._check()
        # What is in the archive becomes the payload of the bag that it came from.
        bag = folder / "bags" / f"{RID}.bag"
        archive_place(self._archive, RID).rename(bag / "data")
        bagit.Bag(str(bag)).validate()

    def _check(self) -> None:
        files = sum(1 for path in archive_place(self._archive, RID).rglob("*.jpg"))
        assert files == IMAGES, f"{files} images are in the archive"


def _site(folder: Path, url: str) -> str:
    return f"""\
environment = "demo"

[staging]
root = "{folder}/staging"
keep = "1 days"
reserve_gib = 1

[[intake]]
name = "bench"
queue = "none"
bucket = "{BUCKET}"
region = "us-east-1"
environment = "demo"
endpoint_url = "{url}"

[archive]
parent = "{folder}/archive/Archive"

[sync]
script = "{CHECKOUT}/docker/sync/syncOneWork.sh"

[drs]
url = "sqlite:///{folder}/drs.sqlite"
"""
