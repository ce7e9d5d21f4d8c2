"""``ao site``: the configuration, and every connection that it names.

What belongs here: the time limit, what is said of site.toml itself, exit codes. What does not: the checks
(``ao_workflows.health.checks``), and how findings are printed (``ao_workflows.cli.findings``).
"""

from __future__ import annotations

import os
import sys

import click

from ao_workflows.cli.complaints import FAILED
from ao_workflows.cli.findings import output_of_others_on_stderr, print_findings
from ao_workflows.errors import SiteError
from ao_workflows.health.findings import Finding, Level, fail, ok, warn, without_secrets

LIMIT_SECONDS = 15.0
"""How long the checks may take: a share whose server is gone keeps whoever looks at it waiting for ever."""


@click.group()
def site() -> None:
    """This deployment."""


@site.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list with everything, for programs.")
def check_command(as_json: bool) -> None:
    """Check site.toml and every connection that it names. Nothing is changed, and no message is received.

    Exits with 0 if nothing fails, 1 if something does, 2 if the command was not understood.
    """
    with output_of_others_on_stderr():
        found = _site_and_checks()
    print_findings(found, as_json=as_json)
    sys.exit(FAILED if any(finding.level is Level.FAIL for finding in found) else 0)


def _site_and_checks() -> list[Finding]:
    from ao_workflows.health.checks import checks_of_site, checks_without_site, run_all
    from ao_workflows.site.loading import load

    try:
        loaded = load()
    except SiteError as error:
        do = "correct it; what it names is checked then"
        mistakes = [fail("site.toml", without_secrets(mistake), do) for mistake in error.mistakes]
        return [*mistakes, *run_all(checks_without_site(), LIMIT_SECONDS)]
    named = os.environ.get("AO_SITE")
    whole = f"is valid; environment {loaded.environment}"
    first = (
        ok("site.toml", f"{named} {whole}")
        if named
        else warn(
            "site.toml", f"AO_SITE is not set, so this is the demo's; it {whole}", "set AO_SITE to the site's file"
        )
    )
    return [first, *run_all(checks_of_site(loaded), LIMIT_SECONDS)]
