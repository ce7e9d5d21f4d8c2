"""Old records in Dagster's storage: the debug rows of the event log, and the ticks of sensors and schedules.

What belongs here: removing them, in SQLite and in PostgreSQL; which runs are under way, and where their logs are. What
does not: a work's history. No run is removed here, nor any materialization, observation, check, failure or step: those
are the archive's history.

Dagster has no way of its own to remove single rows of its event log, so this module uses the table ``event_logs`` of
its schema. Dagster removes the ticks of sensors that are switched on, as ``retention`` in dagster.yaml says, but never
those of schedules or of what is switched off. If a table, a column or the event's JSON changes, old records stay; if a
type of event gets another meaning, history is removed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from ao_workflows.machine.disk import Removed
from ao_workflows.upkeep.housekeeping import slices

_DONE_UNTIL = "ao/housekeeping"
"""The key under which the instance stores how far its event log has been searched: the runs that ended before that
time.
"""

_DEBUG_TYPES = (
    "ENGINE_EVENT",
    "HANDLED_OUTPUT",
    "LOADED_INPUT",
    "LOGS_CAPTURED",
    "OBJECT_STORE_OPERATION",
    "RESOURCE_INIT_STARTED",
    "RESOURCE_INIT_SUCCESS",
    "STEP_WORKER_STARTED",
    "STEP_WORKER_STARTING",
)
"""The events about Dagster's own workings. Nearly every event has the level DEBUG, materializations too: so these types
are named, and every other type stays.
"""

_AT_ONCE = 200
_UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def beginnings_of_runs(instance: dg.DagsterInstance, *, but: str) -> list[datetime]:
    """Returns when each run that is under way was created.

    :param but: the id of a run that is left out: the one that asks.
    """
    return [
        record.create_timestamp
        for record in instance.get_run_records(dg.RunsFilter(statuses=_UNDER_WAY))
        if record.dagster_run.run_id != but
    ]


def compute_log_folders(instance: dg.DagsterInstance) -> list[Path]:
    """Returns the folders on this disk in which the instance keeps what runs and ticks print; with S3, those of the
    copies that were read here.
    """
    manager = getattr(instance.compute_log_manager, "local_manager", instance.compute_log_manager)
    return [Path(manager._base_dir)] if isinstance(manager, LocalComputeLogManager) else []


def remove_debug_rows(instance: dg.DagsterInstance, before: datetime) -> Removed:
    """Removes the debug rows of the runs that ended before a moment. Runs that were searched once are not searched
    again.
    """
    storage: Any = instance.event_log_storage
    first = instance.get_run_records(limit=1, order_by="create_timestamp", ascending=True)
    if not first:
        return Removed()
    cursors = instance.daemon_cursor_storage
    said = cursors.get_cursor_values({_DONE_UNTIL}).get(_DONE_UNTIL)
    count = size = 0
    for start, end in slices(datetime.fromisoformat(said) if said else first[0].create_timestamp, before):
        ended = dg.RunsFilter(statuses=list(FINISHED_STATUSES), updated_after=start, updated_before=end)
        run_ids = instance.get_run_ids(ended)
        step = 1 if storage.is_run_sharded else _AT_ONCE  # SQLite: each run has a file of its own
        for at in range(0, len(run_ids), step):
            rows, characters = _remove_rows(storage, run_ids[at : at + step])
            count, size = count + rows, size + characters
        cursors.set_cursor_values({_DONE_UNTIL: end.isoformat()})
    return Removed(count, size)


def _remove_rows(storage: Any, run_ids: Sequence[str]) -> tuple[int, int]:
    import sqlalchemy as db
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

    if storage.is_run_sharded and not Path(storage.path_for_shard(run_ids[0])).exists():
        return 0, 0
    table = SqlEventLogStorageTable.c
    wanted = db.and_(
        table.run_id.in_(run_ids),
        db.or_(table.dagster_event_type.is_(None), table.dagster_event_type.in_(_DEBUG_TYPES)),
        # The level is only in the event's JSON. Quotation marks in a text are escaped there, so no text matches this.
        table.event.like('%"level": 10,%'),
    )
    with storage.run_connection(run_ids[0]) as connection:
        count, size = connection.execute(
            db.select(db.func.count(), db.func.coalesce(db.func.sum(db.func.length(table.event)), 0)).where(wanted)
        ).one()
        if count:
            connection.execute(SqlEventLogStorageTable.delete().where(wanted))
    if count and storage.is_run_sharded:
        with closing(sqlite3.connect(storage.path_for_shard(run_ids[0]))) as file:
            file.execute("VACUUM")  # or the file stays as large; PostgreSQL uses the room of removed rows again
    return int(count), int(size)


def remove_ticks(instance: dg.DagsterInstance, before: datetime) -> Removed:
    """Removes the ticks that ended and are older than a moment, of every sensor and schedule that Dagster has ever
    started.
    """
    ended = [status for status in TickStatus if status is not TickStatus.STARTED]
    count = 0
    for state in instance.all_instigator_state():
        of_this = (state.instigator_origin_id, state.selector_id)
        count += len(instance.get_tick_summaries(*of_this, before=before.timestamp(), statuses=ended))
        instance.purge_ticks(*of_this, before=before.timestamp(), tick_statuses=ended)
    return Removed(count)
