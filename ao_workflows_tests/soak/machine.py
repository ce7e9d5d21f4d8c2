"""The soak's machine: moto's server, the daemon and code server, which are killed and started again, and the
archive's shares, which are unmounted and mounted again.

What belongs here: starting, finding, killing and starting again, as a service manager and a bad night would. What
does not: what is sent, and what is right (``traffic``, ``verdict``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Literal

import yaml

from ao_workflows.archive.shares import SHARES
from ao_workflows.aws.connections import AwsConnection, make_client
from ao_workflows.demo.aws import start_emulator
from ao_workflows.demo.processes import Processes
from ao_workflows.demo.run import INTAKE, DemoFolder
from ao_workflows.instance import dagster_processes
from ao_workflows.machine.processes import free_port
from ao_workflows.site.loading import load
from ao_workflows.site.sections import IntakeSection
from ao_workflows_tests.soak.shares import Shares
from ao_workflows_tests.soak.traffic import BUCKET, Delivery

Target = Literal["run worker", "daemon", "code server", "code server and its runs", "share"]
TARGETS: dict[Target, float] = {
    "run worker": 0.45,
    "daemon": 0.15,
    "code server": 0.15,
    "code server and its runs": 0.1,
    "share": 0.15,
}
"""What is killed, and how often. The last but one is what a container's end does to the runs in it; a share is
unmounted, whoever has files open on it.
"""

STARTED_AGAIN_WITHIN = 3.0
MOUNTED_AGAIN_WITHIN = 10.0

HIDDEN_SECONDS = 600
"""As long as the platform asks for."""

HASTILY_HIDDEN_SECONDS = 15

HASTY = "ao_workflows_tests.soak.hasty_definitions"


def _make_hasty(path: Path) -> None:
    settings = yaml.safe_load(path.read_text())
    settings["run_monitoring"] |= {"poll_interval_seconds": 5, "start_timeout_seconds": 30}
    settings["run_coordinator"]["config"]["user_code_failure_retry_delay"] = 3
    path.write_text(yaml.safe_dump(settings))


class Queue:
    """The intake's bucket and queue, as S3 and staff see them."""

    def __init__(self, intake: IntakeSection, credentials: Path) -> None:
        connection = AwsConnection(
            region=intake.region,
            profile=intake.aws_profile,
            endpoint_url=intake.endpoint_url,
            credentials_file=str(credentials),
        )
        self._s3: Any = make_client("s3", connection)
        self._sqs: Any = make_client("sqs", connection)
        self._s3.create_bucket(Bucket=BUCKET)
        self._s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        self._url = self._sqs.create_queue(QueueName=intake.queue, tags={"environment": "demo"})["QueueUrl"]

    def upload(self, delivery: Delivery) -> str:
        """Puts a zip into Glacier, and has it restored; its version there."""
        where = {"Bucket": BUCKET, "Key": delivery.key}
        put = self._s3.put_object(**where, Body=delivery.zip, StorageClass="GLACIER")
        self._s3.restore_object(**where, RestoreRequest={"Days": 3})
        self._s3.head_object(**where)
        return str(put["VersionId"])

    def send(self, body: str) -> None:
        self._sqs.send_message(QueueUrl=self._url, MessageBody=body)

    def waiting(self) -> int:
        """The messages in the queue, those that are hidden from others included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


class Machine:
    """A site in ``folder`` with Dagster's daemon and code server, as ``dagster.yaml`` of the project has them, or
    ``hasty``: they find out in seconds what takes a site a minute or more.
    """

    def __init__(
        self, folder: DemoFolder, processes: Processes, random: Random, shares: Shares | None, *, hasty: bool
    ) -> None:
        self._folder = folder
        self._processes = processes
        self._random = random
        self._shares = shares
        self._to_mount: dict[int, float] = {}
        self._hidden_seconds = HASTILY_HIDDEN_SECONDS if hasty else HIDDEN_SECONDS
        if hasty:
            _make_hasty(folder.dagster_home / "dagster.yaml")
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._due: dict[str, float] = {}
        self._starts: Counter[str] = Counter()
        self.kills: Counter[Target] = Counter()
        port = free_port()
        workspace = folder.root / "workspace.yaml"
        workspace.write_text(dagster_processes.workspace(port))
        module = HASTY if hasty else dagster_processes.MODULE
        served = [module if word == dagster_processes.MODULE else word for word in dagster_processes.code_server(port)]
        self._commands = {
            "code server": served,
            "daemon": dagster_processes.daemon("-w", str(workspace)),
        }

    def start_aws(self) -> Queue:
        """Starts moto's server, which is never killed, and writes the site that names it."""
        port = free_port()
        self._folder.write_site(port)
        site = self._folder.site
        site.write_text(site.read_text().replace('"1 days"', '"until-synced"'))
        command = ["-m", "ao_workflows_tests.soak.emulator", str(port), str(self._hidden_seconds)]
        start_emulator(self._processes, port, command)
        return Queue(load(site).intake[INTAKE], self._folder.credentials)

    def tend(self) -> None:
        """Starts what is not running and whose time has come, as a service manager does, and mounts what is gone."""
        for share in [share for share, due in self._to_mount.items() if time.monotonic() >= due]:
            self._mount(share)
        for name, command in self._commands.items():
            running = self._running.get(name)
            if running and running.poll() is None:
                continue
            # Ended by itself: it is started again at once, and the log says why it ended.
            if time.monotonic() >= self._due.get(name, 0.0):
                self._starts[name] += 1
                self._running[name] = self._processes.start(f"{name}-{self._starts[name]}".replace(" ", "-"), command)

    def kill(self, target: Target) -> bool:
        """Kills the target with SIGKILL, or unmounts it; says whether there was one."""
        if target == "share":
            return self._unmount()
        killed = 0
        for pid in self._pids(target):
            # A run's process may end by itself meanwhile.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        if not killed:
            return False
        for name in self._commands:
            if target.startswith(name):
                self._running[name].wait()
                self._due[name] = time.monotonic() + self._random.uniform(0, STARTED_AGAIN_WITHIN)
        self.kills[target] += 1
        return True

    def mount_all(self) -> None:
        """Mounts every share that is not there."""
        for share in list(self._to_mount):
            self._mount(share)

    def _mount(self, share: int) -> None:
        if self._shares:
            self._shares.mount(share)
        del self._to_mount[share]

    def _unmount(self) -> bool:
        there = [share for share in SHARES if share not in self._to_mount]
        if self._shares is None or not there:
            return False
        share = self._random.choice(there)
        self._shares.unmount(share)
        self._to_mount[share] = time.monotonic() + self._random.uniform(1, MOUNTED_AGAIN_WITHIN)
        self.kills["share"] += 1
        return True

    def _pids(self, target: Target) -> list[int]:
        if target == "run worker":
            workers = self._workers()
            return [self._random.choice(workers)] if workers else []
        name = "daemon" if target == "daemon" else "code server"
        running = self._running.get(name)
        if running is None or running.poll() is not None:
            return []
        return [running.pid, *(self._workers() if target == "code server and its runs" else [])]

    def _workers(self) -> list[int]:
        """The processes that execute runs, those whose code server was killed included."""
        home = f"DAGSTER_HOME={self._folder.dagster_home}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                spawned = b"--multiprocessing-fork" in (process / "cmdline").read_bytes()
                if spawned and home in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
            except OSError:
                continue
        return sorted(found)
