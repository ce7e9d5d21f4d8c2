"""``ao demo`` and ``ao ui``: the main job on this machine, and the web page over what it left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from ao_workflows.cli.complaints import FAILED, complain
from ao_workflows.services.record import PORTS
from ao_workflows.site.demo import FOLDER


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    help="Where everything is made, anew each time.  [.demo in the checkout]",
)
def demo(folder: Path) -> None:
    """The whole thing on this machine: emulated S3 and SQS, SQLite, sample works.

    Exits with 0 if every good work is in the archive as it was bagged, and every bad one was refused.
    """
    from ao_workflows.demo.run import run_demo

    _exit(lambda: run_demo(folder.resolve(), sys.stdout))


@click.command()
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=FOLDER, help="The demo's folder.")
@click.option(
    "--port", type=int, default=PORTS["webserver"], show_default=True, help="The web page's port on 127.0.0.1."
)
def ui(folder: Path, port: int) -> None:
    """Dagster's web page over what the last demo left, until Ctrl-C."""
    from ao_workflows.demo.run import serve

    _exit(lambda: serve(folder.resolve(), port, sys.stdout))


def _exit(run: Callable[[], int]) -> None:
    """Ends this process with what ``run`` returns. An error is printed in words; an interrupt exits as in a shell."""
    from ao_workflows.machine.processes import Interrupted

    try:
        sys.exit(run())
    except Interrupted as interrupted:
        click.echo("Interrupted: everything that was started has been ended.", err=True)
        sys.exit(128 + interrupted.signal_number)
    except RuntimeError as error:
        complain(error)
        sys.exit(FAILED)
