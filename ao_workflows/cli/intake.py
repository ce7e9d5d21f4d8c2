"""``ao intake``: what waits in the site's queues, and the messages that could not be used.

What belongs here: arguments, what is printed, exit codes. What does not: what a message means
(``ao_workflows.intake.queue_rules``), and the calls to SQS (``ao_workflows.intake.sqs``).
"""

from __future__ import annotations

import json
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ao_workflows import clients
from ao_workflows.cli.complaints import FAILED
from ao_workflows.errors import AoError
from ao_workflows.events.intake_names import meant_by
from ao_workflows.intake.queue_rules import ReceivedMessage, Selection, select_events
from ao_workflows.machine.times import moment, moment_of_seconds
from ao_workflows.site.environments import refuse_other_environment, tagged_environment
from ao_workflows.works.parts import part_staged_as

if TYPE_CHECKING:
    from ao_workflows.intake.sqs import Sqs
    from ao_workflows.site.sections import Site
    from ao_workflows.staging.staging import Staging

LOOK_SECONDS = 20.0
"""How long a look at one queue may take."""

HIDDEN_SECONDS = 60
"""How long a message stays hidden if this process is killed by force; otherwise it is given back at once."""

ANSWER_SECONDS = 20.0
"""How long the calls that end a look, or send a message, may take."""

WIDTH = 80


@click.group()
def intake() -> None:
    """Look at what waits in the queues, and deal with messages that cannot be used."""


@intake.command()
@click.argument("names", metavar="[INTAKE]...", nargs=-1)
@click.option("--most", type=click.IntRange(1, 1000), default=20, show_default=True, help="Look at so many messages.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list with everything, for programs.")
def peek(names: tuple[str, ...], most: int, as_json: bool) -> None:
    """Show what waits in each INTAKE's queue, or in all of them.

    Nothing is taken. What is looked at is hidden from the sensor meanwhile and given back at once, also on Ctrl-C.
    SQS counts each look as a reception.

    Exits with 0 if all queues were reached, 1 if one was not, 2 if the command was not understood.
    """
    site, sqs, _ = _open_site()
    names = tuple(map(site.intake_called, names))
    unknown = [name for name in names if name not in sqs.queues]
    if unknown:
        raise click.UsageError(f"no intake with a queue is called {unknown[0]}; {_names(sqs)}")
    found: list[dict[str, Any]] = []
    with _signals_noted() as noted:
        for name in names or sqs.queues:
            if noted:
                break
            try:
                found.append(_look(site, sqs, name, most, noted))
            except AoError as error:
                found.append({"intake": name, "error": str(error)})
            if not as_json:
                _print_look(found[-1])
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
    if noted:
        sys.exit(128 + noted[0])
    sys.exit(FAILED if any("error" in each for each in found) else 0)


