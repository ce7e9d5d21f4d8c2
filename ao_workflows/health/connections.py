"""What a site needs of others, tried: queues, buckets, the database, Dagster's storage and its daemon.

What belongs here: calls that take and change nothing. What does not: this machine's disks (``disks``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ao_workflows import clients
from ao_workflows.aws.connections import AwsConnection, calls_explained, make_client
from ao_workflows.errors import AoError
from ao_workflows.health.findings import Finding, fail, ok, tag_finding, warn, without_secrets
from ao_workflows.instance.dagster_processes import HEARD_OF_SECONDS
from ao_workflows.site.environments import tagged_environment
from ao_workflows.site.sections import Site

READ_SECONDS = 5

_AWS_HELP = "see the intake's region, aws_profile and endpoint_url in site.toml, and aws_credentials"


def check_queue(site: Site, intake: str) -> Iterator[Finding]:
    """Checks the intake's queue: that it is reachable, and of the site's environment. No message is received."""
    section = site.queues[intake]
    what = f"intake {intake}: queue {section.queue}"
    try:
        tags = clients.sqs(site).tags(intake, time.monotonic() + 2 * READ_SECONDS)
    except AoError as error:
        do = f"{_AWS_HELP}; the profile needs sqs:GetQueueUrl and sqs:ListQueueTags"
        yield fail(what, without_secrets(str(error)), do)
    else:
        yield tag_finding(what, intake, section.environment, tagged_environment(tags), site.environment)


def check_bucket(site: Site, intake: str) -> Iterator[Finding]:
    """Checks the intake's bucket, with its profile."""
    section = site.queues[intake]
    what = f"intake {intake}: bucket {section.bucket}"
    yield _listed(what, clients.connections(site)[intake], section.bucket, "", _AWS_HELP)


def check_web(site: Site) -> Iterator[Finding]:
    """Checks the prefix that the image server reads, reached as the sync script's tools reach it."""
    url = urlsplit(str(site.archive.web))
    connection = clients.sync_script(site).web_connection()
    do = "see [archive] web and aws_credentials in site.toml; the script uses the default profile of the latter"
    yield _listed("web", connection, url.netloc, f"{url.path.strip('/')}/".lstrip("/"), do)


def check_drs(site: Site) -> Iterator[Finding]:
    """Checks the database, its table, and what its user may do."""
    try:
        yield ok("DRS", clients.drs(site, patience=0).check())
    except AoError as error:
        yield fail("DRS", without_secrets(str(error)), "see [drs] in site.toml, and the files that it names")


def check_dagster() -> Iterator[Finding]:
    """Checks Dagster's home, its storage, and whether its daemon has been heard of."""
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        yield fail("DAGSTER_HOME", "is not set", "set it to the folder that has dagster.yaml")
        return
    if not (Path(home).is_absolute() and Path(home).is_dir() and os.access(home, os.W_OK)):
        yield fail("DAGSTER_HOME", f"{home} is no folder that can be written, by its whole path", "make it so")
        return
    if not (Path(home) / "dagster.yaml").is_file():
        do = "copy dagster.yaml there: without it two runs may want the same work, and killed runs are not run again"
        yield fail("DAGSTER_HOME", f"{home} has no dagster.yaml", do)
        return
    yield ok("DAGSTER_HOME", home)
    yield from _instance()


def _instance() -> Iterator[Finding]:
    import dagster as dg

    try:
        with dg.DagsterInstance.get() as instance:
            runs = instance.get_runs_count()
            needed = instance.get_required_daemon_types()
            heartbeats = instance.get_daemon_heartbeats()
    except Exception as error:  # noqa: BLE001 - each of its storages has errors of its own
        said = without_secrets(str(error).strip().splitlines()[0] if str(error).strip() else "")
        do = "see storage in dagster.yaml, and that its server runs"
        yield fail("Dagster's storage", f"{type(error).__name__}: {said}", do)
        return
    yield ok("Dagster's storage", f"answers, and has {runs} runs")
    what, do = "Dagster's daemon", "start dagster-daemon run (or dagster dev): without it no message is taken"
    missing = [name for name in needed if name not in heartbeats]
    if len(missing) == len(needed):
        yield warn(what, "has never run here", do)
        return
    age = time.time() - min(heartbeats[name].timestamp for name in needed if name in heartbeats)
    if missing or age > HEARD_OF_SECONDS:
        parts = f"; never heard of: {', '.join(missing)}" if missing else ""
        yield fail(what, f"was last heard of {age / 60:,.0f} minutes ago{parts}", do)
    elif failing := [name for name in needed if heartbeats[name].errors]:
        yield warn(what, f"runs, with errors in {', '.join(failing)}", "see Deployment, Daemons in the web page")
    else:
        yield ok(what, f"was heard of {age:.0f} s ago")


def _listed(what: str, connection: AwsConnection, bucket: str, prefix: str, do: str) -> Finding:
    """Whether S3 lists the bucket. A HEAD of it would give no reason where it does not."""
    try:
        with calls_explained("listing", f"s3://{bucket}/{prefix} ({connection})"):
            client = make_client("s3", connection, read_seconds=READ_SECONDS, attempts=1)
            try:
                client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
            except client.exceptions.ClientError as error:
                if error.response["Error"].get("Code") != "AccessDenied":
                    raise
                said = f"answers, and refuses s3:ListBucket ({connection})"
                return warn(what, said, "grant it: S3 cannot tell a missing object from a forbidden one without it")
    except AoError as error:
        return fail(what, without_secrets(str(error)), do)
    return ok(what, f"answers ({connection})")
