"""A site whose runs are executed by real workers, with the daemon, PostgreSQL, Redis, and a sync script that waits.

What belongs here: starting, asking and killing. What does not: what is judged of it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import dagster as dg
import yaml
from dagster._core.storage.tags import PARTITION_NAME_TAG

from ao_workflows import clients
from ao_workflows.archive.mounted_shares import make_archive
from ao_workflows.archive.places import archive_place
from ao_workflows.defs.sensors.lost_runs import lost_runs
from ao_workflows.demo.processes import Processes
from ao_workflows.drs.client import Drs
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import CHECKOUT
from ao_workflows.staging.staging import Staging
from ao_workflows_tests.support.folder_sites import folder_site_toml
from ao_workflows_tests.support.redis_server import RedisServer
from ao_workflows_tests.support.sites import PAGE, bag_zip

T = TypeVar("T")
AT_MOST_SECONDS = 120.0

_SCRIPT = """\
#!/bin/sh
for last; do :; done
rid=$(basename "$last")
echo "$$" >>'{root}/begun/'"$rid"
until [ -e '{root}/open/'"$rid" ]; do sleep 0.1; done
exec '{script}' "$@"
"""


def wait_until(what: str, look: Callable[[], T], every: float = 0.1) -> T:
    """What ``look`` returns, once it is true; fails if it is not in time."""
    until = time.monotonic() + AT_MOST_SECONDS
    while not (found := look()):
        assert time.monotonic() < until, f"waited in vain: {what}"
        time.sleep(every)
    return found


@dataclass
class WorkerSite:
    """A site in ``root``. A work's sync begins, and waits until the work is ``let_through``."""

    root: Path
    processes: Processes
    redis: RedisServer
    instance: dg.DagsterInstance
    cursor: str | None = None

    def start_worker(self, name: str) -> subprocess.Popen[bytes]:
        """As docker-compose.yml does, but for the process that is made anew after two runs."""
        celery = ["-m", "celery", "-A", "ao_workflows.instance.worker", "worker", "-l", "info", "-n", f"{name}@here"]
        return self.processes.start(name, [*celery, "--max-tasks-per-child", "2"])

    def drop(self, *rids: str) -> None:
        """Puts works' zips into the site's folder, as a person does."""
        for rid in rids:
            under_way = self.root / "drop/.upload"
            under_way.write_bytes(bag_zip(rid, {"images/0001.jpg": PAGE}))
            under_way.rename(self.root / f"drop/{rid}.bag.zip")

    def let_through(self, *rids: str) -> None:
        for rid in rids:
            (self.root / "open" / rid).touch()

    def begun(self) -> dict[str, int]:
        """How often the sync of each work was begun."""
        folder = self.root / "begun"
        return {path.name: len(path.read_text().splitlines()) for path in folder.iterdir()}

    def runs(self, rid: str) -> list[dg.DagsterRun]:
        """The work's runs, the first one first."""
        return list(self.instance.get_runs(dg.RunsFilter(tags={PARTITION_NAME_TAG: rid})))[::-1]

    def statuses(self, rid: str) -> list[str]:
        return [run.status.value for run in self.runs(rid)]

    def holder(self, rid: str) -> tuple[str, int]:
        """Which worker executes the work's newest run, and in which process."""
        claim = self.redis.client.get(f"ao-workflows/run/{self.runs(rid)[-1].run_id}")
        assert isinstance(claim, bytes), f"nobody has {rid}"
        found = re.fullmatch(r"(\S+)@here, process (\d+) on \S+", claim.decode())
        assert found, claim
        return found[1], int(found[2])

    def log(self, name: str) -> str:
        return (self.root / f"logs/{name}.log").read_text(errors="replace")

    def messages_under_way(self) -> list[bytes]:
        """Redis's messages that a worker has and has not acknowledged, as they would be in the queue."""
        held = self.redis.client.hvals("unacked")
        return [json.dumps(json.loads(each)[0]).encode() for each in held]

    def look_for_lost_runs(self) -> str:
        """Once more often than the daemon, which looks each half minute."""
        resources = {"staging": Staging(root=str(self.root / "staging"))}
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=resources) as context:
            result = lost_runs(context)
        assert isinstance(result, dg.SensorResult)
        assert isinstance(result.skip_reason, dg.SkipReason)
        self.cursor = result.cursor
        return str(result.skip_reason.skip_message)

    def place(self, rid: str) -> Path:
        return archive_place(self.root / "archive/Archive", rid) / "images/0001.jpg"


@contextmanager
def worker_site(root: Path, storage: str, redis: RedisServer) -> Iterator[WorkerSite]:
    """The site, with its daemon running and no worker."""
    for name in ("drop", "dagster", "begun", "open", "tmp"):
        (root / name).mkdir(parents=True)
    script = CHECKOUT / "docker/sync/syncOneWork.sh"
    (root / "sync.sh").write_text(_SCRIPT.format(root=root, script=script))
    (root / "sync.sh").chmod(0o755)
    text = folder_site_toml(root, root / "drop").replace(str(script), str(root / "sync.sh"))
    (root / "site.toml").write_text(text)
    site = parse(text, "the test's site")
    make_archive(clients.archive_shares(site))
    Drs(url=site.drs.url).init()
    environment = {
        "AO_NETWORK": "none",
        "COMPUTE_LOGS": "",
        "COMPUTE_LOGS_ENDPOINT": "",
        "COMPUTE_LOGS_REGION": "us-east-1",
        "AO_SITE": str(root / "site.toml"),
        "DAGSTER_HOME": str(root / "dagster"),
        "DAGSTER_STORAGE": storage,
        "RUNS_AT_ONCE": "6",
        "RUNS_IN": "workers",
        "TMPDIR": str(root / "tmp"),
        "WORKERS_BROKER": redis.address,
    }
    settings = yaml.safe_load((CHECKOUT / "docker/config/dagster.yaml").read_text())
    settings["compute_logs"]["config"]["folder"] = str(root / "compute")
    settings["local_artifact_storage"]["config"]["base_dir"] = str(root / "artifacts")
    settings["run_monitoring"]["cancellation_thread_poll_interval_seconds"] = 1
    (root / "dagster/dagster.yaml").write_text(yaml.safe_dump(settings))
    before = dict(os.environ)
    os.environ.update(environment)
    processes = Processes(root / "logs", environment)
    try:
        with dg.DagsterInstance.from_config(str(root / "dagster")) as instance:
            # Dagster's tables, before two processes look at them: each would make what it misses.
            instance.get_runs_count()
            instance.get_dynamic_partitions("works")
            instance.all_instigator_state()
            processes.start("daemon", ["-m", "dagster._daemon", "run", "-m", "ao_workflows.definitions"])
            yield WorkerSite(root, processes, redis, instance)
    finally:
        os.environ.clear()
        os.environ.update(before)
        processes.end()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def is_gone(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
