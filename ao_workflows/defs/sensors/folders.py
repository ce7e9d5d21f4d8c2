"""Folder sensors: one a folder intake. Each tick claims the files that are complete, and requests their runs.

What belongs here: looking, claiming and asking Dagster's instance, and reporting what the tick did. What does not:
which file is complete (``ao_workflows.intake.folder_rules``), and what a run does.

A claimed file is in ``save/``, under the name of which its run key is made. Each tick requests its run until there is
one, so a daemon that dies between claim and request loses nothing; and Dagster makes only one run for a run key.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import dagster as dg

from ao_workflows.defs.sensors import intakes
from ao_workflows.defs.sensors.intakes import BATCH
from ao_workflows.errors import FileGone, FolderError, ServiceError
from ao_workflows.events.dropped_files import Claim, DroppedFile, owner_of
from ao_workflows.instance.opening import instance_id
from ao_workflows.intake.folder_rules import (
    FolderCursor,
    SeenFile,
    SkippedFile,
    candidates,
    of_this_intake,
    sightings,
    skipped_in_words,
    why_not_yet,
)
from ao_workflows.intake.folders import Folders
from ao_workflows.site.sections import FolderIntakeSection, Site
from ao_workflows.works.parts import Part, part_of_key

CLAIM_SECONDS = 10.0
"""How long a tick claims files at most. On a slow mount, too, it stays far below the sensor's time limit of 60 s."""


def folder_sensor(name: str, intake: FolderIntakeSection, site: Site) -> dg.SensorDefinition:
    """Makes the sensor of the intake ``name``, which starts a run for each complete zip that is put into its folder."""

    @intakes.sensor_of(name, intake, site, f"Starts a run for each work whose zip is put into {intake.folder}.")
    def sensor(context: dg.SensorEvaluationContext, folders: Folders) -> dg.SensorResult:
        instance = instance_id(context.instance)
        owner = owner_of(instance, name)

        def part_of(claim: Claim) -> Part:
            return part_of_key(claim.original, intake.layout)

        cursor = FolderCursor.parse(context.cursor)
        mine, others = of_this_intake(folders.claims(name), folders.owners(name, instance))
        started = {claim.name for claim in mine if claim.name in cursor.started}
        waiting = []
        for claim in mine:
            if claim.name in started:
                continue
            event = _event(folders, name, claim)
            if event and intakes.has_run(context.instance, event.identity):
                started.add(claim.name)
            elif event:
                waiting.append((part_of(claim), event))
        room = intakes.room_in_queue(context.instance, site.max_queued_runs) - len(waiting)
        files, left = candidates(folders.look(name))
        claimed, kept = _claim(folders, name, files, cursor, owner, min(room, BATCH))
        if claimed:
            folders.settle(name)
        waiting += [(part_of(claim), event) for claim in claimed if (event := _event(folders, name, claim))]
        names = {claim.original for claim in claimed}
        seen = sightings([look for look in files if look.name not in names], cursor.seen, time.time())
        said = (
            f"{len(files)} files found, {len(claimed)} claimed, {len(waiting)} runs requested"
            + ("" if room > 0 else f"; the run queue is full ({site.max_queued_runs}), the rest waits in the folder")
            + skipped_in_words([*left, *kept], len(others))
        )
        context.log.info(said)
        return intakes.requested(name, waiting, said, FolderCursor(seen, frozenset(started)).dump())

    return sensor


def _claim(
    folders: Folders, intake: str, files: Iterable[SeenFile], cursor: FolderCursor, owner: str, most: int
) -> tuple[list[Claim], list[SkippedFile]]:
    """Claims up to ``most`` complete files; returns the claims, and the files that were not claimed with the reason."""
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
            # One file that cannot be claimed must not keep the others waiting.
            reason = f"cannot be taken: {error.reason}"
        left.append(SkippedFile(look.name, reason))
    return claimed, left


def _event(folders: Folders, intake: str, claim: Claim) -> DroppedFile | None:
    """Returns the claim's event, or None if a person has removed the file, or put something else in its place."""
    try:
        return folders.event(intake, claim)
    except FolderError:
        return None
