"""``ao site``: the configuration, and every connection that it names.

What belongs here: which checks there are, their time limit, what is printed, exit codes. What does not: the checks
(``ao_workflows.health.disks``, ``ao_workflows.health.connections``).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from threading import Thread
from time import monotonic

import click

from ao_workflows.errors import SiteError
from ao_workflows.health.findings import Finding, Level, fail, ok, warn, without_secrets

LIMIT_SECONDS = 15.0
"""A share whose server is gone keeps whoever looks at it waiting for ever."""

_NOT_WELL = 1
_COLORS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}

Check = tuple[str, Callable[[], Iterator[Finding]]]


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
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=1, ensure_ascii=False))
    else:
        for finding in found:
            print_finding(finding)
    sys.stdout.flush()
    sys.exit(_NOT_WELL if any(finding.level is Level.FAIL for finding in found) else 0)


def _site_and_checks() -> list[Finding]:
    from ao_workflows.health import connections as service_checks
    from ao_workflows.health import disks as disk_checks
    from ao_workflows.site.loading import load

    checks: list[Check] = [("Dagster", service_checks.check_dagster)]
    try:
        loaded = load()
    except SiteError as error:
        do = "correct it; what it names is checked then"
        mistakes = [fail("site.toml", without_secrets(mistake), do) for mistake in error.mistakes]
        return [*mistakes, *run_all(checks, LIMIT_SECONDS)]
    checks = [
        ("staging", partial(disk_checks.check_staging, loaded)),
        *((f"archive {share}", partial(disk_checks.check_share, loaded, share)) for share in range(4)),
        ("sync script", partial(disk_checks.check_script, loaded)),
        *((f"intake {name}: queue", partial(service_checks.check_queue, loaded, name)) for name in loaded.queues),
        *((f"intake {name}: bucket", partial(service_checks.check_bucket, loaded, name)) for name in loaded.queues),
        *((f"intake {name}: folder", partial(disk_checks.check_folder, loaded, name)) for name in loaded.folders),
        *([("web", partial(service_checks.check_web, loaded))] if loaded.archive.web else []),
        ("DRS", partial(service_checks.check_drs, loaded)),
        *checks,
    ]
    named = os.environ.get("AO_SITE")
    whole = f"is valid; environment {loaded.environment}"
    first = (
        ok("site.toml", f"{named} {whole}")
        if named
        else warn(
            "site.toml", f"AO_SITE is not set, so this is the demo's; it {whole}", "set AO_SITE to the site's file"
        )
    )
    return [first, *run_all(checks, LIMIT_SECONDS)]


def run_all(checks: Sequence[Check], limit: float) -> list[Finding]:
    """What the checks find, in their order: all at once, each in a thread that nobody waits for beyond the limit."""
    found: list[list[Finding]] = [[] for _ in checks]
    threads = []
    for (name, check), findings in zip(checks, found, strict=True):
        threads.append(Thread(target=_run, args=(name, check, findings), daemon=True))
        threads[-1].start()
    until = monotonic() + limit
    results = []
    for (name, _), findings, thread in zip(checks, found, threads, strict=True):
        thread.join(max(0.0, until - monotonic()))
        results += list(findings)
        if thread.is_alive():
            results.append(
                fail(name, f"no answer within {limit:g} s", "see whether its server, or its share, is there")
            )
    return results


def _run(name: str, check: Callable[[], Iterator[Finding]], findings: list[Finding]) -> None:
    try:
        for finding in check():
            findings.append(finding)
    except Exception as error:  # noqa: BLE001 - a check that breaks must not hide the others
        said = without_secrets(f"{type(error).__name__}: {error}".partition("\n")[0])
        findings.append(fail(name, f"could not be checked: {said}", "tell the developers"))


@contextmanager
def output_of_others_on_stderr() -> Iterator[None]:
    """What libraries print, some of it from threads that are left behind, is not mixed with the findings."""
    ours = sys.stdout
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = ours


def print_finding(finding: Finding) -> None:
    """Prints a finding for a person, and what to do about it."""
    columns = max(40, min(shutil.get_terminal_size().columns, 120))
    level = click.style(f"{finding.level:<4}", fg=_COLORS[finding.level])
    text = textwrap.fill(f"{finding.what}: {finding.said}", columns - 6, break_long_words=False, break_on_hyphens=False)
    click.echo(f"{level}  {textwrap.indent(text, ' ' * 6).lstrip()}")
    if finding.do:
        way_out = textwrap.fill(finding.do, columns - 10, break_long_words=False, break_on_hyphens=False)
        click.echo("      " + textwrap.indent("do: " + way_out, " " * 10).lstrip())
