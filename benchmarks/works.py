"""What the platform adds to a work: forty works of one tiny file each, from the queue's message into the archive.

What belongs here: the works, and the seconds that pass. What does not: any part of the platform; it is the one that
production runs, under the settings that are shipped: the sensor, the queue of runs and its two runs at a time, the
launcher with a process a run, the daemon and its code server, SQLite for Dagster's storage and for DRS, the reference
sync script, and moto's server for S3 and SQS.

The clock runs from the first work's restore, half the sensor's interval after a tick of an empty queue, to the end of
the last run. A work's share is compared with what importing Dagster takes on the same machine between the rounds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.scheduler.instigation import SensorInstigatorData

from ao_workflows.archive.places import archive_place
from ao_workflows.defs.sensors.intakes import TICK_SECONDS
from ao_workflows.demo.aws import EmulatedAws
from ao_workflows.demo.processes import Processes
from ao_workflows.demo.run import DemoFolder, make_databases, processes_in, start_aws
from ao_workflows.instance import dagster_processes
from ao_workflows.machine.processes import signals_interrupt
from ao_workflows.site.sections import CHECKOUT
from benchmarks.bag_zips import images, write_bag
from benchmarks.measure import Result, at_most

ROUNDS = 3
WORKS = 40
IMPORTS = 5
GIVE_UP_SECONDS = 600.0


def run() -> list[Result]:
    """What a work takes, over importing Dagster."""
    return [over_imports(f"{WORKS} of them", lambda: _round() / WORKS, 2.6)]


def over_imports(what: str, seconds_a_work: Callable[[], float], most: float) -> Result:
    """Each round begins with an empty instance; the importing is measured before and after each."""
    # An editable install is not compiled, and where Python may write no bytecode each run would compile it anew.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(CHECKOUT / "ao_workflows")], check=True)
    taken, peers = [], []
    for _ in range(ROUNDS):
        peers += _imports()
        taken.append(seconds_a_work())
    peers += _imports()
    name = f"a work of one tiny file, {what}: importing dagster"
    return at_most(name, median(taken), median(peers), "s", most)


def _imports() -> list[float]:
    """The seconds that importing Dagster takes, a few times."""
    taken = []
    for _ in range(IMPORTS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import dagster"], check=True)
        taken.append(time.perf_counter() - started)
    return taken


def _round() -> float:
    """The seconds from the first message to the last run's end, every work being in the archive."""
    rids = [f"W1BENCH{number:04}" for number in range(WORKS)]
    with platform(rids) as (folder, processes, aws), DagsterInstance.from_config(str(folder.dagster_home)) as instance:
        processes.start("daemon", dagster_processes.daemon(*dagster_processes.HERE))
        wait(processes, lambda: has_ticked(instance))
        # A message waits for half the sensor's interval on average; just after a tick it would be all of it.
        time.sleep(TICK_SECONDS / 2)
        started = time.perf_counter()
        aws.restore(rids)
        succeeded = RunsFilter(statuses=[DagsterRunStatus.SUCCESS])
        wait(processes, lambda: instance.get_runs_count(succeeded) == WORKS)
        seconds = time.perf_counter() - started
        parent = folder.archive / "Archive"
        assert all((archive_place(parent, rid) / "images").is_dir() for rid in rids), "not all are in the archive"
        return seconds


@contextmanager
def platform(rids: Sequence[str]) -> Iterator[tuple[DemoFolder, Processes, EmulatedAws]]:
    """The demo's folder and AWS, with a zip of each work in Glacier; all of it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ao-works-") as name:
        folder = DemoFolder(Path(name))
        folder.make_anew()
        with signals_interrupt(), processes_in(folder) as processes:
            aws = start_aws(folder, processes)
            make_databases(folder)
            for rid in rids:
                aws.upload(rid, write_bag(folder.root / f"{rid}.zip", images(1, 1000), "sha256", rid=rid))
            yield folder, processes, aws


def has_ticked(instance: DagsterInstance) -> bool:
    """Whether a sensor has."""
    states = [state.instigator_data for state in instance.all_instigator_state()]
    return any(isinstance(data, SensorInstigatorData) and data.last_tick_timestamp for data in states)


def wait(processes: Processes, done: Callable[[], bool]) -> None:
    """Until it is done; not for ever, and not where a process has ended."""
    until = time.monotonic() + GIVE_UP_SECONDS
    while not done():
        processes.check()
        if time.monotonic() > until:
            raise RuntimeError(f"not done after {GIVE_UP_SECONDS:.0f} s")
        time.sleep(0.1)
