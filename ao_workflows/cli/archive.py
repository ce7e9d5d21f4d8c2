"""``ao archive``: the archive's shares, by hand.

What belongs here: what is printed, and exit codes. What does not: how a share is known
(``ao_workflows.archive.shares``), and looking at one (``ao_workflows.archive.mounted_shares``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict

import click

from ao_workflows import clients
from ao_workflows.archive.shares import SHARES, ShareNote
from ao_workflows.cli.complaints import FAILED, complain
from ao_workflows.errors import AoError

_SHARE = click.Choice([str(share) for share in SHARES])


@click.group()
def archive() -> None:
    """The archive."""


@archive.command("init")
@click.option(
    "--plain-folder",
    "plain_folders",
    multiple=True,
    type=click.Choice([*_SHARE.choices, "all"]),
    help="This share is a plain folder of the disk above it, and has no mount of its own. May be given several times.",
)
@click.option(
    "--exchanged",
    multiple=True,
    type=_SHARE,
    help="This share is another one than was noted, on purpose: its disk, or its server, was exchanged.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def init_command(plain_folders: tuple[str, ...], exchanged: tuple[str, ...], as_json: bool) -> None:
    """Set up the archive's shares, Archive0 to Archive3: each gets a marker, unless it has one, and what it is is
    noted on the scratch disk. From then on no work goes into what is not that share.

    Run it with every share mounted, as the user and in the container that the platform runs in; on another host, and
    again, it takes the markers that are there.

    Exits with 0 if every share is set up, 1 if one is not, 2 if the command was not understood.
    """
    from ao_workflows.site.loading import load

    done: Mapping[int, ShareNote] = {}
    errors: list[str] = []
    try:
        site = load()
        shares = clients.archive_shares(site)
        # The demo's archive is in one folder, on whatever disk.
        every = "all" in plain_folders or site.environment == "demo"
        plain = frozenset(SHARES if every else map(int, plain_folders))
        done, refused = shares.set_up(plain, frozenset(map(int, exchanged)))
        errors = [f"{shares.tree(share)}: {reason}" for share, reason in refused.items()]
    except AoError as error:
        errors = [str(error)]
    if as_json:
        click.echo(json.dumps({"shares": {share: asdict(noted) for share, noted in done.items()}, "errors": errors}))
    else:
        for share, noted in done.items():
            click.echo(f"{shares.tree(share)}: {noted.id}, {noted.device}, noted at {noted.at}")
        for said in errors:
            complain(said)
    sys.exit(FAILED if errors else 0)
