"""``ao deploy``: makes or updates the folder that docker compose runs from.

What belongs here: arguments, what is printed, exit codes. What does not: what is in the folder
(``ao_workflows.deployment.folder``).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ao_workflows.cli.complaints import FAILED
from ao_workflows.deployment.order import UIDS, Order

if TYPE_CHECKING:
    from ao_workflows.deployment.folder import Deployment

_FOLDER = click.Path(file_okay=False, path_type=Path, resolve_path=True)
_FILE = click.Path(dir_okay=False, exists=True, path_type=Path, resolve_path=True)


@click.command()
@click.option("--dest", metavar="DIR", type=_FOLDER, help="The folder to make or to update.")
@click.option("--env", "environment", type=click.Choice(["dev", "prod"]), help="What the folder is for.")
@click.option("--source", metavar="DIR", type=_FOLDER, help="The folder with site.toml and sync.yml.  [config in DIR]")
@click.option(
    "--secrets",
    "secrets_from",
    metavar="DIR",
    type=_FOLDER,
    help="The folder with db_apps.config, drs.config and aws-credentials.  [secrets in DIR]",
)
@click.option(
    "--aws-section",
    "aws_sections",
    metavar="NAME",
    multiple=True,
    help="A section of aws-credentials to copy beside those of the intakes. May be repeated.",
)
@click.option(
    "--db-section",
    "db_sections",
    metavar="NAME",
    multiple=True,
    help="A section of db_apps.config to copy beside the one that site.toml names. May be repeated.",
)
@click.option(
    "--certificate",
    metavar="FILE",
    type=_FILE,
    help="The proxy's certificate and key, in one PEM file.  [dev: one signed by itself]",
)
@click.option(
    "--arch-root",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Order.arch_root,
    help=f"The host's folder with the archive's trees.  [{Order.arch_root}]",
)
@click.option(
    "--uid", type=int, help=f"The user that syncs into the archive.  [prod {UIDS['prod']}, dev {UIDS['dev']}]"
)
@click.option("--image", metavar="NAME:TAG", help="The image of our services.  [ao-workflows:<version>]")
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="A line of .env. May be repeated.")
@click.option(
    "--replace", metavar="FILE", multiple=True, help="Overwrite this file although it was edited. May be repeated."
)
@click.option(
    "--init-archive",
    metavar="DIR",
    type=_FOLDER,
    help="Make the empty trees Archive0/00 to Archive3/99 there, for a trial.",
)
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
def deploy(
    dest: Path | None,
    environment: str | None,
    source: Path | None,
    secrets_from: Path | None,
    aws_sections: tuple[str, ...],
    db_sections: tuple[str, ...],
    certificate: Path | None,
    arch_root: Path,
    uid: int | None,
    image: str | None,
    settings: tuple[str, ...],
    replace: tuple[str, ...],
    init_archive: Path | None,
    dry_run: bool,
) -> None:
    """Make, or bring up to date, the folder that docker compose runs from.

    Says what changes, keeps what was edited there, and is safe to repeat. Exits with 0 if the folder is as ordered, 1
    if something stands in the way (nothing is changed then) or an edited file was kept where another one is wanted.
    """
    from ao_workflows.deployment import folder as folders

    if init_archive is None and (dest is None or environment is None):
        raise click.UsageError("--dest and --env are needed: which folder, and is it for dev or for prod?")
    pairs = [setting.partition("=") for setting in settings]
    if bad := [setting for setting, (name, equals, _) in zip(settings, pairs, strict=True) if not (name and equals)]:
        raise click.UsageError(f"--set {bad[0]}: a line of .env is NAME=VALUE")
    if dest is not None and environment is not None:
        order = Order(
            destination=dest,
            environment=environment,
            source=source or dest / "config",
            secrets=secrets_from or dest / "secrets",
            arch_root=arch_root,
            uid=uid,
            image=image,
            aws_sections=aws_sections,
            db_sections=db_sections,
            certificate=certificate,
            replace=replace,
            settings={name: value for name, _, value in pairs},
        )
        deployment = folders.prepare(order)
        kept = _tell(deployment, dry_run=dry_run)
        if not dry_run:
            folders.apply(deployment)
    else:
        kept = False
    if init_archive is not None and not dry_run:
        made = folders.init_archive(init_archive, UIDS[environment or "dev"] if uid is None else uid)
        click.echo(f"{init_archive}: {made} folders made, Archive0/00 to Archive3/99")
    sys.exit(FAILED if kept else 0)


def _tell(deployment: Deployment, *, dry_run: bool) -> bool:
    """Prints the plan; returns whether a file that was edited here stays although its source has changed."""
    from ao_workflows.deployment.plan import Change

    click.echo(f"{deployment.root}{' (nothing is changed)' if dry_run else ''}")
    for folder, _ in deployment.folders:
        if not folder.is_dir():
            click.echo(f"  {'new':<18} {folder}/")
    for step in deployment.steps:
        if step.change is not Change.SAME:
            click.echo(f"  {step.change.value:<18} {step.wanted.path}")
    for line in deployment.remarks:
        click.echo(f"  .env: {line}")
    conflicts = [step for step in deployment.steps if step.change is Change.CONFLICT]
    for step in conflicts:
        click.echo(
            f"{step.wanted.path} was edited here and has changed at its source: the new one is {step.beside}. "
            f"Merge them, or run this again with --replace {step.wanted.path}."
        )
    if not deployment.changes():
        click.echo("  Everything is as it should be.")
    return bool(conflicts)
