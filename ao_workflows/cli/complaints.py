"""What went wrong, as every command says it: one line on standard error that begins with ``ao:``.

What belongs here: that line. What does not: which errors end a command, and with what exit code
(``ao_workflows.cli``).
"""

from __future__ import annotations

import click


def complain(what: object) -> None:
    """Prints an error, or a warning, for a person; standard output has the command's results alone."""
    click.echo(f"ao: {what}", err=True)
