"""``ao status``: the table that is printed of works, the lines about one work, and the exit code.

What belongs here: arguments, what is printed, exit codes. What does not: what a work's standing is
(``ao_workflows.status.standing``), and where that is read (``ao_workflows.status.gathering``).
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ao_workflows import clients
from ao_workflows.cli.complaints import FAILED, complain
from ao_workflows.errors import DatabaseError, InstanceUnusable, RidError
from ao_workflows.status.standing import Standing, standing_of
from ao_workflows.status.state import WorkState
from ao_workflows.works.rids import parse_rid

if TYPE_CHECKING:
    from ao_workflows.site.sections import Site
    from ao_workflows.status.gathering import EvidenceSources

SHOWN = 100
"""How many works are printed for people if no work was named; ``--json`` has all that were looked at."""

SAID_LINES = 6
"""How many lines of a failure are printed for people; the web page has the last forty lines of a sync script."""

DRS_SECONDS = 3.0
"""How long DRS may take: a person waits. If it is down, that is printed, and the other sources are asked."""

_ORDER = (
    WorkState.FAILED,
    WorkState.HELD,
    WorkState.STOPPED,
    WorkState.IN_ARCHIVE,
    WorkState.UNDER_WAY,
    WorkState.QUEUED,
    WorkState.ASKED,
    WorkState.UNKNOWN,
)
"""Works that a person must do something about come first. A work in the archive is listed only if its sources
disagree.
"""

_COMMAND = re.compile(r"(?<=: )ao (?:(?!\. )[^;\n])+")
"""A command in a printed text. It is not broken over two lines, since a person will copy it."""

_COLORS = {
    WorkState.FAILED: "red",
    WorkState.HELD: "yellow",
    WorkState.STOPPED: "yellow",
    WorkState.UNDER_WAY: "cyan",
    WorkState.IN_ARCHIVE: "green",
}


@click.command()
@click.argument("rids", metavar="[RID...]", nargs=-1)
@click.option("--failed", is_flag=True, help="Only works that failed.")
@click.option("--stuck", is_flag=True, help="Only works that nothing has happened to for longer than the site says.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list with everything, for programs.")
def status(rids: tuple[str, ...], failed: bool, stuck: bool, as_json: bool) -> None:
    """Say where each work RID stands, what failed and what to do; without RID, each work that is not in the archive.

    DRS, the scratch disk and Dagster are asked; where they disagree, that is said. Exits with 0, or with 1 if one of
    them could not be asked or has not heard of a RID, or 2 if the command was not understood.
    """
    try:
        names = [parse_rid(name) for name in dict.fromkeys(rids)]
    except RidError as error:
        raise click.UsageError(str(error)) from error
    from ao_workflows.site.loading import load

    site = load()
    found, warnings, counted = _look(site, names, stuck=stuck)
    if not names:
        found = [each for each in found if each.state is not WorkState.IN_ARCHIVE or each.disagreements]
        found.sort(key=lambda each: (_ORDER.index(each.state), -each.since.timestamp() if each.since else 0))
    shown = [each for each in found if (not failed or each.state is WorkState.FAILED) and (not stuck or each.stuck)]
    if as_json:
        _say(json.dumps([_as_json(each) for each in shown], indent=1, ensure_ascii=False))
    else:
        _print(shown if names else shown[:SHOWN], len(shown), counted, limited=failed or stuck)
    for warning in warnings:
        complain(warning)
    sys.exit(FAILED if warnings or any(each.state is WorkState.UNKNOWN for each in found) else 0)


def _look(site: Site, rids: Sequence[str], *, stuck: bool) -> tuple[list[Standing], list[str], str]:
    """Returns the works' standings, a warning for each thing that could not be asked, and, if no work was named, a
    sentence about how many works DRS has in all.
    """
    # Dagster is imported here, since that takes a second, and --help needs none of it.
    from ao_workflows.instance.opening import daemon_silence, opened_instance
    from ao_workflows.status.gathering import LOOKED_AT, EvidenceSources, merged, of_unfinished, of_works

    warnings: list[str] = []
    now = datetime.now(UTC)
    drs = clients.drs(site, patience=DRS_SECONDS)
    staging = clients.staging(site)

    def gather(sources: EvidenceSources) -> Any:
        if rids:
            return of_works(sources, rids)
        lately = of_unfinished(sources, now)
        if not stuck:
            return lately
        # A work whose row was changed lately is hardly stuck, unless something else than the work changed the row.
        return merged(of_unfinished(sources, now, site.watch.limits.least), replace(lately, cut=False))

    with ExitStack() as stack:
        try:
            instance = stack.enter_context(opened_instance())
            if silence := daemon_silence(instance):
                warnings.append(f"Dagster: {silence}: what is queued does not start")
            gathered = gather(EvidenceSources(staging, drs, instance))
        except InstanceUnusable as error:
            warnings.append(f"{error}. What follows is from DRS and the scratch disk alone")
            gathered = gather(EvidenceSources(staging, drs, None))
    if gathered.drs_error:
        warnings.append(f"{gathered.drs_error}. What is told is without it")
    warnings.extend(f"{error}. What is told of its work is without it" for error in gathered.unread)
    if gathered.cut:
        warnings.append(
            f"only the newest {LOOKED_AT} works of each kind were looked at; name others to be told of them"
        )
    counted = ""
    if not rids and not gathered.drs_error:
        try:
            rows, synced = drs.counts()
            counted = f"DRS has {rows:,} rows, {synced:,} of them synced."
            if gathered.odd:
                counted += f" {len(gathered.odd)} of its names can be no RID, such as {gathered.odd[0]!r}."
        except DatabaseError as error:
            warnings.append(str(error))
    return [standing_of(each, now, site.watch.limits) for each in gathered.evidence], warnings, counted


def _as_json(each: Standing) -> dict[str, Any]:
    found = asdict(each)
    found["state"] = each.state.value
    found["since"] = each.since and each.since.isoformat()
    found["done"] = {stage: at.isoformat() for stage, at in each.done.items()}
    if each.transfer:
        found["transfer"]["percent"] = round(each.transfer.percent, 1)
        found["transfer"]["at"] = each.transfer.at.isoformat()
    return found


def _print(shown: Sequence[Standing], of: int, counted: str, *, limited: bool) -> None:
    width = max(80, shutil.get_terminal_size().columns)
    column = min(max((len(each.part or each.rid) for each in shown), default=0), 24) + 2
    in_parts = {each.rid for each in shown if each.part}
    for each in shown:
        if each.rid in in_parts and not (limited or counted):
            in_parts.remove(each.rid)
            parts = [other for other in shown if other.rid == each.rid]
            done = sum(other.state is WorkState.IN_ARCHIVE for other in parts)
            _say(f"{each.rid} is in parts: {done} of the {len(parts)} known here in the archive. All that there are:")
            _say(f"  ao restore status {each.rid}")
        for line in _lines(each, column, width):
            _say(line)
    if len(shown) < of:
        click.echo(f"… and {of - len(shown)} more; --json lists all")
    if counted:
        states = Counter(each.state.value for each in shown)
        told = ", ".join(f"{number} {state}" for state, number in states.items())
        nothing = "No such work." if limited else "Every work that was seen lately is in the archive."
        click.echo(("\n" if shown else "") + f"{told + '.' if shown else nothing} {counted}")


def _say(text: str) -> None:
    """Prints a line. Another system's note in DRS may hold half a character, which no terminal accepts."""
    click.echo(text.encode(errors="replace").decode())


