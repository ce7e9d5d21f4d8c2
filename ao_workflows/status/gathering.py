"""The evidence of where works stand, gathered: DRS, staging and Dagster's instance, each asked a bounded question.

What belongs here: which works to look at if none is named, and reading what is known of each. What does not: what
follows from it (``ao_workflows.status.standing``).

There are a hundred thousand works. So nothing here lists all runs, all partitions or all folders; if no works are
named, those to which something happened last are looked at.
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
from ao_workflows.drs.parts import by_parts, parts_of_rows
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
from ao_workflows.works.parts import Part, work_of
from ao_workflows.works.rids import parse_rid

FORGOTTEN = timedelta(days=30)
"""A work to which nothing has happened for so long is looked at only if it is named, is stuck or has an open run."""

FORGOTTEN_STUCK = timedelta(days=366)
"""How long a work is shown as stuck: DRS's table is older than this platform, and may have works nobody wants now."""

BEING_MADE = timedelta(minutes=10)
"""How long Dagster may need to make a run that a tick has requested: its daemon may be restarted in between."""

LOOKED_AT = 300
"""How many works of each source are looked at if none is named: the newest."""


@dataclass(frozen=True)
class EvidenceSources:
    """Where to look for evidence. ``drs`` or ``instance`` is None if it cannot be asked."""

    staging: Staging
    drs: Drs | None
    instance: dg.DagsterInstance | None


@dataclass
class Gathered:
    """The evidence of several works, and what could not be gathered.

    ``cut`` says that a source gave as many works as were asked for, so there may be more. ``drs_error`` says why DRS
    could not be asked. ``unread`` has an error for each work of which the scratch disk could not be read, and one if
    the list of noted events could not. ``odd`` has the names, such as some in DRS, that cannot be a work's.
    """

    evidence: list[Evidence] = field(default_factory=list)
    cut: bool = False
    drs_error: DatabaseError | None = None
    unread: list[StagingError] = field(default_factory=list)
    odd: tuple[str, ...] = ()


def of_works(sources: EvidenceSources, rids: Sequence[str]) -> Gathered:
    """Gathers the evidence of the given works, in their order. What cannot be asked is noted in what is returned.

    Of a work in parts there is evidence of each part that is known.
    """
    gathered = Gathered()
    rows: Mapping[str, DrsRow] = {}
    drs = sources.drs
    if drs is not None:
        try:
            rows = {row.rid: row for row in drs.rows(rids)} if rids else {}
        except DatabaseError as error:
            gathered.drs_error, drs = error, None
    for rid in rids:
        try:
            parts = _parts_of(rid, rows.get(rid), sources.staging, drs)
        except DatabaseError as error:
            gathered.drs_error, parts = error, {Part(rid, rid): rows.get(rid)}
        for part, row in parts.items():
            evidence = Evidence(
                rid=part.staged,
                row=row,
                run=newest_run(sources.instance, part.staged) if sources.instance else None,
                asked_drs=drs is not None,
                asked_dagster=sources.instance is not None,
            )
            try:
                evidence = _with_staging(evidence, sources.staging, in_parts=len(parts) > 1 or part.staged != rid)
            except StagingError as error:
                gathered.unread.append(error)
                evidence = replace(evidence, asked_staging=False)
            gathered.evidence.append(evidence)
    return gathered


def _parts_of(rid: str, last: DrsRow | None, staging: Staging, drs: Drs | None) -> dict[Part, DrsRow | None]:
    """Returns the parts of a work that DRS or the scratch disk knows, each with what DRS has of it.

    A work in one zip, or of which nothing is known, is one part with its last row.

    :raises DatabaseError: if DRS cannot be asked.
    """
    on_disk = staging.parts_with_receipts(rid) + staging.parts_with_events(rid)
    names = {part.name for part in on_disk} | set(by_parts(last) if last else ())
    if names <= {rid}:
        return {Part(rid, rid): last}
    noted = parts_of_rows(drs.rows_of(rid)) if drs else {}
    return {Part(rid, name): noted.get(name) for name in sorted(names | noted.keys())}


def of_unfinished(
    sources: EvidenceSources, now: datetime, untouched: timedelta | None = None, most: int = LOOKED_AT
) -> Gathered:
    """Gathers the evidence of the works that are under way, waiting or failed; among them may be some that have reached
    the archive.

    They are the works to which something happened within the last 30 days; with ``untouched``, those to which nothing
    has happened for so long, but something within the 366 days before. A run that has not ended may be older than that.
    Works with an event that no run has stored are among them with ``untouched`` or without.

    :param most: how many works, the newest, are looked at from each source.
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
        found.append([work_of(name) for name in noted_events.works(sources.staging, most)])
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
    """Returns several results as one, with each work once; of a work that is in several, the last evidence counts."""
    return Gathered(
        evidence=list({each.rid: each for look in looks for each in look.evidence}.values()),
        cut=any(look.cut for look in looks),
        drs_error=next((look.drs_error for look in looks if look.drs_error), None),
        unread=list({str(error): error for look in looks for error in look.unread}.values()),
        odd=tuple(dict.fromkeys(name for look in looks for name in look.odd)),
    )


def lock_state(path: Path) -> LockState:
    """Returns the state of the work's lock whose file is at ``path``.

    The file is there only while a process has the lock, or after one that had it was killed.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return "free"
    try:
        # A shared lock, given back at once: a look must not keep a run from its work.
        if not lock_if_free(handle, shared=True):
            return "held"
        return "abandoned" if path.exists() else "free"
    finally:
        os.close(handle)


def _with_staging(evidence: Evidence, staging: Staging, *, in_parts: bool = False) -> Evidence:
    """Returns the evidence completed by what the scratch disk has of the work.

    :param in_parts: whether the work's lock may be another part's.
    :raises StagingError: if the disk cannot be read.
    """
    layout, rid = staging.layout, evidence.rid
    report = layout.report(rid)
    receipts = staging.receipts(rid)
    stored, run = receipts.restored, evidence.run
    under_way = run is not None and run.state == "under way"
    try:
        return replace(
            evidence,
            receipts=receipts,
            noted=last_noted(staging, rid, stored.event if stored else None, datetime.now(UTC) - BEING_MADE),
            transfer=_transfer(layout, rid),
            lock="free" if in_parts and not under_way else lock_state(layout.lock(rid)),
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
    """Returns the RIDs in all lists, each once, and the names that cannot be a RID: DRS has other writers too."""
    rids, odd = [], []
    for name in dict.fromkeys(chain.from_iterable(lists)):
        try:
            rids.append(parse_rid(name))
        except RidError:
            odd.append(name)
    return rids, tuple(name for name in odd if name)
