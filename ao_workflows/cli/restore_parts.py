"""A work in parts, as ``ao restore`` tells of it: the table of its parts, and the question before they are asked for.

What belongs here: lines of text, and the question. What does not: which parts are asked for
(``ao_workflows.glacier.work_parts``), and the way through a list of works (``ao_workflows.cli.restore``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ao_workflows.glacier.prices import Prices, cost_lines, in_gb
from ao_workflows.glacier.rules import RestoreState, RestoreStatus, Tier, in_utc
from ao_workflows.shown_names import shown

_NAME, _SIZE = 33, 8
"""The widths of the table's columns: with the state, which needs 35, it has 80. A longer name has a line of its own."""


def summary(status: RestoreStatus) -> str:
    """Returns how many parts a work has and how far they are, in one line."""
    needed = [part for part in status.parts if part.needed]
    counts = Counter(_word(part) for part in needed)
    said = ", ".join(f"{count} {what}" for what, count in counts.items())
    spare = f"; {len(status.parts) - len(needed)} more not needed" if len(needed) < len(status.parts) else ""
    return f"in {len(needed)} {'part' if len(needed) == 1 else 'parts'}, {in_gb(status.size or 0)}: {said}{spare}"


def table(status: RestoreStatus) -> Iterator[str]:
    """Yields the lines that tell part by part how far a work's restore is, each of at most 80 columns but for names."""
    for part in status.parts:
        name, size = shown(part.part), "" if part.size is None else in_gb(part.size)
        if len(name) > _NAME:
            yield f"  {name}"
            name = ""
        yield f"  {name:<{_NAME}}{size:>{_SIZE}}  {_state(part)}"


def notices(status: RestoreStatus) -> Iterator[str]:
    """Yields a line for each object that lies among a work's parts and is none."""
    return (f"  left alone: {shown(key)}: {why}" for key, why in status.foreign.items())


def _word(part: RestoreStatus) -> str:
    if part.error:
        return "failed"
    return "asked now" if part.asked_now else str(part.state_told)


def _state(part: RestoreStatus) -> str:  # noqa: PLR0911 - one a state
    if not part.needed and part.state is not RestoreState.GONE:
        return "not needed: a later bag has it"
    storage = part.storage
    match part.state_told:
        case RestoreState.SYNCED:
            return f"synced {in_utc(part.synced)}"
        case RestoreState.RESTORED if storage and storage.expires:
            return f"restored until {in_utc(storage.expires)[:10]}"
        case RestoreState.NOT_IN_GLACIER if part.requested:
            return f"sent to the queue {in_utc(part.requested)[:16]}"
        case RestoreState.NOT_IN_GLACIER:
            return f"not in Glacier: {storage.storage_class if storage else ''}"
        case RestoreState.ASKED:
            return f"asked {in_utc(part.requested)}"
        case RestoreState.UNDER_WAY | RestoreState.EXPIRED if part.requested:
            return f"{part.state}, asked {in_utc(part.requested)[:16]}"
        case RestoreState.GONE:
            return "not in the bucket any more"
        case state:
            return str(state)


def confirmed(
    parts: Sequence[RestoreStatus], tier: Tier, days: int, prices: Prices, currency: str, *, yes: bool, to_stderr: bool
) -> bool:
    """Says how many parts are to be asked for, how large they are and what that costs; returns whether it is wanted."""
    works = len({part.rid for part in parts})
    size = in_gb(sum(part.size or 0 for part in parts))
    click.echo(f"To ask for: {len(parts)} parts of {works} {'work' if works == 1 else 'works'}, {size}", err=to_stderr)
    if readable := sum(part.state is RestoreState.NOT_IN_GLACIER for part in parts):
        said = f"  {readable} of them not in Glacier, to be sent to the queue as they are"
        click.echo(said, err=to_stderr)
    for line in cost_lines(parts, tier, prices, currency):
        click.echo(f"  {line}", err=to_stderr)
    try:
        return yes or click.confirm(f"Ask Glacier for them, {tier}, to stay for {days} days?", err=to_stderr)
    except click.Abort:
        # The end of the input, where nobody answers
        click.echo(err=True)
        return False


def part_as_json(part: RestoreStatus) -> dict[str, Any]:
    """Returns what is known of a part, for a program, but for what a work has too."""
    return {"part": part.part, "size": part.size, "needed": part.needed}
