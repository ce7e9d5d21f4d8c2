"""``ao reprocess``: works redone, through Dagster's run queue.

What belongs here: arguments, the order of the questions, what is printed, exit codes. What does not: what a run will
do (``ao_workflows.status.redoing``), and the queue (``ao_workflows.instance.run_queue``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from ao_workflows import clients
from ao_workflows.cli.complaints import FAILED, complain
from ao_workflows.errors import AoError, NothingStored, RidError, RunInFlight, WorkUnknown
from ao_workflows.events.dropped_files import given_in
from ao_workflows.machine.boot import boot_id
from ao_workflows.status.advice import parts_to_redo
from ao_workflows.status.deliveries import delivery_of
from ao_workflows.status.redoing import OnDisk, Redo, plan_redo
from ao_workflows.works.part_tags import tags_of
from ao_workflows.works.parts import Part, part_called
from ao_workflows.works.rids import parse_rid
from ao_workflows.works.stages import DEEP_COPIED, RUN_STAGES, Stage

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from ao_workflows.drs.client import Drs
    from ao_workflows.staging.staging import Staging


@click.command()
@click.argument("rids", metavar="RID...", nargs=-1, required=True)
@click.option(
    "--from",
    "start",
    metavar="ASSET",
    type=click.Choice([stage.value for stage in RUN_STAGES]),
    default=Stage.DOWNLOADED_BAG.value,
    show_default=True,
    help=f"The stage to start from: {', '.join(RUN_STAGES)}.",
)
@click.option("--part", metavar="NAME", help="Of a work in parts: the part by its zip's name, or its image group.")
@click.option("--fresh", is_flag=True, help="Throw away the receipts that would spare a stage.")
@click.option("--force", is_flag=True, help="Do a delivery that is held, whatever the archive has.")
@click.option("--replace", is_flag=True, help="Have the archive's copy, and the web's, replaced in this run.")
@click.option(
    "--others",
    metavar="RID",
    multiple=True,
    help="A work beside the zip's own whose files in the archive may be changed in this run; may be given again.",
)
@click.option(
    "--leave",
    metavar="RID",
    multiple=True,
    help="A work beside the zip's own of which the archive keeps the copy that it has; may be given again.",
)
def reprocess(
    rids: tuple[str, ...],
    start: str,
    part: str | None,
    fresh: bool,
    force: bool,
    replace: bool,
    others: tuple[str, ...],
    leave: tuple[str, ...],
) -> None:
    """Put a run of each work RID into Dagster's run queue, whose limits hold for it.

    Says before what will be done anew, and what is skipped since its result is still there. Exits with 0 if all were
    queued, 1 if one was refused, 2 if the command was not understood.
    """
    try:
        names = [parse_rid(name) for name in dict.fromkeys(rids)]
        parts = [part_called(rid, parse_rid(part)) if part else Part(rid, rid) for rid in names]
        word = {
            "replace": replace,
            "others": [parse_rid(name) for name in dict.fromkeys(others)],
            "leave": [parse_rid(name) for name in dict.fromkeys(leave)],
        }
    except RidError as error:
        raise click.UsageError(str(error)) from error
    if part and len(names) > 1:
        raise click.UsageError("--part is of one work: name one RID with it")
    # Dagster is imported here, since that takes two seconds, and --help needs none of it.
    from ao_workflows.instance.opening import opened_instance
    from ao_workflows.instance.run_queue import check_run_queue
    from ao_workflows.site.loading import load

    site = load()
    refused = False
    with opened_instance() as instance:
        check_run_queue(instance)
        request = _Request(
            instance=instance,
            staging=clients.staging(site),
            drs=clients.drs(site),
            start=start,
            fresh=fresh,
            force=force,
            copies=site.deep_copy.is_on,
            word=word if any(word.values()) else {},
        )
        for each in parts:
            try:
                _reprocess(request, each)
            except AoError as error:
                complain(error)
                refused = True
    sys.exit(FAILED if refused else 0)


@dataclass(frozen=True)
class _Request:
    """What a person asks for each work that the command names, and where the works are looked up.

    ``start`` is the stage to start from; ``fresh`` throws its receipts away; ``force`` carries out a delivery that is
    held; ``copies`` says that the site copies works into the deep archive; ``word`` is what the person decided for this
    run, as the config of ``synced_archive`` has it.
    """

    instance: DagsterInstance
    staging: Staging
    drs: Drs
    start: str
    fresh: bool
    force: bool
    copies: bool
    word: Mapping[str, Any]


def _reprocess(request: _Request, part: Part) -> None:
    """Queues one work, or one part of it.

    :raises AoError: if it cannot be queued; then nothing has been thrown away.
    """
    from ao_workflows.definitions import defs
    from ao_workflows.defs.restore.holding import REDONE_TAG
    from ao_workflows.defs.restore.job import RESTORE_WORK
    from ao_workflows.defs.restore.partitions import WORKS
    from ao_workflows.instance.run_queue import queue_run
    from ao_workflows.status.runs import run_in_flight

    instance, staging = request.instance, request.staging
    rid, staged = part.rid, part.staged
    if run := run_in_flight(instance, staged):
        raise RunInFlight(str(part), run.run_id, run.state)
    redo, config = _plan(request, part)
    if request.word:
        config = {"ops": {**config.get("ops", {}), Stage.SYNCED_ARCHIVE.value: {"config": dict(request.word)}}}
    _say(f"{part}:")
    for line in redo.words:
        _say(f"  {line}")
    if request.copies:
        _say(f"  {DEEP_COPIED}: what has changed goes into the deep archive")
    job = defs.resolve_job_def(RESTORE_WORK.name)
    # A run that a person started without the queue is not among the runs above, but it has the lock.
    staging.hold(staged, "ao reprocess")
    try:
        for stage in redo.thrown_away:
            staging.throw_away(staged, stage)
    finally:
        staging.release()
    tags = {REDONE_TAG: "fresh" if request.fresh else "with its receipts"} | tags_of(part)
    stages = [*redo.stages, *([DEEP_COPIED] if request.copies else ())]
    run_id = queue_run(instance, job, str(WORKS.name), rid, stages, config, tags)
    _say(f"  queued as run {run_id}")


def _say(text: str) -> None:
    """Prints a line. If the reader has gone, as ``head`` does, the other works are still queued."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plan(request: _Request, part: Part) -> tuple[Redo, Mapping[str, Any]]:
    """Returns what the run will do, and its config, which is empty if the stored event is the work's last one.

    With ``force``, the run carries out the delivery that is held, whatever the archive has; if none is held, the
    delivery that it would carry out without ``force``.

    :raises AoError: if there is nothing to redo the work from.
    """
    from ao_workflows.staging.validity import tree_is_there, zip_is_there
    from ao_workflows.status.noted_events import last_noted, later_config
    from ao_workflows.status.runs import stored_event_config

    instance, staging, force = request.instance, request.staging, request.force
    rid = part.staged
    receipts, layout = staging.receipts(rid), staging.layout
    for refused in receipts.refused:
        complain(refused)
    config: Mapping[str, Any] | None
    if force and (held := receipts.held):
        config = _config_of({"intake": held.intake, **vars(held.event)})
    else:
        stored = receipts.restored
        config = stored_event_config(instance, rid, stored)
        config = later_config(last_noted(staging, rid, stored.event if stored else None), config)
    if config is None and receipts.restored is None:
        if others := [each for each in staging.parts_with_receipts(part.rid) if each != part]:
            raise NothingStored(str(part), "no restore event is stored", None, way_out=parts_to_redo(others))
        if not _is_known(instance, request.drs, part.rid):
            raise WorkUnknown(part.rid)
    downloaded, debagged = receipts.downloaded, receipts.debagged
    tree = tree_is_there(layout.work(rid), layout.fixity(rid))
    disk = OnDisk(
        zip_whole=downloaded is not None and zip_is_there(layout.zip(rid))(downloaded, "size"),
        tree_whole=debagged is not None and tree(debagged, "size"),
    )
    redo = plan_redo(
        rid,
        Stage.RESTORED_MESSAGE.value if force else request.start,
        receipts,
        disk,
        boot_id(),
        fresh=request.fresh,
        event_given=config is not None,
        word=request.word,
    )
    if not force:
        return redo, config or {}
    given = config["ops"][Stage.RESTORED_MESSAGE.value]["config"] if config else {}
    event = given_in(given) or (receipts.restored and receipts.restored.event)
    if event:
        redo = replace(redo, words=(f"by your word: {delivery_of(event)}", *redo.words))
    return redo, _config_of(given | {"force": True})


def _config_of(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"ops": {Stage.RESTORED_MESSAGE.value: {"config": dict(given)}}}


def _is_known(instance: DagsterInstance, drs: Drs, rid: str) -> bool:
    """Whether Dagster or DRS knows the work; also true if DRS cannot be asked."""
    from ao_workflows.defs.restore.partitions import WORKS

    if instance.has_dynamic_partition(str(WORKS.name), rid):
        return True
    try:
        return bool(drs.rows([rid]))
    except AoError:
        return True
