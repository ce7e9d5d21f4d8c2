"""``ao up`` and ``ao down``: a site's services on a machine without containers.

What belongs here: arguments, what is printed, exit codes. What does not: the processes
(``ao_workflows.services.running``).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ao_workflows.cli.complaints import complain
from ao_workflows.errors import InstanceUnusable
from ao_workflows.services.record import PORTS, address, services_table

if TYPE_CHECKING:
    from ao_workflows.services.folder import ServicesFolder

_SITE = click.option("--site", type=click.Path(dir_okay=False, path_type=Path), help="The site's site.toml.  [AO_SITE]")
_PORT = click.IntRange(1, 65535)
_NAMED = 20


@click.command()
@_SITE
@click.option("--port", type=_PORT, help=f"The web page's, on 127.0.0.1.  [{PORTS['webserver']}]")
@click.option("--viewer-port", type=_PORT, help=f"The read-only page's.  [{PORTS['viewer']}]")
def up(site: Path | None, port: int | None, viewer_port: int | None) -> None:
    """Start the site's services in the background: code server, web page, read-only page, daemon.

    What is up already is left as it is. The instance is in DAGSTER_HOME, else in the folder dagster beside site.toml.
    Exits with 0 if all do their work, 1 if one does not; what was started is ended then.
    """
    ports = {"webserver": port, "viewer": viewer_port}
    _interruptible(lambda: _up(site, ports), "what it started has been ended")


@click.command()
@_SITE
@click.option("--wait", is_flag=True, help="Let runs that are under way end first; none begins meanwhile.")
def down(site: Path | None, wait: bool) -> None:
    """End what ao up started.

    A run that is under way is interrupted, and goes on from what it has done after the next ao up.
    """
    _interruptible(lambda: _down(site, wait=wait), "ao down goes on with it, and ao up starts again what has ended")


def _up(site: Path | None, ports: dict[str, int | None]) -> None:
    from ao_workflows.services.folder import ServicesFolder
    from ao_workflows.services.running import bring_up
    from ao_workflows.site.loading import load

    folder = ServicesFolder.find(site)
    loaded = load(folder.site)
    with folder.alone():
        services = bring_up(folder, ports, click.echo)
    for line in services_table(services):
        click.echo(line)
    click.echo(f"Logs are in {folder.folder}.\n")
    if folder.site.stat().st_mtime > services["code"].began:
        click.echo(f"{folder.site.name} has changed since: ao down, then ao up, brings that in.")
    click.echo(f"Open {address(services['webserver'])}, or to look only, {address(services['viewer'])}.")
    if loaded.environment != "demo" and loaded.intake:
        click.echo("A sensor takes nothing until it is switched on there, under Automation:")
        click.echo("".join(f"  {name}_intake" for name in loaded.intake))
    click.echo("For ao status, ao reprocess and the others, in a shell:")
    for name, path in (("AO_SITE", folder.site), ("DAGSTER_HOME", folder.home)):
        click.echo(f"  export {name}={shlex.quote(str(path))}")
    click.echo("ao down ends it all.")


def _down(site: Path | None, *, wait: bool) -> None:
    from ao_workflows.services.folder import ServicesFolder
    from ao_workflows.services.running import bring_down

    folder = ServicesFolder.find(site)
    if not folder.folder.is_dir():
        click.echo(f"Nothing is up on the instance in {folder.home}.")
        return
    with folder.alone():
        works = _under_way(folder)
        if works:
            named = ", ".join(works[:_NAMED]) + (" …" if len(works) > _NAMED else "")
            click.echo(
                f"Under way: {named}. Waiting for the end; Ctrl-C, then ao down, interrupts."
                if wait
                else f"Under way: {named}. Interrupted; goes on after the next ao up."
            )
        was_up = bring_down(folder, wait=wait)
    click.echo("Everything is down." if was_up else f"Nothing is up on the instance in {folder.home}.")


def _under_way(folder: ServicesFolder) -> Sequence[str]:
    """Returns the works whose runs are under way. Dagster is loaded for it only if a run has a process."""
    if not folder.below(runs_only=True):
        return []
    from dagster import DagsterRunStatus

    from ao_workflows.instance.opening import opened_instance
    from ao_workflows.status.runs import works_of_runs

    try:
        with opened_instance(str(folder.home)) as instance:
            states = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED]
            return [rid for rid in dict.fromkeys(works_of_runs(instance, states, _NAMED + 1)) if rid]
    except InstanceUnusable as error:
        return [f"some works ({error})"]


def _interruptible(work: Callable[[], None], interrupted_so: str) -> None:
    """Does the work. A signal ends it with the message ``interrupted_so`` and with the exit code that a shell gives."""
    from ao_workflows.machine.processes import Interrupted, signals_interrupt

    try:
        with signals_interrupt():
            work()
    except Interrupted as interrupted:
        complain(f"interrupted: {interrupted_so}")
        sys.exit(128 + interrupted.signal_number)
