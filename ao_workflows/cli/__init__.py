"""The command line, ``ao``: one module a group of commands, each loaded when it is called.

What belongs here: the list of commands, and how a command ends that the platform refuses. What does not: any command.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from ao_workflows.cli.complaints import FAILED, complain
from ao_workflows.cli.output import output_in_words
from ao_workflows.errors import AoError

_COMMANDS = {
    "archive": "ao_workflows.cli.archive:archive",
    "backup": "ao_workflows.cli.backup:backup",
    "bag": "ao_workflows.cli.bag:bag",
    "demo": "ao_workflows.cli.demo:demo",
    "deploy": "ao_workflows.cli.deploy:deploy",
    "down": "ao_workflows.cli.services:down",
    "drs": "ao_workflows.cli.drs:drs",
    "health": "ao_workflows.cli.health:health",
    "intake": "ao_workflows.cli.intake:intake",
    "restore": "ao_workflows.cli.restore:restore",
    "site": "ao_workflows.cli.site:site",
    "reprocess": "ao_workflows.cli.reprocess:reprocess",
    "status": "ao_workflows.cli.status:status",
    "ui": "ao_workflows.cli.demo:ui",
    "up": "ao_workflows.cli.services:up",
}


class _Lazy(click.Group):
    """A group that imports a command's module only when the command is called, so that ``ao`` itself answers at
    once.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def main(self, *words: Any, **named: Any) -> Any:
        """Runs the command line, and says in words if its output cannot be written."""
        with output_in_words():
            return super().main(*words, **named)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; prints what the platform refuses in one line and exits with 1, so that no command needs to
        do it.
        """
        try:
            return super().invoke(ctx)
        except AoError as error:
            complain(error)
            ctx.exit(FAILED)


@click.group(cls=_Lazy)
def main() -> None:
    """Brings restored works from S3 Glacier into the archive, every byte proven."""
