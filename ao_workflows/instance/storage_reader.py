"""The archivists' page reads the storage as a user of PostgreSQL that may read and nothing else.

What belongs here: that user, made before the operators' page starts, and the one write that a page which only shows
would do. What does not: what it may (``reader_rights``), and who has which password (``docker-compose.yml``).

``python -m ao_workflows.instance.storage_reader COMMAND…`` makes Dagster's tables where they are missing and the user,
and becomes COMMAND. Dagster's storages say by undocumented names whether the states of partitions may be noted in the
storage, and which connections they have. If these change, the archivists' page shows an error in place of the works.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import sys
from functools import cache
from pathlib import Path
from typing import Any

from dagster import DagsterInstance

from ao_workflows.instance.dagster_processes import make_tables
from ao_workflows.instance.reader_rights import HARM_NOBODY, MAKE, READ, USER

PASSFILE = Path("/run/secrets/viewer_pgpass")
"""PostgreSQL's password file for that user; where there is none, the user is made by the database's administrator."""


def make_reader(instance: DagsterInstance, passfile: Path) -> list[str]:
    """Makes the user, with the password of the file, and lets it read; returns what PostgreSQL refused, in its words.

    Tables that Dagster makes later are readable too. Those of a database that was restored are not, so this is called
    at each start.
    """
    storage: Any = instance.run_storage
    refused = []
    make = [MAKE % verifier(passfile.read_text().strip().split(":", 4)[4])] if passfile.is_file() else []
    for sql in (*make, READ, *HARM_NOBODY):
        try:
            with storage.connect() as connection, connection.connection.cursor() as cursor:
                cursor.execute(sql)
        except Exception as error:  # noqa: BLE001 - PostgreSQL's client is not imported for the names of its errors
            refused.append(str(error).strip().partition("\n")[0])
    return refused


def verifier(password: str, salt: bytes | None = None, rounds: int = 4096) -> str:
    """Returns what PostgreSQL stores of a password (RFC 5803), so that the password itself is in no statement that a
    server may log.
    """
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    client, server = (hmac.digest(salted, name, "sha256") for name in (b"Client Key", b"Server Key"))
    words = (base64.b64encode(each).decode() for each in (salt, hashlib.sha256(client).digest(), server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(rounds, *words)


def respect_rights(storage: Any) -> None:
    """Has a storage of events note no states of partitions if its user may not: a page would show an error instead of
    what it has just worked out.
    """

    @cache
    def may_write() -> bool:
        with storage._engine.connect() as connection:
            return bool(connection.exec_driver_sql("SELECT has_table_privilege('asset_keys', 'UPDATE')").scalar())

    storage.can_write_asset_status_cache = may_write


def main() -> None:
    """Makes what the pages need in the storage, and becomes the command that was given."""
    with DagsterInstance.get() as instance:
        make_tables(instance)
        instance.run_storage.get_run_storage_id()  # type: ignore[attr-defined] # which each page would make and show
        for refused in make_reader(instance, PASSFILE):
            print(f"The user {USER} of the archivists' page: PostgreSQL says: {refused}", file=sys.stderr)  # noqa: T201
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - it is the container's own command


if __name__ == "__main__":
    main()
