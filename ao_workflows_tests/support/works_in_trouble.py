"""A site with works in every kind of trouble, on an instance of its own on disk, as ``ao`` finds it.

What belongs here: bringing the works there by real runs. What does not: what is said of them.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._daemon.types import DaemonHeartbeat

from ao_workflows.definitions import build
from ao_workflows.defs.sensors.intakes import run_config
from ao_workflows.events.s3_events import parse_message
from ao_workflows.instance.run_queue import queue_run
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip, trial_site

CHECKOUT = Path(__file__).resolve().parents[2]

GOOD = "W1NLM4700"
REFUSED = "W1NLM5043"
QUEUED = "W1NLM4712"
FREED = "W1NLM4788"
FILES = {"images/0001.jpg": PAGE}


@contextmanager
def queueing_site(folder: Path, aws: Aws, **staging: str) -> Iterator[TrialSite]:
    """A site whose runs wait in the queue of an instance on disk: one in memory would execute them on the spot, with
    whichever site the definitions find.
    """
    home = folder / "dagster"
    home.mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", home)
    with trial_site(folder, aws, **staging) as made, dg.DagsterInstance.from_config(str(home)) as instance:
        yield dataclasses.replace(made, instance=instance)


@contextmanager
def works_in_trouble(folder: Path, aws: Aws, *works: str) -> Iterator[TrialSite]:
    """``GOOD`` is in the archive and still on scratch, ``QUEUED`` in the queue; of ``works``, ``REFUSED`` is what its
    name says, and ``FREED`` is in the archive and no longer on scratch.
    """
    with queueing_site(folder, aws, keep="1 days") as site:
        assert site.run(GOOD, site.restore(GOOD, bag_zip(GOOD, FILES))).success
        if FREED in works:
            assert site.run(FREED, site.restore(FREED, bag_zip(FREED, FILES))).success
            shutil.rmtree(site.layout.incoming(FREED))
            shutil.rmtree(site.layout.work(FREED))
        if REFUSED in works:
            assert not site.run(REFUSED, site.restore(REFUSED, bag_zip(REFUSED, {}, manifest=FILES))).success
        queue(site, QUEUED, site.restore(QUEUED, bag_zip(QUEUED, FILES)))
        yield site


def queue(site: TrialSite, rid: str, body: str) -> str:
    """Puts a run for the event in ``body`` into the queue, as the sensor has it done; its id."""
    job = build(site.site).resolve_job_def("restore_work")
    stages = ("restored_message", "downloaded_bag", "debagged_work", "synced_archive")
    config = run_config("demo", parse_message(body)[0])
    return queue_run(site.instance, job, "works", rid, stages, config, {"ao/intake": "demo"})


def beat(site: TrialSite, at: float) -> None:
    """Has the daemon that takes runs from the queue tell that it was there then."""
    site.instance.add_daemon_heartbeat(DaemonHeartbeat(at, "QUEUED_RUN_COORDINATOR", None, None))
