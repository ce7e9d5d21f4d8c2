"""What went wrong, as every command says it: a line on standard error that begins with ``ao:``, and an exit code.

What belongs here: those. What does not: which errors end a command (``ao_workflows.cli``).
"""

from __future__ import annotations

import click

FAILED = 1
"""The exit code of a command that did not do all that was asked; click's is 2, for a command that it does not
understand.
"""


def complain(what: object) -> None:
    """Prints an error or a warning for a person, on standard error: standard output has only the command's results."""
    click.echo(f"ao: {what}", err=True)
