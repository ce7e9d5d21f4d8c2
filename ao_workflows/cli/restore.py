"""``ao restore``: asking Glacier for works, and seeing how far it is.

What belongs here: arguments, the way through a list, what is printed, exit codes. What does not: whether to ask, and in
which words a status is described (``ao_workflows.glacier.rules``), and asking (``ao_workflows.glacier.requests``).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

import click

from ao_workflows import clients
from ao_workflows.cli.complaints import FAILED, complain
from ao_workflows.errors import DatabaseError, ServiceError
from ao_workflows.glacier.rules import RestoreStatus, Tier, is_to_be_asked, names_in_list

if TYPE_CHECKING:
    from ao_workflows.glacier.requests import RestoreRequests


_OUTAGE = 5
"""After so many failures of S3 itself in a row the command ends: the rest of a list would only wait for time-outs."""

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
@_INTAKE
@_JSON
def request_command(
    rids: tuple[str, ...],
    rid_list: TextIO | None,
    tier: str,
    days: int,
    again: bool,
    per_minute: int,
    intake: str | None,
    as_json: bool,
) -> None:
    """Ask Glacier for the work of each RID, and note in DRS that it was asked.

    For a work that is not where the archive's layout has it, give its object's address, s3://bucket/key, in place of
    the RID. What is asked for already, restored, or not in Glacier is left as it is, so the same list can be given
    again.

    Exits with 0 if all is well, 1 if a work could not be asked for, 2 if the command was not understood.
    """
    restores = _restores(intake)
    pause = 60 / per_minute
    next_at = monotonic()

    def request(status: RestoreStatus, stopped: Event) -> RestoreStatus | None:
        nonlocal next_at
        if status.error:
            return status
        if status.state is None or not is_to_be_asked(status.state, again=again):
            return restores.note_a_request_that_drs_missed(status)
        if stopped.wait(max(0.0, next_at - monotonic())):
            return None
        next_at = max(next_at, monotonic()) + pause
        return restores.ask(status, Tier(tier), days)

    _go_through(restores, _names(rids, rid_list), request, as_json=as_json)


@restore.command("status")
@_RIDS
@_LIST
@_INTAKE
@_JSON
def status_command(rids: tuple[str, ...], rid_list: TextIO | None, intake: str | None, as_json: bool) -> None:
    """Say how far Glacier is with the work of each RID, by S3 and DRS. Nothing is asked for.

    Exits with 0 if all could be said, 1 if one could not, 2 if the command was not understood.
    """
    _go_through(_restores(intake), _names(rids, rid_list), lambda status, _stopped: status, as_json=as_json)


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


def _go_through(
    restores: RestoreRequests,
    names: Sequence[str],
    act: Callable[[RestoreStatus, Event], RestoreStatus | None],
    *,
    as_json: bool,
) -> None:
    """Looks at each work, calls ``act`` with its status, and prints each status and a summary. Ends the process.

    DRS is asked once, for all works. Without DRS, Glacier is asked for nothing: nobody would know of the request.
    """
    done: list[RestoreStatus] = []
    ended = ""
    failures = 0
    with _stoppable() as (stopped, signals):
        restores.read_rows(names)
        try:
            for name in names:
                status = None if stopped.is_set() else act(restores.look(name), stopped)
                if status is None:
                    break
                done.append(status)
                if not as_json:
                    _print(status)
                failures = failures + 1 if isinstance(status.error, ServiceError) else 0
                if isinstance(status.error, DatabaseError):
                    ended = "DRS failed"
                    break
                if failures == _OUTAGE:
                    ended = f"S3 failed {_OUTAGE} times in a row"
                    break
        except KeyboardInterrupt:
            complain("ended at once: Glacier may have been asked for one work more than is said")
    if signals:
        ended = f"{signals[0].name} came"
    if as_json:
        click.echo(json.dumps([_as_json(status) for status in done], indent=1))
    if len(names) > 1 or ended:
        _print_summary(done, len(names), ended, to_stderr=as_json)
    if signals:
        sys.exit(128 + signals[0])
    sys.exit(FAILED if any(status.error for status in done) else 0)


@contextmanager
def _stoppable() -> Iterator[tuple[Event, list[signal.Signals]]]:
    """Yields an event that Ctrl-C sets, and the signals that came.

    A work that Glacier was asked for is still noted in DRS then. A second Ctrl-C ends the command at once.
    """
    stopped = Event()
    came: list[signal.Signals] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(signal.Signals(number))
        os.write(sys.stderr.fileno(), b"ao: ending after the work that is under way; once more ends it at once\n")
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped, came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(status: RestoreStatus) -> None:
    if status.state:
        click.echo(f"{status.name}: {status.sentence()}")
    if status.error:
        complain(f"{status.name}: {status.error}")


def _print_summary(done: Sequence[RestoreStatus], of: int, ended: str, *, to_stderr: bool) -> None:
    counts = Counter(
        "failed" if status.error else "asked now" if status.asked_now else str(status.state) for status in done
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
    }
