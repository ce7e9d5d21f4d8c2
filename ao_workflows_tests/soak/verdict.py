"""The soak's judgement, from the outside: Dagster's runs, the queue, the files, the database.

What belongs here: comparing what is with what must be. What does not: waiting for it.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from json import loads
from pathlib import Path

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG

from ao_workflows.archive.places import archive_place
from ao_workflows.demo.run import DemoFolder
from ao_workflows.drs.client import Drs
from ao_workflows.site.loading import load
from ao_workflows.status.runs import run_seen
from ao_workflows.works.stages import Stage
from ao_workflows_tests.soak.machine import Queue
from ao_workflows_tests.soak.traffic import Traffic

HELD, REFUSED = {"OlderDelivery", "NewerStored"}, "ZipRefused"
"""What a run ends with whose delivery came after a newer one of the work, and one that brought another work's bag."""

GONE_AT_THE_END = ("reservations", "events", "messages")
"""Folders of the scratch disk that keep what no run has begun with yet."""

UNFINISHED = (".lock", ".part", ".journal", ".tmp")


@dataclass(frozen=True)
class Standing:
    """Where the soak stands: how many runs have each status, and what is not as it must be at the end."""

    runs: Counter[str]
    retries: int
    faults: tuple[str, ...]

    @property
    def under_way(self) -> int:
        ended = {"SUCCESS", "FAILURE", "CANCELED"}
        return sum(count for status, count in self.runs.items() if status not in ended)


def look(instance: dg.DagsterInstance, folder: DemoFolder, queue: Queue, traffic: Traffic) -> Standing:
    """Compares the runs and the queue with what was sent."""
    runs = instance.get_runs()
    key_of = {run.run_id: run.tags.get(RUN_KEY_TAG, "") for run in runs}
    succeeded: dict[str, list[str]] = defaultdict(list)
    failed: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        if run.status is dg.DagsterRunStatus.SUCCESS:
            succeeded[key_of[run.root_run_id or run.run_id]].append(run.run_id)
        elif run.status is dg.DagsterRunStatus.FAILURE:
            failed[key_of[run.root_run_id or run.run_id]].add(_error(instance, run.run_id))
    faults = [
        f"{rid}: {len(succeeded[identity])} successful runs of the event {identity}: {succeeded[identity]}"
        for identity, rid in traffic.events.items()
        if len(succeeded[identity]) != 1
    ]
    faults += [
        f"{rid}: its older delivery {identity} has neither succeeded once nor been held: {succeeded[identity]}"
        for identity, rid in traffic.overtaken.items()
        if len(succeeded[identity]) != 1 and not HELD & failed[identity]
    ]
    faults += [
        f"{rid}: another work's bag was not refused: {sorted(failed[identity])}, {succeeded[identity]}"
        for identity, rid in traffic.refused.items()
        if succeeded[identity] or REFUSED not in failed[identity]
    ]
    faults += [f"{run_id}: succeeded for an event that nobody sent" for run_id in _unknown(succeeded, traffic)]
    first = Counter(run.tags.get(RUN_KEY_TAG) for run in runs if run.root_run_id is None)
    faults += [f"{count} first runs of the event {identity}" for identity, count in first.items() if count > 1]
    if waiting := queue.waiting():
        faults.append(f"{waiting} messages are still in the queue")
    kept = {loads(path.read_text())["body"] for path in (folder.staging / "quarantine/messages").rglob("*.json")}
    faults += [f"not kept: {body}" for body in traffic.poison - kept]
    faults += [f"kept, and no poison: {body}" for body in kept - traffic.poison]
    # A finished run's worker is still on its way out for a moment.
    faults += [f"left behind: {path}" for path in _left_behind(folder.staging)]
    return Standing(
        Counter(run.status.value for run in runs),
        sum(run.root_run_id is not None for run in runs),
        tuple(faults),
    )


def wrong_in_archive(folder: DemoFolder, traffic: Traffic) -> list[str]:
    """What of the works is not in the archive as it was bagged, or not in the database as it is."""
    faults = []
    for rid, files in traffic.files.items():
        place = archive_place(folder.archive / "Archive", rid)
        there = {
            path.relative_to(place).as_posix(): path.read_bytes()
            for path in place.rglob("*")
            if path.is_file() and not path.is_relative_to(place / f"{rid}.bag")
        }
        if there != dict(files):
            faults.append(f"{rid}: {place} holds {sorted(there)}, not its newest delivery, {sorted(files)}")
    faults += [
        f"{place}: the archive has a work that nobody sent"
        for place in folder.archive.glob("Archive?/[0-9][0-9]/*")
        if place.name not in traffic.files
    ]
    site = load(folder.site)
    drs = Drs(url=site.drs.url)
    synced = {row.rid for row in drs.rows(list(traffic.files)) if Stage.SYNCED_ARCHIVE in row.times}
    return [*faults, *(f"{rid}: DRS does not say that it is synced" for rid in traffic.files.keys() - synced)]


@cache
def _error(instance: dg.DagsterInstance, run_id: str) -> str:
    """The class of what a failed run ended with; it does not change any more."""
    (record,) = instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))
    return run_seen(instance, record).error


def _unknown(succeeded: dict[str, list[str]], traffic: Traffic) -> list[str]:
    sent = traffic.events.keys() | traffic.overtaken.keys()
    return [run_id for identity, ids in succeeded.items() if identity not in sent for run_id in ids]


def _left_behind(staging: Path) -> list[Path]:
    kept = (staging / "quarantine", staging / "logs")
    return [
        path
        # Not rglob, which fails where a run frees a folder meanwhile.
        for path in (Path(folder, name) for folder, below, names in os.walk(staging) for name in (*below, *names))
        if (path.name.endswith(UNFINISHED) or any(path.is_relative_to(staging / name) for name in GONE_AT_THE_END))
        and path.is_file()
        and path.name != ".lock"
        and not any(path.is_relative_to(folder) for folder in kept)
    ]
