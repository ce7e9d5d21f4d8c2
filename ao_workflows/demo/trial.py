"""The demo's works through a deployment that is not this process's own: ``python -m ao_workflows.demo.trial``.

What belongs here: asking the deployment's emulated Glacier for the samples, watching its runs, and judging its archive.
What does not: starting any of its services (``docker-compose.yml``, profile ``dev``).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from dagster import DagsterInstance
from rich.console import Console

from ao_workflows import clients
from ao_workflows.demo.aws import EmulatedAws
from ao_workflows.demo.samples import make_samples
from ao_workflows.demo.verdict import judge, result
from ao_workflows.demo.watch import SampleProgress, read_sample_progress, watch
from ao_workflows.instance.opening import is_of_the_storage
from ao_workflows.site.loading import load

GIVE_UP_SECONDS = 1800.0


def main() -> int:
    """Runs the trial; returns 0 if every good work is in the archive as it was bagged and every bad one was refused,
    else 1.
    """
    site = load()
    console = Console()
    emulated = [intake for intake in site.queues.values() if intake.endpoint_url]
    if site.environment == "prod" or len(emulated) != 1 or site.aws_credentials is None:
        console.print("A trial is for a site with one queue, whose AWS is emulated; this one is another.")
        return 1
    (intake,) = emulated
    clients.drs(site).init()
    aws = EmulatedAws(intake, site.aws_credentials)
    with tempfile.TemporaryDirectory() as folder:
        console.print("Making sample works …", highlight=False)
        samples = make_samples(Path(folder))
        aws.make()
        zips = [path for sample in samples for path in sample.zips]
        aws.upload(zips)
        started = time.monotonic()
        aws.restore(zips)
        console.print(f"{len(zips)} zips lie in Glacier, and are asked for. From here on nobody does anything.")
        asked = datetime.now(UTC)
        with DagsterInstance.get() as instance:

            def read(before: Mapping[str, SampleProgress]) -> dict[str, SampleProgress]:
                try:
                    return read_sample_progress(instance, samples, before, since=asked)
                except Exception as error:
                    if not is_of_the_storage(error):
                        raise
                    # The trial also tests that works go on when the database is restarted.
                    return dict(before)

            progress_by_rid = watch(read, samples, aws, console, started, GIVE_UP_SECONDS)
        seconds = time.monotonic() - started
    archive = site.archive.parent.parent
    verdicts = [judge(sample, progress_by_rid[sample.rid], archive, site.staging.root) for sample in samples]
    console.print("\n".join(result(verdicts, seconds)), highlight=False, soft_wrap=True, markup=False)
    if left := aws.waiting():
        console.print(f"NOT AS IT SHOULD BE: {left} messages are still in the queue", highlight=False)
    return 1 if left or any(verdict.faults for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
