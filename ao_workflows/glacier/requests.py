"""Requests for works: what ``ao restore`` does for one work, by asking S3 and DRS.

What belongs here: the use of both clients together. What does not: the calls themselves (``client``,
``ao_workflows.drs.client``), and whether to ask (``rules``).
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from ao_workflows.drs.client import Drs
from ao_workflows.drs.rows import DrsRow
from ao_workflows.errors import AoError, DatabaseError, ObjectError, RidError, SiteError, WrongEnvironment
from ao_workflows.glacier.client import Glacier
from ao_workflows.glacier.rules import (
    ObjectAddress,
    RestoreState,
    RestoreStatus,
    Target,
    Tier,
    awaited,
    parse_target,
    requested_on,
    restore_state,
)
from ao_workflows.site.environments import refuse_other_environment
from ao_workflows.site.sections import Site
from ao_workflows.works.object_keys import object_key
from ao_workflows.works.stages import Stage


class RestoreRequests:
    """The restores of a site's works, or of the works of one ``intake``.

    :raises SiteError: if the site has no intake.
    :raises WrongEnvironment: if each intake belongs to another environment: what is restored from production's bucket
        is announced in production's queue.
    """

    def __init__(self, site: Site, intake: str | None, glacier: Glacier, drs: Drs) -> None:
        if not site.queues:
            raise SiteError("site.toml", ["intake: there is none, so no bucket is known to look for works in"])
        self._intakes = {}
        for name, section in site.queues.items():
            if intake in (None, name):
                try:
                    refuse_other_environment(name, section.environment, site.environment)
                except WrongEnvironment as error:
                    refused = error
                else:
                    self._intakes[name] = section
        if not self._intakes:
            raise refused
        self._glacier = glacier
        self._drs = drs
        self._rows: dict[str, DrsRow] = {}

    def read_rows(self, names: Sequence[str]) -> None:
        """Reads the works' rows from DRS, all at once.

        :raises DatabaseError: if it refuses, ``DatabaseUnavailable`` if it does not answer.
        """
        rids = []
        for name in names:
            with suppress(RidError):
                rids.append(parse_target(name).rid)
        self._rows = {row.rid: row for row in self._drs.rows(rids)}

    def look(self, name: str) -> RestoreStatus:
        """Returns how far the restore of the work is that ``name`` names, or what prevents that from being known."""
        try:
            target = parse_target(name)
        except RidError as error:
            return RestoreStatus(name, error=error)
        row = self._rows.get(target.rid)
        times = row.times if row else {}
        status = RestoreStatus(name, target.rid, requested=requested_on(row), synced=times.get(Stage.SYNCED_ARCHIVE))
        try:
            address, storage = self._glacier.find(self._places(target))
        except AoError as error:
            return replace(status, error=error)
        return replace(status, address=address, storage=storage, state=restore_state(storage, row, datetime.now(UTC)))

    def ask(self, status: RestoreStatus, tier: Tier, days: int) -> RestoreStatus:
        """Asks Glacier for the work, and notes in DRS that it was asked."""
        address, storage = status.address, status.storage
        assert address is not None  # noqa: S101 - it was looked at
        assert storage is not None  # noqa: S101
        try:
            state = self._glacier.ask(address, storage, tier, days)
        except AoError as error:
            return replace(status, state=None, error=error)
        if state is RestoreState.ASKED:
            now = datetime.now(UTC)
            status = replace(status, state=state, asked_now=True, requested=now)
            return self._noted(status, now, {"tier": tier, "days": None if storage.archive_status else days})
        return self.note_a_request_that_drs_missed(replace(status, state=state))

    def note_a_request_that_drs_missed(self, status: RestoreStatus) -> RestoreStatus:
        """Notes in DRS that Glacier is restoring the work, if DRS knows of no request.

        Whoever asked died before writing that, or was not this platform.
        """
        if status.state is not RestoreState.UNDER_WAY or awaited(self._rows.get(status.rid)):
            return status
        return self._noted(status, datetime.now(UTC), {"found": "under way"})

    def _noted(self, status: RestoreStatus, at: datetime, data: dict[str, object]) -> RestoreStatus:
        address = status.address
        known = {"object": str(address), "storage": str(status.storage), "by": _user()}
        try:
            self._drs.record(status.rid, Stage.RESTORE_REQUESTED, at, {**known, **data})
        except DatabaseError as error:
            return replace(status, error=error)
        return status

    def _places(self, target: Target) -> list[ObjectAddress]:
        """Where the object may be: a bucket of two intakes counts once."""
        addresses: dict[str, ObjectAddress] = {}
        for name, section in self._intakes.items():
            if target.bucket in (None, section.bucket):
                keys = [target.key] if target.key else [object_key(place, target.rid) for place in section.places]
                for key in keys:
                    address = ObjectAddress(name, section.bucket, key)
                    addresses.setdefault(str(address), address)
        if not addresses:
            known = ", ".join(section.bucket for section in self._intakes.values())
            raise ObjectError(f"s3://{target.bucket}", f"is the bucket of no intake; they have {known}")
        return list(addresses.values())


def _user() -> str:
    """The user's name; a container's user may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
