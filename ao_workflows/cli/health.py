"""``ao health``: whether this host can take a work into the archive now, for a person and for a monitoring system.

What belongs here: which parts are looked at, and the exit codes of monitoring plugins. What does not: looking at each
(``ao_workflows.health.disks``, ``ao_workflows.health.connections``), and what only a change of the site
calls for, queues, buckets and programs (``ao_workflows.cli.site``).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from functools import partial

import click

from ao_workflows.cli.site import Check, output_of_others_on_stderr, print_finding, run_all
from ao_workflows.errors import SiteError
from ao_workflows.health.findings import Finding, Level, fail, without_secrets

LIMIT_SECONDS = 8.0
"""Monitoring systems give up after ten."""

_EXITS = {Level.OK: 0, Level.WARN: 1, Level.FAIL: 2}
"""https://www.monitoring-plugins.org/doc/guidelines.html#AEN78"""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list with everything, for programs.")
def health(as_json: bool) -> None:
    """Say whether works get on: the scratch disk, which share of the archive is which, DRS, Dagster and its daemon.

    Exits with 0 if all is well, 1 if a person should look at something, 2 if works cannot get on.
    """
    with output_of_others_on_stderr():
        found = _look()
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=1, ensure_ascii=False))
    else:
        for finding in found:
            print_finding(finding)
    sys.stdout.flush()
    sys.exit(max((_EXITS[finding.level] for finding in found), default=0))


def _look() -> list[Finding]:
    from ao_workflows.archive.shares import SHARES
    from ao_workflows.health import connections as service_checks
    from ao_workflows.health import disks as disk_checks
    from ao_workflows.site.loading import load

    try:
        site = load()
    except SiteError as error:
        return [fail("site.toml", without_secrets(mistake), "correct it") for mistake in error.mistakes]
    checks: list[Check] = [
        ("staging", partial(disk_checks.check_staging, site)),
        *((f"archive {share}", partial(disk_checks.check_share, site, share)) for share in SHARES),
        ("DRS", partial(service_checks.check_drs, site)),
        ("Dagster", service_checks.check_dagster),
    ]
    return run_all(checks, LIMIT_SECONDS)
