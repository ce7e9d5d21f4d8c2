"""The evidence of where works stand, gathered: DRS, staging and Dagster's instance, each asked a bounded question.

What belongs here: which works to look at where none is named, and reading what is known of each. What does not: what
it comes to (``ao_workflows.status.standing``).

There are a hundred thousand works. Nothing here lists all runs, all partitions or all folders; what is not named is
found by what moved last.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import dagster as dg

from ao_workflows.download.progress import read_progress
from ao_workflows.drs.client import Drs
from ao_workflows.drs.rows import DrsRow
from ao_workflows.errors import DatabaseError, RidError, StagingError
from ao_workflows.machine.file_locks import lock_if_free
from ao_workflows.machine.times import in_order
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.staging.staging import Staging
from ao_workflows.status import noted_events
from ao_workflows.status.evidence import DownloadSeen, Evidence, LockState
from ao_workflows.status.noted_events import last_noted
from ao_workflows.status.runs import UNFINISHED, newest_run, works_of_runs
from ao_workflows.works.rids import parse_rid

FORGOTTEN = timedelta(days=30)
"""A work that nothing has happened to for so long is told of where it is named or is stuck, and not in other lists."""

FORGOTTEN_STUCK = timedelta(days=366)
"""For so long a work is told of as stuck: the table that was taken over may have works that nobody wants any more."""

BEING_MADE = timedelta(minutes=10)
"""So long Dagster may take to make a run that a tick has requested: its daemon may be restarted in between."""

LOOKED_AT = 300
"""So many works of each source are looked at where none is named: the newest."""


@dataclass(frozen=True)
class EvidenceSources:
    """Where to look. ``drs`` or ``instance`` is None where it cannot be asked."""

    staging: Staging
    drs: Drs | None
    instance: dg.DagsterInstance | None


@dataclass
class Gathered:
    """The evidence of several works. ``cut`` says that there were more than were looked at; ``drs_error`` is why DRS
    could not be asked, and ``unread`` why the scratch disk could not, of each work where it was so. ``odd`` has names
    in DRS that are no work's.
    """

    evidence: list[Evidence] = field(default_factory=list)
    cut: bool = False
    drs_error: DatabaseError | None = None
    unread: list[StagingError] = field(default_factory=list)
    odd: tuple[str, ...] = ()


def of_works(sources: EvidenceSources, rids: Sequence[str]) -> Gathered:
    """The evidence of the works named, in their order."""
    gathered = Gathered()
    rows: Mapping[str, DrsRow] = {}
    drs = sources.drs
    if drs is not None:
        try:
            rows = {row.rid: row for row in drs.rows(rids)} if rids else {}
        except DatabaseError as error:
            gathered.drs_error, drs = error, None
    for rid in rids:
        evidence = Evidence(
            rid=rid,
            row=rows.get(rid),
            run=newest_run(sources.instance, rid) if sources.instance else None,
            asked_drs=drs is not None,
            asked_dagster=sources.instance is not None,
        )
        try:
            evidence = _with_staging(evidence, sources.staging)
        except StagingError as error:
            gathered.unread.append(error)
            evidence = replace(evidence, asked_staging=False)
        gathered.evidence.append(evidence)
    return gathered


def of_unfinished(
    sources: EvidenceSources, now: datetime, untouched: timedelta | None = None, most: int = LOOKED_AT
) -> Gathered:
    """The evidence of the works that are under way, waiting or failed; among them may be some that have reached the
    archive. Of each source the newest ``most`` are looked at.

    They are those to which something has happened since a month ago; with ``untouched``, those to which nothing has
    happened for so long, and something since a year before that. Of both, those with an event that no run has stored.
    """
    before = now - untouched if untouched else None
    since = before - FORGOTTEN_STUCK if before else now - FORGOTTEN
    found: list[list[str]] = []
    drs_error = None
    if sources.instance:
        found.append(works_of_runs(sources.instance, UNFINISHED, most, before=before))
        failed = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
        found.append(works_of_runs(sources.instance, failed, most, since, before))
    if sources.drs:
        try:
            found.append(sources.drs.unfinished(since, most, before))
        except DatabaseError as error:
            drs_error = error
            sources = EvidenceSources(sources.staging, None, sources.instance)
    unread = []
    try:
        found.append(noted_events.works(sources.staging, most))
    except StagingError as error:
        unread.append(error)
    rids, odd = _each_once(found)
    gathered = of_works(sources, rids)
    gathered.unread += unread
    gathered.cut = any(len(names) >= most for names in found)
    gathered.odd = odd
    gathered.drs_error = gathered.drs_error or drs_error
    return gathered


def merged(*looks: Gathered) -> Gathered:
    """Several looks as one, each work once."""
    return Gathered(
        evidence=list({each.rid: each for look in looks for each in look.evidence}.values()),
        cut=any(look.cut for look in looks),
        drs_error=next((look.drs_error for look in looks if look.drs_error), None),
        unread=list({str(error): error for look in looks for error in look.unread}.values()),
        odd=tuple(dict.fromkeys(name for look in looks for name in look.odd)),
    )


def lock_state(path: Path) -> LockState:
    """Who has a work. The file of a lock is there only while a process has it, or where one was killed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return "free"
    try:
        # A shared lock, gone again at once: who asks must not keep a run from its work.
        if not lock_if_free(handle, shared=True):
            return "held"
        return "abandoned" if path.exists() else "free"
    finally:
        os.close(handle)


def _with_staging(evidence: Evidence, staging: Staging) -> Evidence:
    """With what the scratch disk says of the work.

    :raises StagingError: if it does not.
    """
    layout, rid = staging.layout, evidence.rid
    report = layout.report(rid)
    receipts = staging.receipts(rid)
    stored = receipts.restored
    try:
        return replace(
            evidence,
            receipts=receipts,
            noted=last_noted(staging, rid, stored.event if stored else None, datetime.now(UTC) - BEING_MADE),
            transfer=_transfer(layout, rid),
            lock=lock_state(layout.lock(rid)),
            report=str(report) if report.exists() else None,
            zip_there=layout.zip(rid).exists(),
            tree_there=layout.work(rid).exists(),
        )
    except OSError as error:
        raise StagingError(Path(error.filename or layout.root), f"cannot be read: {error.strerror}") from error


def _transfer(layout: StagingLayout, rid: str) -> DownloadSeen | None:
    found = read_progress(layout.progress(rid))
    if found is None:
        return None
    return DownloadSeen(found.percent, found.megabytes_per_second, found.seconds_left, found.run_id, in_order(found.at))


def _each_once(lists: Iterable[Iterable[str]]) -> tuple[list[str], tuple[str, ...]]:
    """The works of all lists, and the names that are none's: DRS has other writers."""
    rids, odd = [], []
    for name in dict.fromkeys(chain.from_iterable(lists)):
        try:
            rids.append(parse_rid(name))
        except RidError:
            odd.append(name)
    return rids, tuple(name for name in odd if name)