def _lines(each: Standing, column: int, width: int) -> Iterator[str]:
    """Yields one line about a work, and below it the lines with its details."""
    headline = {
        WorkState.FAILED: f"{each.stage} failed",
        WorkState.UNDER_WAY: f"{each.stage} under way",
        WorkState.STOPPED: f"stopped before {each.stage}",
        WorkState.HELD: "held: waits for a person's decision",
    }.get(each.state, each.state.value) + (", stuck" if each.stuck else "")
    if each.state is WorkState.IN_ARCHIVE and "batch" in each.remarks:
        headline = "the other works of its zip are in the archive"
    since = f"since {each.since:%Y-%m-%d %H:%M} UTC" if each.since else ""
    room = width - column - len(since)
    if room <= len(headline):
        headline, room = f"{headline}\n{'':<{column}}", 0
    called = each.part or each.rid
    name = f"{called:<{column}}" if len(called) < column else f"{called}\n{'':<{column}}"
    yield name + click.style(f"{headline:<{room}}", fg=_COLORS.get(each.state)) + since
    yield from _below(_transferred(each), column, width)
    for line in each.failure.splitlines()[:SAID_LINES]:
        yield from _below(line, column, width)
    if each.held:
        yield from _below(f"Held: {each.held}.", column, width)
    for remark in each.remarks.values():
        yield from _below(f"Take note: {remark}.", column, width)
    for disagreement in each.disagreements:
        yield from _below(f"They disagree: {disagreement}.", column, width)
    yield from _below(each.advice, column, width)


def _transferred(each: Standing) -> str:
    from ao_workflows.download.progress import duration

    transfer = each.transfer
    if transfer is None:
        return ""
    left = "" if transfer.seconds_left is None else f", {duration(transfer.seconds_left)} left"
    return f"{transfer.percent:.0f} % at {transfer.megabytes_per_second:,.1f} MB/s{left}"


def _below(text: str, column: int, width: int) -> Iterator[str]:
    indent = " " * column
    kept = _COMMAND.sub(lambda found: found[0].replace(" ", "\xa0"), text)
    for line in textwrap.wrap(
        kept, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ):
        yield line.replace("\xa0", " ")
