"""The demo from its beginning to its end, and the web page over what it left.

What belongs here: the order of the steps, and the folder that everything is in. What does not: each step itself.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console

from ao_workflows import clients
from ao_workflows.archive.mounted_shares import make_archive
from ao_workflows.demo.aws import EmulatedAws, start_emulator, write_credentials
from ao_workflows.demo.processes import Processes
from ao_workflows.demo.samples import Sample, make_samples
from ao_workflows.instance import dagster_processes
from ao_workflows.machine import file_locks
from ao_workflows.machine.processes import free_port, no_interrupts, signals_interrupt
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import load, parse
from ao_workflows.site.sections import CHECKOUT, Site

INTAKE = "demo"
GIVE_UP_SECONDS = 900.0
LOOK_EVERY_SECONDS = 0.5


class DemoFolder:
    """The one folder that contains everything of the demo, with the paths of its parts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.site = root / "site.toml"
        self.credentials = root / "aws-credentials"
        self.dagster_home = root / "dagster"
        self.samples = root / "samples"
        self.logs = root / "logs"
        self.archive = root / "archive"
        self.staging = root / "staging"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which Dagster and the platform find the demo."""
        return {"AO_SITE": str(self.site), "DAGSTER_HOME": str(self.dagster_home)}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps a second demo out of the folder during the ``with`` block.

        :raises RuntimeError: if another demo is running in it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = file_locks.take_if_free(self.root / "lock")
        if lock is None:
            raise RuntimeError(f"another demo is running in {self.root}: end it first")
        try:
            yield
        finally:
            os.close(lock)

    def make_anew(self) -> None:
        """Empties the folder, and makes the archive's folders, Dagster's home, the credentials, and a file ``env`` for
        a shell.
        """
        for entry in self.root.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()
        make_archive(clients.archive_shares(parse(demo_site(self.root, endpoint_url=None), "the demo's site")))
        self.dagster_home.mkdir()
        shutil.copy(CHECKOUT / "dagster.yaml", self.dagster_home)
        write_credentials(self.credentials, INTAKE)
        (self.root / "env").write_text(
            "".join(f"export {name}='{value}'\n" for name, value in self.environment.items())
            + f"export PATH='{Path(sys.executable).parent}':$PATH\n"
        )

    def write_site(self, port: int) -> Site:
        """Writes site.toml for an emulator at ``port``, and returns the site."""
        self.site.write_text(demo_site(self.root, f"http://127.0.0.1:{port}"))
        return load(self.site)


def run_demo(root: Path, out: TextIO) -> int:
    """Runs the whole demo in ``root``; returns 0 if everything is as it should be, else 1."""
    folder = DemoFolder(root)
    console = Console(file=out)
    with folder.alone(), ExitStack() as stack:
        folder.make_anew()
        stack.enter_context(signals_interrupt())
        processes = stack.enter_context(processes_in(folder))
        console.print("Making sample works …", highlight=False)
        samples = make_samples(folder.samples)
        aws = start_aws(folder, processes)
        zips = [path for sample in samples for path in sample.zips]
        aws.upload(zips)
        make_databases(folder)
        started = time.monotonic()
        aws.restore(zips)
        processes.start("daemon", dagster_processes.daemon(*dagster_processes.HERE))
        console.print(f"{len(zips)} zips lie in Glacier, and are asked for. From here on nobody does anything.")
        return _watch_and_judge(folder, processes, aws, samples, console, started)


def serve(root: Path, port: int, out: TextIO) -> int:
    """Serves the web page of what the last demo left, together with its S3 and a daemon, until Ctrl-C; returns 1 if
    there is no demo.
    """
    folder = DemoFolder(root)
    if not folder.site.exists():
        print("There is no demo to look at yet: make demo", file=out)
        return 1
    with folder.alone(), ExitStack() as stack:
        stack.enter_context(signals_interrupt())
        processes = stack.enter_context(processes_in(folder))
        aws = start_aws(folder, processes)
        zips = sorted(folder.samples.iterdir())
        aws.upload(zips)
        aws.restore(zips)
        aws.empty_queue()
        processes.start("daemon", dagster_processes.daemon(*dagster_processes.HERE))
        processes.start("web", dagster_processes.webserver(port, *dagster_processes.HERE))
        print(f"http://127.0.0.1:{port}/assets  (Ctrl-C ends it)", file=out, flush=True)
        while True:
            processes.check()
            time.sleep(LOOK_EVERY_SECONDS)


@contextmanager
def processes_in(folder: DemoFolder) -> Iterator[Processes]:
    """Yields the folder's processes, none of which is started yet; all that were started are ended with the ``with``
    block.
    """
    processes = Processes(folder.logs, folder.environment)
    try:
        yield processes
    finally:
        with no_interrupts():
            processes.end()


def start_aws(folder: DemoFolder, processes: Processes) -> EmulatedAws:
    """Starts the emulated AWS, makes its bucket and queue, and writes the site that names it."""
    port = free_port()
    site = folder.write_site(port)
    start_emulator(processes, port)
    aws = EmulatedAws(site.queues[INTAKE], folder.credentials)
    aws.make()
    return aws


def make_databases(folder: DemoFolder) -> None:
    """Makes the tables of DRS and of Dagster."""
    from dagster import DagsterInstance

    clients.drs(load(folder.site)).init()
    with DagsterInstance.from_config(str(folder.dagster_home)) as instance:
        dagster_processes.make_tables(instance)


def _watch_and_judge(
    folder: DemoFolder,
    processes: Processes,
    aws: EmulatedAws,
    samples: Sequence[Sample],
    console: Console,
    started: float,
) -> int:
    from dagster import DagsterInstance

    from ao_workflows.demo.verdict import judge, summary
    from ao_workflows.demo.watch import SampleProgress, read_sample_progress, watch

    with DagsterInstance.from_config(str(folder.dagster_home)) as instance:

        def read(before: Mapping[str, SampleProgress]) -> dict[str, SampleProgress]:
            processes.check()
            return read_sample_progress(instance, samples, before)

        progress_by_rid = watch(read, samples, aws, console, started, GIVE_UP_SECONDS)
    seconds = time.monotonic() - started
    verdicts = [judge(sample, progress_by_rid[sample.rid], folder.archive, folder.staging) for sample in samples]
    console.print(summary(verdicts, seconds, folder.root), highlight=False, soft_wrap=True, markup=False)
    if left := aws.waiting():
        console.print(f"NOT AS IT SHOULD BE: {left} messages are still in the queue", highlight=False)
    return 1 if left or any(verdict.faults for verdict in verdicts) else 0
