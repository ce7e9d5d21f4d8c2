"""Folder sensors: one a folder intake. Each tick claims the files that are complete, and requests their runs.

What belongs here: looking, claiming and asking Dagster's instance, and saying what the tick did. What does not: which
file is complete (``ao_workflows.intake.folder_rules``), and what a run does.

A claimed file is in ``save/`` under the name that its run key is made of, and its run is requested by each tick until
the run is there. So a daemon that dies between claim and request loses nothing, and Dagster makes one run for a key.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG

from ao_workflows.defs.restore.job import RESTORE_WORK
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.defs.sensors.queues import BATCH, TICK_SECONDS, room_in_queue, run_config
from ao_workflows.errors import FileGone, FolderError, ServiceError
from ao_workflows.events.dropped_files import Claim, DroppedFile, owner_of
from ao_workflows.instance.opening import instance_id
from ao_workflows.intake.folder_rules import (
    FolderCursor,
    Left,
    Look,
    candidates,
    of_this_intake,
    sightings,
    told,
    why_not_yet,
)
from ao_workflows.intake.folders import Folders
from ao_workflows.site.environments import refuse_other_environment
from ao_workflows.site.sections import FolderIntakeSection, Site

CLAIM_SECONDS = 10.0
"""A tick claims for this long at most: far below the sensor's time limit of 60 s, on a slow mount too."""


def folder_sensor(name: str, intake: FolderIntakeSection, site: Site) -> dg.SensorDefinition:
    """The sensor of one folder intake. It starts stopped, save in the demo: a person starts what takes files."""

    @dg.sensor(
        name=f"{name}_intake",
        job=RESTORE_WORK,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if site.environment == "demo" else dg.DefaultSensorStatus.STOPPED
        ),
        description=f"Starts a run for each work whose zip is put into {intake.folder}.",
    )
    def sensor(context: dg.SensorEvaluationContext, folders: Folders) -> dg.SensorResult:
        refuse_other_environment(name, intake.environment, site.environment)
        instance = instance_id(context.instance)
        owner = owner_of(instance, name)
        cursor = FolderCursor.parse(context.cursor)
        mine, others = of_this_intake(folders.claims(name), folders.owners(name, instance))
        started = {claim.name for claim in mine if claim.name in cursor.started}
        waiting = []
        for claim in mine:
            if claim.name in started:
                continue
            if _has_run(context, event := _event(folders, name, claim)):
                started.add(claim.name)
            elif event:
                waiting.append((claim, event))
        room = room_in_queue(context.instance, site.max_queued_runs) - len(waiting)
        files, left = candidates(folders.look(name))
        claimed, kept = _claim(folders, name, files, cursor, owner, min(room, BATCH))
        if claimed:
            folders.settle(name)
        waiting += [(claim, event) for claim in claimed if (event := _event(folders, name, claim))]
        names = {claim.original for claim in claimed}
        seen = sightings([look for look in files if look.name not in names], cursor.seen, time.time())
        said = (
            f"{len(files)} files found, {len(claimed)} claimed, {len(waiting)} runs requested"
            + ("" if room > 0 else f"; the run queue is full ({site.max_queued_runs}), the rest waits in the folder")
            + told([*left, *kept], len(others))
        )
        context.log.info(said)
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=event.identity,
                    partition_key=claim.rid,
                    run_config=run_config(name, event),
                    tags={"ao/intake": name},
                )
                for claim, event in waiting
            ],
            skip_reason=None if waiting else dg.SkipReason(said),
            dynamic_partitions_requests=(
                [WORKS.build_add_request(sorted({claim.rid for claim, _ in waiting}))] if waiting else []
            ),
            cursor=FolderCursor(seen, frozenset(started)).dump(),
        )

    return sensor


def _claim(
    folders: Folders, intake: str, files: Iterable[Look], cursor: FolderCursor, owner: str, most: int
) -> tuple[list[Claim], list[Left]]:
    """Claims the first ``most`` of the files that are complete, and says why others were left."""
    claimed: list[Claim] = []
    left = []
    until = time.monotonic() + CLAIM_SECONDS
    for look in files:
        if len(claimed) >= most or time.monotonic() > until:
            break
        try:
            reason = why_not_yet(look, folders.writers(intake, look), cursor.seen.get(look.name), time.time())
            if reason is None:
                if claim := folders.claim(intake, look, owner):
                    claimed.append(claim)
                continue
        except FileGone:
            continue
        except (FolderError, ServiceError) as error:
            # One file that cannot be had must not keep the others waiting.
            reason = f"cannot be taken: {error.reason}"
        left.append(Left(look.name, reason))
    return claimed, left


def _event(folders: Folders, intake: str, claim: Claim) -> DroppedFile | None:
    """The claim's event, or None where a person has taken the file away, or put something else in its place."""
    try:
        return folders.event(intake, claim)
    except FolderError:
        return None


def _has_run(context: dg.SensorEvaluationContext, event: DroppedFile | None) -> bool:
    """Whether there is a run for the event, as a queue's sensor asks it."""
    return event is not None and bool(
        context.instance.get_run_ids(dg.RunsFilter(tags={RUN_KEY_TAG: event.identity}), limit=1)
    )
