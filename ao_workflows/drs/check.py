"""Whether DRS can be used as it is: its table's columns, and what this user may do with it.

What belongs here: looking; no row is changed. What does not: making the table (``ao_workflows.drs.client``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ao_workflows.drs.config import Database
from ao_workflows.drs.failures import no_table
from ao_workflows.drs.table import TABLE, progress_table
from ao_workflows.errors import DatabaseError
from ao_workflows.works.rids import RID_LENGTH
from ao_workflows.works.stages import Stage

if TYPE_CHECKING:
    from sqlalchemy import Connection, Inspector


def check_table(connection: Connection, database: Database) -> str:
    """Looks at the table, tries what this user may do, and returns a sentence about it.

    :raises DatabaseError: with everything that is wrong with the columns.
    """
    from sqlalchemy import func, inspect, select

    inspector = inspect(connection)
    if not inspector.has_table(TABLE):
        raise no_table(database)
    table = progress_table(connection.dialect.name)
    faults = _faults(inspector, [column.name for column in table.columns])
    if faults:
        way_out = "its owner must alter it: an existing table is never altered from here"
        raise DatabaseError(database.where, f"the table {TABLE} {'; '.join(faults)}; {way_out}")
    # Without rows to work on, a privilege is asked for and nothing is changed
    written = [column for column in table.columns if column.name not in ("id", "create_time")]
    connection.execute(table.insert().from_select(written, select(*written).where(table.c.id != table.c.id)))
    nothing = {column: column for column in written}
    connection.execute(table.update().where(table.c.id != table.c.id).values(nothing))
    count = connection.execute(select(func.count()).select_from(table)).scalar_one()
    version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
    name = "mariadb" if getattr(connection.dialect, "is_mariadb", False) else connection.dialect.name
    kind = f"{name} {version}{_tls_in_use(connection)}"
    return f"{kind} at {database.where}: {TABLE} has {count} row{'s'[: count != 1]}"


def _faults(inspector: Inspector, wanted: list[str]) -> list[str]:
    """What keeps our rows out of a table of the site's own, which may have other columns and types than ours."""
    from sqlalchemy import DateTime, String

    columns = {column["name"]: column for column in inspector.get_columns(TABLE)}
    if missing := [name for name in wanted if name not in columns]:
        return [f"has no column {', '.join(missing)}"]
    faults = []
    for stage in Stage:
        column = columns[stage.column]
        if not isinstance(column["type"], DateTime):
            faults.append(f"has {column['name']} as {column['type']}, and a time is needed")
        if not column["nullable"]:
            faults.append(f"has {column['name']} as NOT NULL, and it is NULL until its stage is done")
    length = getattr(columns["object_name"]["type"], "length", None)
    if not isinstance(columns["object_name"]["type"], String) or (length is not None and length < RID_LENGTH):
        kind = columns["object_name"]["type"]
        faults.append(f"has object_name as {kind}, and text of at least {RID_LENGTH} characters is needed")
    faults += [
        f"has {name} as NOT NULL without a default, and our rows have none of it"
        for name, column in columns.items()
        if name not in ("id", "object_name", "user_data", "update_time", *(stage.column for stage in Stage))
        and not column["nullable"]
        and column.get("default") is None
        and column.get("autoincrement") is not True
    ]
    return faults


def _tls_in_use(connection: Connection) -> str:
    from sqlalchemy import text

    if connection.dialect.name != "mysql":
        return ""
    status = connection.execute(text("SHOW STATUS LIKE 'Ssl_version'")).one_or_none()
    return f" ({status[1]})" if status and status[1] else " (not encrypted)"
