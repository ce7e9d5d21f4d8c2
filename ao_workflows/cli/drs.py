"""``ao drs``: the archive's database, by hand.

What belongs here: what is printed, and exit codes. What does not: the table (``ao_workflows.drs.client``).
"""

from __future__ import annotations

import json
import sys

import click

from ao_workflows import clients
from ao_workflows.cli.complaints import FAILED, complain
from ao_workflows.errors import AoError


@click.group()
def drs() -> None:
    """The archive's database."""


@drs.command("init")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def init_command(as_json: bool) -> None:
    """Make the table glacier_sync_progress where it is missing. One that is there is looked at, and never altered.

    Exits with 0 if the table can be used, 1 if not, 2 if the command was not understood.
    """
    from ao_workflows.site.loading import load

    made = None
    found = error = ""
    try:
        site = load()
        client = clients.drs(site)
        made = client.init()
        found = client.check()
    except AoError as refused:
        error = str(refused)
    if as_json:
        click.echo(json.dumps({"made": made, "found": found or None, "error": error or None}))
    else:
        if found:
            click.echo(f"{'The table was made' if made else 'The table is there'}: {found}")
        if error:
            complain(error)
    sys.exit(FAILED if error else 0)
