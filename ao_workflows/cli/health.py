"""``ao health``: whether this host can take a work into the archive now, for a person and for a monitoring system.

What belongs here: the time limit, and the exit codes of monitoring plugins. What does not: the checks
(``ao_workflows.health.checks``), and how findings are printed (``ao_workflows.cli.findings``).
"""

from __future__ import annotations

import sys

import click

from ao_workflows.cli.findings import output_of_others_on_stderr, print_findings
from ao_workflows.errors import SiteError
from ao_workflows.health.findings import Finding, Level, fail, without_secrets

LIMIT_SECONDS = 8.0
"""How long the checks may take: monitoring systems give up after ten seconds."""

_EXITS = {Level.OK: 0, Level.WARN: 1, Level.FAIL: 2}
"""The exit codes of monitoring plugins: https://www.monitoring-plugins.org/doc/guidelines.html#AEN78"""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list with everything, for programs.")
def health(as_json: bool) -> None:
    """Say whether works get on: the scratch disk, which share of the archive is which, DRS, Dagster and its daemon.

    Exits with 0 if all is well, 1 if a person should look at something, 2 if works cannot get on.
    """
    with output_of_others_on_stderr():
        found = _look()
    print_findings(found, as_json=as_json)
    sys.exit(max((_EXITS[finding.level] for finding in found), default=0))


def _look() -> list[Finding]:
    from ao_workflows.health.checks import checks_of_works, run_all
    from ao_workflows.site.loading import load

    try:
        site = load()
    except SiteError as error:
        return [fail("site.toml", without_secrets(mistake), "correct it") for mistake in error.mistakes]
    return run_all(checks_of_works(site), LIMIT_SECONDS)
