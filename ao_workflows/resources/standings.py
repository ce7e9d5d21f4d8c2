"""The evidence of where works stand, gathered: DRS, staging and Dagster's instance, each asked a bounded question.

What belongs here: which works to look at where none is named, and reading what is known of each. What does not: what
it comes to (``ao_workflows.domain.standing``).

There are a hundred thousand works. Nothing here lists all runs, all partitions or all folders; what is not named is
found by what moved last.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from ao_workflows.domain.errors import DatabaseError
from ao_workflows.domain.evidence import RUN_STAGES, Evidence, LockState, Transfer
from ao_workflows.domain.progress import Progress
from ao_workflows.domain.receipts import Receipt
from ao_workflows.domain.works import StagingLayout
from ao_workflows.resources.drs import Drs
from ao_workflows.resources.progress import read_progress
from ao_workflows.resources.runs import newest_run, works_in_flight, works_of_runs
from ao_workflows.resources.staging import Staging

FORGOTTEN = timedelta(days=30)
"""A work that nothing has happened to for so long is told of where it is named, and not in the lists."""

LOOKED_AT = 300
"""So many works of each source are looked at where none is named: the newest."""


@dataclass(frozen=True)
class Sources:
    """Where to look. ``drs`` or ``instance`` is None where it cannot be asked."""

    staging: Staging
    drs: Drs | None
    instance: dg.DagsterInstance | None


@dataclass
class Gathered:
    """The evidence of several works. ``cut`` says that there were more than were looked at; ``drs_error`` is why DRS
    could not be asked.
    """

    evidence: list[Evidence] = field(default_factory=list)
    cut: bool = False
    drs_error: DatabaseError | None = None


def of_works(sources: Sources, rids: Sequence[str]) -> Gathered:
    """The evidence of the works named, in their order."""
    gathered = Gathered()
    rows: Mapping[str, Progress] = {}
    drs = sources.drs
    if drs is not None:
        try:
            rows = {row.rid: row for row in drs.rows(rids)} if rids else {}
        except DatabaseError as error:
            gathered.drs_error, drs = error, None
    for rid in rids:
        run = newest_run(sources.instance, rid) if sources.instance else None
        layout = sources.staging.layout
        report = layout.report(rid)
        gathered.evidence.append(
            Evidence(
                rid=rid,
                row=rows.get(rid),
                receipts=receipts_of(sources.staging, rid),
                run=run,
                transfer=_transfer(layout, rid),
                lock=lock_state(layout.lock(rid)),
                report=str(report) if report.exists() else None,
                zip_there=layout.zip(rid).exists(),
                tree_there=layout.work(rid).exists(),
                asked_drs=drs is not None,
                asked_dagster=sources.instance is not None,
            )
        )
    return gathered


def of_unfinished(sources: Sources, now: datetime) -> Gathered:
    """The evidence of the works that are under way, waiting or failed, as far as something has happened to them since
    a month ago; of each source at most ``LOOKED_AT``. Among them may be some that have reached the archive.
    """
    since = now - FORGOTTEN
    found: list[list[str]] = []
    drs_error = None
    if sources.instance:
        found.append(works_in_flight(sources.instance, LOOKED_AT))
        failed = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
        found.append(works_of_runs(sources.instance, failed, LOOKED_AT, since))
    if sources.drs:
        try:
            found.append(sources.drs.unfinished(since, LOOKED_AT))
        except DatabaseError as error:
            drs_error = error
            sources = Sources(sources.staging, None, sources.instance)
    gathered = of_works(sources, _each_once(found))
    gathered.cut = any(len(rids) >= LOOKED_AT for rids in found)
    gathered.drs_error = gathered.drs_error or drs_error
    return gathered


def receipts_of(staging: Staging, rid: str) -> dict[str, Receipt]:
    """The receipts of the work that can be read, by their stage."""
    found = ((stage.value, staging.receipt(rid, stage)) for stage in RUN_STAGES)
    return {stage: receipt for stage, receipt in found if receipt is not None}


def lock_state(path: Path) -> LockState:
    """Who has a work. The file of a lock is there only while a process has it, or where one was killed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return "free"
    try:
        # A shared lock, gone again at once: who asks must not keep a run from its work.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "held"
    else:
        return "abandoned" if path.exists() else "free"
    finally:
        os.close(handle)


def _transfer(layout: StagingLayout, rid: str) -> Transfer | None:
    found = read_progress(layout.progress(rid))
    if found is None:
        return None
    at = datetime.fromisoformat(found.at)
    return Transfer(found.percent, found.megabytes_per_second, found.seconds_left, found.run_id, at.astimezone(UTC))


def _each_once(lists: Iterable[Iterable[str]]) -> list[str]:
    def all_of_them() -> Iterator[str]:
        for rids in lists:
            yield from rids

    return list(dict.fromkeys(all_of_them()))
