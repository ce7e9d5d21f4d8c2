"""``ao restore``: asking Glacier for works, and seeing how far it is.

What belongs here: arguments, the way through a list, what is printed, exit codes. What does not: whether to ask, and in
which words a status is described (``ao_workflows.glacier.rules``), and asking (``ao_workflows.glacier.requests``).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TextIO

import click

from ao_workflows import clients
from ao_workflows.cli.complaints import FAILED, complain
from ao_workflows.cli.restore_parts import confirmed, notices, part_as_json, summary, table
from ao_workflows.cli.way_through_list import Way
from ao_workflows.errors import PartsMissing
from ao_workflows.glacier.part_states import parts_to_ask
from ao_workflows.glacier.rules import RestoreState, RestoreStatus, Tier, is_to_be_asked, names_in_list, tier_refusal

if TYPE_CHECKING:
    from ao_workflows.glacier.requests import RestoreRequests


_RIDS = click.argument("rids", metavar="[RID]...", nargs=-1)
_LIST = click.option(
    "--list",
    "rid_list",
    metavar="FILE",
    type=click.File(encoding="utf-8", errors="replace"),
    help="Take RIDs from FILE too, one a line; '-' is standard input.",
)
_INTAKE = click.option("--intake", metavar="NAME", help="Look in this intake's bucket only.  [in each of the site's]")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON list with everything, for programs.")


@click.group()
def restore() -> None:
    """Ask Glacier for works, and see how far it is."""


@restore.command("request")
@_RIDS
@_LIST
@click.option(
    "--tier", type=click.Choice([tier.value for tier in Tier]), default="Bulk", show_default=True, help="How fast."
)
@click.option(
    "--days", type=click.IntRange(1, 365), default=14, show_default=True, help="The copy stays for so many days."
)
@click.option("--again", is_flag=True, help="Ask also for works that an earlier restore brought into the archive.")
@click.option(
    "--per-minute", type=click.IntRange(1), default=300, show_default=True, help="Ask for so many works at most."
)
@click.option("--only", type=click.Choice(["images", "rest"]), help="Of works in parts: image groups, or all else.")
@click.option(
    "--group", "groups", metavar="NAME", multiple=True, help="Of a work in parts: this image group; may be repeated."
)
@click.option("--yes", is_flag=True, help="Ask for parts without a question.")
@_INTAKE
@_JSON
def request_command(
    rids: tuple[str, ...],
    rid_list: TextIO | None,
    tier: str,
    days: int,
    again: bool,
    per_minute: int,
    only: Literal["images", "rest"] | None,
    groups: tuple[str, ...],
    yes: bool,
    intake: str | None,
    as_json: bool,
) -> None:
    """Ask Glacier for the work of each RID, and note in DRS that it was asked.

    For a work that is not where the archive's layout has it, give its object's address, s3://bucket/key, in place of
    the RID. What is asked for already, restored, or not in Glacier is left as it is, so the same list can be given
    again.

    Of a work in parts, every part is asked for that its newest state needs, after a question that says how many, how
    large and how expensive they are.

    Exits with 0 if all is well, 1 if a work could not be asked for, 2 if the command was not understood.
    """
    restores, names = _restores(intake), _names(rids, rid_list)
    if groups and (only or len(names) > 1):
        raise click.UsageError("--group names image groups of one work, and goes without --only")
    pause = 60 / per_minute
    next_at = monotonic()
    wanted: list[RestoreStatus] = []

    def ask(status: RestoreStatus, stopped: Event) -> RestoreStatus | None:
        nonlocal next_at
        if stopped.wait(max(0.0, next_at - monotonic())):
            return None
        next_at = max(next_at, monotonic()) + pause
        if status.state is RestoreState.NOT_IN_GLACIER:
            return restores.send(status)
        return restores.ask(status, Tier(tier), days)

    def request(name: str, stopped: Event) -> RestoreStatus | None:
        status = restores.look(name)
        if status.error:
            return status
        if status.parts or only or groups:
            try:
                wanted.extend(parts_to_ask(status, only, groups, again=again))
            except PartsMissing as error:
                return replace(status, error=error)
            return restores.note_a_request_that_drs_missed(status)
        if status.state is None or not is_to_be_asked(status.state, again=again):
            return restores.note_a_request_that_drs_missed(status)
        return ask(status, stopped)

    way = Way()
    restores.read_rows(names)
    tell = _tell_nothing if as_json else _tell
    done = way.go(names, request, tell)
    if wanted and not way.ended:
        if all(refused := [part.storage and tier_refusal(part.storage, Tier(tier)) for part in wanted]):
            complain(f"none of the {len(wanted)} parts can be asked for: {refused[0]}")
            sys.exit(FAILED)
        prices, currency = restores.prices, restores.currency
        if not confirmed(wanted, Tier(tier), days, prices, currency, yes=yes, to_stderr=as_json):
            complain("none of them was asked for; --yes asks without a question")
            sys.exit(FAILED)
        asked = way.go(wanted, ask, tell)
        done = [
            restores.note_known_parts(status) if any(part.asked_now for part in status.parts) else status
            for status in _with_parts(done, asked)
        ]
        click.echo("".join(f"{each.name}: {summary(each)}\n" for each in done if each.parts), nl=False, err=as_json)
        if way.ended:
            complain(f"{len(wanted) - len(asked)} of {len(wanted)} parts were not asked for")
    _end(way, done, len(names), as_json=as_json)


@restore.command("status")
@_RIDS
@_LIST
@_INTAKE
@_JSON
def status_command(rids: tuple[str, ...], rid_list: TextIO | None, intake: str | None, as_json: bool) -> None:
    """Say how far Glacier is with the work of each RID, by S3 and DRS, and with each of its parts. Nothing is asked
    for.

    Exits with 0 if all could be said, 1 if one could not, 2 if the command was not understood.
    """
    restores, names = _restores(intake), _names(rids, rid_list)
    way = Way()
    restores.read_rows(names)
    done = way.go(names, lambda name, _stopped: restores.look(name), _tell_nothing if as_json else _tell_by_parts)
    _end(way, done, len(names), as_json=as_json)


def _restores(intake: str | None) -> RestoreRequests:
    """Returns the site's requests to Glacier. They are imported when a command runs, so ``--help`` answers without
    Dagster.
    """
    from ao_workflows.site.loading import load

    site = load()
    intake = intake and site.intake_called(intake)
    if intake is not None and intake not in site.queues:
        raise click.BadParameter(f"{intake!r} is none of the site's: {', '.join(site.queues) or 'it has none'}")
    return clients.restores(site, intake)


def _names(rids: Sequence[str], rid_list: TextIO | None) -> list[str]:
    # A list may have comments. An argument has none: cutting its end off might leave another work's RID.
    names = list(dict.fromkeys([*rids, *names_in_list(rid_list or ())]))
    if not names:
        raise click.UsageError("name a work, or give a list of them with --list FILE")
    return names


def _with_parts(done: Sequence[RestoreStatus], asked: Sequence[RestoreStatus]) -> list[RestoreStatus]:
    """Returns the works with their parts as they are after these were asked for."""
    after = {(part.rid, part.part): part for part in asked}
    return [
        replace(status, parts=tuple(after.get((part.rid, part.part), part) for part in status.parts)) for status in done
    ]


def _end(way: Way, done: Sequence[RestoreStatus], of: int, *, as_json: bool) -> NoReturn:
    """Prints everything as JSON if that is asked for, and a summary of several works; ends the process."""
    if as_json:
        click.echo(json.dumps([_as_json(status) for status in done], indent=1))
    if of > 1 or way.ended:
        _print_summary(done, of, way.ended, to_stderr=as_json)
    if way.signals:
        sys.exit(128 + way.signals[0])
    sys.exit(FAILED if any(_failed(status) for status in done) else 0)


def _failed(status: RestoreStatus) -> bool:
    return bool(status.error) or any(part.error for part in status.parts)


def _asked_now(status: RestoreStatus) -> bool:
    return status.asked_now or any(part.asked_now for part in status.parts)


def _tell(status: RestoreStatus) -> None:
    name = f"{status.name}: {status.part}" if status.part not in ("", status.name) else status.name
    if status.parts:
        click.echo(f"{name}: {summary(status)}")
        for line in notices(status):
            click.echo(line)
    elif status.state:
        click.echo(f"{name}: {status.sentence()}")
    for failed in [status, *status.parts]:
        if failed.error:
            complain(f"{name}: {failed.error}")


def _tell_by_parts(status: RestoreStatus) -> None:
    _tell(status)
    for line in table(status):
        click.echo(line)


def _tell_nothing(_status: RestoreStatus) -> None:
    """What is printed as JSON is printed at the end."""


def _print_summary(done: Sequence[RestoreStatus], of: int, ended: str, *, to_stderr: bool) -> None:
    counts = Counter(
        "failed" if _failed(status) else "asked now" if _asked_now(status) else str(status.state) for status in done
    )
    said = ", ".join(f"{count} {what}" for what, count in counts.items())
    if ended:
        text = f"Ended early, as {ended}: {len(done)} of {of} works done{said and f' ({said})'}."
        click.echo(f"{text} The same command goes on with the rest.", err=True)
    else:
        click.echo(f"{of} works: {said}", err=to_stderr)


def _as_json(status: RestoreStatus) -> dict[str, Any]:
    address, storage = status.address, status.storage
    return {
        "rid": status.rid,
        "name": status.name,
        "state": status.state,
        "asked_now": status.asked_now,
        "intake": address.intake if address else None,
        "bucket": address.bucket if address else None,
        "key": address.key if address else None,
        "storage_class": storage.storage_class if storage else None,
        "archive_status": storage.archive_status or None if storage else None,
        "expires": storage.expires.isoformat() if storage and storage.expires else None,
        "requested_on": status.requested.isoformat() if status.requested else None,
        "synced_on": status.synced.isoformat() if status.synced else None,
        "error": str(status.error) if status.error else None,
        "foreign": dict(status.foreign),
        "parts": [{**_as_json(part), **part_as_json(part)} for part in status.parts],
    }
