"""What the platform adds to a work where runs are executed by warm workers: sixty works of one tiny file each.

What belongs here: the works, the two workers, and the seconds that pass. What does not: any part of the platform; it is
the one that a deployment runs, with its own ``dagster.yaml``: the sensor, the queue of runs, the daemon and its code
server, PostgreSQL for Dagster's storage, Redis for the workers; SQLite for DRS, the reference sync script, and moto's
server for S3 and SQS. Redis and PostgreSQL are Debian's.

The clock runs, and a work's share is compared, as in ``works``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import yaml
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from ao_workflows.archive.places import archive_place
from ao_workflows.defs.sensors.intakes import TICK_SECONDS
from ao_workflows.demo.processes import Processes
from ao_workflows.demo.run import DemoFolder
from ao_workflows.site.sections import CHECKOUT
from ao_workflows_tests.support.postgres_server import Postgres
from ao_workflows_tests.support.redis_server import RedisServer
from benchmarks.measure import Result
from benchmarks.works import has_ticked, over_imports, platform, wait

WORKS = 60
WORKERS = 2


def run() -> list[Result]:
    """What a work takes, over importing Dagster."""
    return [over_imports(f"{WORKS} of them, {WORKERS} workers", lambda: _round() / WORKS, 0.9)]


def _round() -> float:
    """The seconds from the first message to the last run's end, every work being in the archive."""
    rids = [f"W1BENCH{number:04}" for number in range(WORKS)]
    with (
        _servers() as environment,
        patch.dict(os.environ, environment),
        platform(rids) as (folder, processes, aws),
    ):
        write_dagster_yaml(folder)
        with DagsterInstance.from_config(str(folder.dagster_home)) as instance:
            _start(processes)
            wait(processes, lambda: has_ticked(instance) and _are_warm(folder))
            time.sleep(TICK_SECONDS / 2)
            started = time.perf_counter()
            aws.restore(rids)
            succeeded = RunsFilter(statuses=[DagsterRunStatus.SUCCESS])
            wait(processes, lambda: instance.get_runs_count(succeeded) == WORKS)
            seconds = time.perf_counter() - started
        parent = folder.archive / "Archive"
        assert all((archive_place(parent, rid) / "images").is_dir() for rid in rids), "not all are in the archive"
        return seconds


def write_dagster_yaml(folder: DemoFolder) -> None:
    """The deployment's, with the two folders that are a container's."""
    settings = yaml.safe_load((CHECKOUT / "docker/config/dagster.yaml").read_text())
    settings["compute_logs"]["config"]["folder"] = str(folder.logs / "compute")
    settings["local_artifact_storage"]["config"]["base_dir"] = str(folder.root / "artifacts")
    (folder.dagster_home / "dagster.yaml").write_text(yaml.safe_dump(settings))


@contextmanager
def _servers() -> Iterator[dict[str, str]]:
    """PostgreSQL and Redis, empty; what tells the platform of them."""
    with tempfile.TemporaryDirectory(prefix="ao-workers-") as name:
        postgres, redis = Postgres(Path(name)), RedisServer(Path(name))
        postgres.start()
        redis.start()
        try:
            yield {
                "DAGSTER_STORAGE": postgres.database(),
                "WORKERS_BROKER": redis.address,
                "RUNS_IN": "workers",
                "RUNS_AT_ONCE": str(2 * WORKERS),
                "AO_NETWORK": "none",
                "COMPUTE_LOGS": "",
                "COMPUTE_LOGS_ENDPOINT": "",
                "COMPUTE_LOGS_REGION": "us-east-1",
            }
        finally:
            redis.kill()
            postgres.end()


def _start(processes: Processes) -> None:
    for number in range(WORKERS):
        celery = ["-m", "celery", "-A", "ao_workflows.instance.worker", "worker", "-n", f"worker-{number}@bench"]
        processes.start(f"worker-{number}", [*celery, "-l", "info"])
    processes.start("daemon", ["-m", "dagster._daemon", "run", "-m", "ao_workflows.definitions"])


def _are_warm(folder: DemoFolder) -> bool:
    logs = [folder.logs / f"worker-{number}.log" for number in range(WORKERS)]
    return all(" ready." in log.read_text() for log in logs)