@intake.command()
@click.option(
    "--send-back", "message_id", metavar="ID", help="Send this message to its queue again, and keep it no more."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list with everything, for programs.")
def rejected(message_id: str | None, as_json: bool) -> None:
    """List the messages that could not be used and were kept, the oldest first.

    Exits with 0 if that was done, 1 if it was not, 2 if the command was not understood.
    """
    from ao_workflows.staging.rejected_limit import kept_size
    from ao_workflows.staging.rejected_messages import kept_messages

    site, sqs, staging = _open_site()
    kept = kept_messages(staging)
    if message_id is not None:
        sent = _send_back(site, sqs, staging, message_id)
        click.echo(json.dumps([sent], indent=1) if as_json else f"{message_id} is in {sent['queue']} again")
        return
    if as_json:
        click.echo(json.dumps([asdict(each) for each in kept], indent=1, ensure_ascii=False))
        return
    for each in kept:
        click.echo(f"{each.message_id}  {each.intake}  {_time(moment(each.at))}")
        click.echo(_indented(each.reason))
    if kept:
        click.echo(f"{kept_size(staging.layout)}.")
        click.echo("Each is whole in --json. To send one to its queue again:\n  ao intake rejected --send-back ID")
    else:
        click.echo("No message is kept.")


def _look(site: Site, sqs: Sqs, name: str, most: int, noted: list[int]) -> dict[str, Any]:
    """Returns what waits at one intake; whatever happens, all received messages are given back before this returns."""
    from ao_workflows.intake.sqs import BATCH

    settings = site.queues[name]
    until = time.monotonic() + LOOK_SECONDS
    refuse_other_environment(name, settings.environment, site.environment)
    refuse_other_environment(name, tagged_environment(sqs.tags(name, until)), site.environment)
    state = sqs.state(name, until)
    seen: list[ReceivedMessage] = []
    stay: list[str] = []
    try:
        # One call at a time: a signal during a call takes effect after it, when the call's messages are known.
        while len(seen) < most and not noted:
            asked = min(BATCH, most - len(seen))
            seen += (batch := sqs.receive(name, asked, until, hidden=HIDDEN_SECONDS))
            if len(batch) < asked:
                break
    finally:
        stay = sqs.give_back(name, [message.receipt_handle for message in seen], time.monotonic() + ANSWER_SECONDS)
    wanted = (settings.bucket, settings.events, settings.keys, settings.layout)
    return {
        "intake": name,
        "where": sqs.where(name),
        "queue": asdict(state),
        "stay_hidden": len(stay),
        "messages": [
            _shown(message, select_events(message.body, *wanted))
            for message in sorted(seen, key=lambda message: message.sent)
        ],
    }


def _shown(message: ReceivedMessage, selection: Selection) -> dict[str, Any]:
    return {
        "message_id": message.message_id,
        "sent": at.isoformat(timespec="seconds") if (at := moment_of_seconds(message.sent)) else None,
        "received_before": message.times - 1,
        "works": [str(part_staged_as(wanted.staged)) for wanted in selection.wanted],
        "rejected": selection.rejected,
        "body": message.body,
    }


def _print_look(look: dict[str, Any]) -> None:
    if "error" in look:
        click.echo(f"{look['intake']}:", err=True)
        click.echo(_indented(look["error"]), err=True)
        return
    queue, messages = look["queue"], look["messages"]
    click.echo(_indented(f"{look['intake']}: {look['where']}", "  ", ""))
    said = f"about {queue['visible']} wait, {queue['hidden']} are hidden while they are dealt with"
    click.echo(_indented(f"{said}, {queue['delayed']} are delayed", "  "))
    if queue["max_receives"]:
        said = f"received {queue['max_receives']} times, a message goes to {queue['dead_letters']}; a look counts"
        click.echo(_indented(said, "  "))
    if messages:
        click.echo(f"  {'received':>8}  {'sent':<16}  what it asks for")
    for message in messages:
        works = ", ".join(message["works"])
        if message["rejected"]:
            what = f"{works}, and cannot be used otherwise: " if works else "cannot be used: "
            what += message["rejected"]
        else:
            what = works or "nothing that this intake wants"
        first = f"  {message['received_before']:>8}  {_time(moment(message['sent'])):<16}  "
        click.echo(_indented(what, " " * len(first), first))
    if look["stay_hidden"]:
        click.echo(_indented(f"{look['stay_hidden']} of them stay hidden for up to {HIDDEN_SECONDS} s", "  "))


def _send_back(site: Site, sqs: Sqs, staging: Staging, message_id: str) -> dict[str, str]:
    """Sends a kept message to the queue that it came from, and removes it here only once SQS has it."""
    from ao_workflows.staging.rejected_messages import kept_messages, remove

    kept = next((each for each in kept_messages(staging) if each.message_id == message_id), None)
    if kept is None:
        raise click.UsageError(f"no message {message_id} is kept; `ao intake rejected` lists those that are")
    # The queue decides. But queues in two regions may have one name, and a queue may be renamed with its intake.
    of_queue = [name for name, queue in sqs.queues.items() if queue == kept.queue]
    formerly = {former: today for former, today in site.formerly.items() if today in sqs.queues}
    name = meant_by(kept.intake, of_queue, formerly, of_queue)
    if name is None:
        said = f"several have: {', '.join(of_queue)}" if of_queue else "no intake of this site has it"
        raise click.UsageError(
            f"the message came from the queue {kept.queue} of the intake {kept.intake}, and {said}. If that intake was "
            f'renamed, give it its old name beside the new one: formerly = ["{kept.intake}"]'
        )
    until = time.monotonic() + ANSWER_SECONDS
    refuse_other_environment(name, site.queues[name].environment, site.environment)
    refuse_other_environment(name, tagged_environment(sqs.tags(name, until)), site.environment)
    new_id = sqs.send(name, kept.body, until)
    remove(staging, message_id)
    return {"message_id": message_id, "intake": name, "queue": sqs.queues[name], "sent_as": new_id}


def _open_site() -> tuple[Site, Sqs, Staging]:
    from ao_workflows.site.loading import load

    site = load()
    return site, clients.sqs(site), clients.staging(site)


@contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Notes the signals that would end this process, so that it ends only once all messages are given back."""
    noted: list[int] = []
    before = {
        number: signal.signal(number, lambda got, _frame: noted.append(got))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _names(sqs: Sqs) -> str:
    return f"there are {', '.join(sqs.queues)}" if sqs.queues else "this site has none"


def _time(at: datetime | None) -> str:
    """Returns the time in this machine's time zone."""
    return "unknown" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M")


def _indented(text: str, indent: str = "    ", first: str | None = None) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent if first is None else first, subsequent_indent=indent)
