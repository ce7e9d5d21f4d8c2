"""What ``ao site check`` and ``ao health`` print: the findings, and nothing of what libraries say meanwhile.

What belongs here: that. What does not: the checks that find something (``ao_workflows.health``).
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import click

from ao_workflows.health.findings import Finding, Level

_COLORS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@contextmanager
def output_of_others_on_stderr() -> Iterator[None]:
    """Sends to standard error what libraries print in the ``with`` block, some of it from threads that go on after it,
    so that it is not mixed with the findings.
    """
    ours = sys.stdout
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = ours


def print_findings(found: Sequence[Finding], *, as_json: bool) -> None:
    """Prints the findings for a person, or as one JSON list for programs."""
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=1, ensure_ascii=False))
    else:
        for finding in found:
            _print(finding)
    sys.stdout.flush()


def _print(finding: Finding) -> None:
    columns = max(40, min(shutil.get_terminal_size().columns, 120))
    level = click.style(f"{finding.level:<4}", fg=_COLORS[finding.level])
    text = textwrap.fill(f"{finding.what}: {finding.said}", columns - 6, break_long_words=False, break_on_hyphens=False)
    click.echo(f"{level}  {textwrap.indent(text, ' ' * 6).lstrip()}")
    if finding.do:
        way_out = textwrap.fill(finding.do, columns - 10, break_long_words=False, break_on_hyphens=False)
        click.echo("      " + textwrap.indent("do: " + way_out, " " * 10).lstrip())
