"""The table ``glacier_sync_progress`` in SQL: its columns, and the order of its rows.

What belongs here: what SQL sees of it. What does not: connecting (``ao_workflows.drs.client``), and what a row says of
a restore (``ao_workflows.drs.rows``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ao_workflows.drs.rows import DrsRow, entry_of, stored_list
from ao_workflows.machine.times import moment
from ao_workflows.works.stages import Stage

if TYPE_CHECKING:
    from sqlalchemy import Row, Select, Table

TABLE = "glacier_sync_progress"

ROWS_A_QUERY = 500


@functools.lru_cache(maxsize=2)
def progress_table(dialect: str) -> Table:
    """Returns the table as ``init`` makes it. An existing table may differ from it; only the columns' names are relied
    on.
    """
    from sqlalchemy import TIMESTAMP, Column, Integer, MetaData, String, Table, text
    from sqlalchemy.types import UserDefinedType

    class Json(UserDefinedType[str]):
        """JSON as its text: what does not parse must not keep a work from being recorded."""

        cache_ok = True

        def get_col_spec(self, **_: object) -> str:
            return "JSON"

    class TextTime(UserDefinedType[datetime]):
        """SQLite's time, a text. Of one that is no time nothing is told: SQLAlchemy's own would end the whole look."""

        cache_ok = True

        def get_col_spec(self, **_: object) -> str:
            return "TIMESTAMP"

        def bind_processor(self, dialect: object) -> Any:
            return lambda at: None if at is None else at.isoformat(" ", "microseconds")

        def result_processor(self, dialect: object, coltype: object) -> Any:
            return lambda said: at.replace(tzinfo=None) if (at := moment(said)) else None

    time = TextTime() if dialect == "sqlite" else TIMESTAMP()
    on_update = "CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP" if dialect == "mysql" else "CURRENT_TIMESTAMP"
    return Table(
        TABLE,
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("object_name", String(255), index=True),
        *(Column(stage.column, time, nullable=True) for stage in Stage),
        Column("user_data", Json, comment="[{time_stamp: RFC 3339, user_data: {...}}, ...]"),
        Column("create_time", time, nullable=False, server_default=text("CURRENT_TIMESTAMP")),
        Column("update_time", time, nullable=True, server_default=text(on_update)),
    )


def latest_first(table: Table, rids: Sequence[str] | None) -> Iterable[Select[tuple[object, ...]]]:
    """Returns queries of a limited size for all rows of some works, or of all works, those updated last first."""
    from sqlalchemy import func, select

    c = table.columns
    ordered = select(*c).order_by(func.coalesce(c.update_time, c.create_time).desc(), c.id.desc())
    if rids is None:
        yield ordered
        return
    for start in range(0, len(rids), ROWS_A_QUERY):
        yield ordered.where(c.object_name.in_(rids[start : start + ROWS_A_QUERY]))


def unfinished_first(table: Table, since: datetime, most: int, before: datetime | None) -> Select[tuple[str]]:
    """Returns a query for the names in rows without a sync, the latest first; a name may come more than once.

    :param since: only rows that were updated since then; ``before`` leaves out those updated later than that.
    :param most: the query's limit.
    """
    from sqlalchemy import func, select

    c = table.columns
    updated = func.coalesce(c.update_time, c.create_time)
    unfinished = select(c.object_name).where(c[Stage.SYNCED_ARCHIVE.column].is_(None), c.object_name.is_not(None))
    within = unfinished.where(updated >= since.astimezone(UTC).replace(tzinfo=None))
    if before:
        within = within.where(updated < before.astimezone(UTC).replace(tzinfo=None))
    return within.order_by(updated.desc(), c.id.desc()).limit(most)


def parsed_row(row: Row[Any]) -> DrsRow:
    """Returns a row of the table as a value."""
    return DrsRow(
        row=row.id,
        rid=row.object_name,
        times={stage: at for stage in Stage if (at := moment(getattr(row, stage.column)))},
        entries=tuple(entry_of(item) for item in stored_list(row.user_data)),
        created=moment(row.create_time),
        updated=moment(row.update_time),
    )
