"""Requests for works: what ``ao restore`` does for one work, by asking S3 and DRS.

What belongs here: the use of both clients together. What does not: the calls themselves (``client``,
``ao_workflows.drs.client``), and whether to ask (``rules``).
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from ao_workflows.drs.client import Drs
from ao_workflows.drs.parts import parts_of_rows
from ao_workflows.drs.rows import DrsRow
from ao_workflows.errors import AoError, DatabaseError, ObjectError, RidError, SiteError, WrongEnvironment
from ao_workflows.glacier.client import Glacier
from ao_workflows.glacier.finding import WorkFinder
from ao_workflows.glacier.part_states import is_left_open, part_statuses, state_of_all
from ao_workflows.glacier.prices import Prices
from ao_workflows.glacier.readable import EVENT, restored_message_of, takes_events
from ao_workflows.glacier.rules import (
    RestoreState,
    RestoreStatus,
    Tier,
    awaited,
    requested_on,
    restore_state,
)
from ao_workflows.glacier.work_parts import WorkListing
from ao_workflows.intake.sqs import Sqs
from ao_workflows.site.environments import refuse_other_environment, tagged_environment
from ao_workflows.site.sections import Site
from ao_workflows.works.stages import Stage

SEND_SECONDS = 20.0
"""So long SQS is waited for when an event is sent."""


class RestoreRequests:
    """The restores of a site's works, or of the works of one ``intake``. ``prices`` in ``currency`` are the site's.

    :raises SiteError: if the site has no intake.
    :raises WrongEnvironment: if each intake belongs to another environment: what is restored from production's bucket
        is announced in production's queue.
    """

    def __init__(self, site: Site, intake: str | None, glacier: Glacier, drs: Drs, sqs: Sqs) -> None:
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
        self._finder = WorkFinder(self._intakes, glacier)
        self._drs = drs
        self._sqs = sqs
        self._environment = site.environment
        self.prices: Prices = site.restore.prices
        self.currency = site.restore.currency or ""
        self._rows: dict[tuple[str, str], DrsRow] = {}

    def read_rows(self, names: Sequence[str]) -> None:
        """Reads the works' rows from DRS, all at once.

        :raises DatabaseError: if it refuses, ``DatabaseUnavailable`` if it does not answer.
        """
        rids = []
        for name in names:
            with suppress(RidError):
                rids.append(self._finder.target(name).rid)
        self._rows = {(row.rid, ""): row for row in self._drs.rows(rids)}

    def look(self, name: str) -> RestoreStatus:
        """Returns how far the restore of the work is that ``name`` names, or what prevents that from being known.

        The parts of a work that lies in several are among what is returned, each with what is known of it.
        """
        try:
            target = self._finder.target(name)
        except RidError as error:
            return RestoreStatus(name, error=error)
        status = RestoreStatus(name, target.rid)
        try:
            if target.part:
                noted = parts_of_rows(self._drs.rows_of(target.rid))
                self._rows |= {(target.rid, part): row for part, row in noted.items()}
            row = self._rows.get((target.rid, target.part))
            synced = row.times.get(Stage.SYNCED_ARCHIVE) if row else None
            status = replace(status, requested=requested_on(row), synced=synced, part=target.part)
            found = self._finder.find(target)
            if isinstance(found, WorkListing):
                return self._in_parts(status, found)
            address, storage = found
        except AoError as error:
            return replace(status, error=error)
        return replace(status, address=address, storage=storage, state=restore_state(storage, row, datetime.now(UTC)))

    def ask(self, status: RestoreStatus, tier: Tier, days: int) -> RestoreStatus:
        """Asks Glacier for a work in one zip, or for one part, and notes in DRS that it was asked."""
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

    def send(self, part: RestoreStatus) -> RestoreStatus:
        """Sends the intake's queue the event of a part that lies in no archive, as S3 does of one that it restored, and
        notes in DRS that the part was asked for.
        """
        address = part.address
        assert address is not None  # noqa: S101 - it was looked at
        section, now, until = self._intakes[address.intake], datetime.now(UTC), time.monotonic() + SEND_SECONDS
        try:
            if not takes_events(section.events):
                raise ObjectError(str(address), f"it is in no archive, and the intake's `events` leave out {EVENT}")
            tagged = tagged_environment(self._sqs.tags(address.intake, until))
            refuse_other_environment(address.intake, tagged, self._environment)
            body = restored_message_of(address, self._glacier.head(address), section.region, now)
            self._sqs.send(address.intake, body, until)
        except AoError as error:
            return replace(part, error=error)
        sent = replace(part, asked_now=True, requested=now)
        return self._noted(sent, now, {"sent": "its event, since it lies in no archive"})

    def note_a_request_that_drs_missed(self, status: RestoreStatus) -> RestoreStatus:
        """Notes in DRS that Glacier is restoring the work, or the part, if DRS knows of no request.

        Whoever asked died before writing that, or was not this platform.
        """
        if status.parts:
            return replace(status, parts=tuple(map(self.note_a_request_that_drs_missed, status.parts)))
        if status.state is not RestoreState.UNDER_WAY or awaited(self._rows.get((status.rid, status.part))):
            return status
        return self._noted(status, datetime.now(UTC), {"found": "under way"})

    def note_known_parts(self, status: RestoreStatus) -> RestoreStatus:
        """Notes in DRS which parts of a work its newest state needs, so that those that nobody asked for are known."""
        names = [part.part for part in status.parts if part.needed]
        try:
            self._drs.record(status.rid, None, datetime.now(UTC), {"known": names, "by": _user()})
        except DatabaseError as error:
            return replace(status, error=error)
        return status

    def _noted(self, status: RestoreStatus, at: datetime, data: dict[str, object]) -> RestoreStatus:
        address = status.address
        known: dict[str, object] = {"object": str(address), "storage": str(status.storage), "by": _user()}
        if status.part and address:
            known |= {"part": status.part, "key": address.key}
        try:
            self._drs.record(status.rid, Stage.RESTORE_REQUESTED, at, {**known, **data})
        except DatabaseError as error:
            return replace(status, error=error)
        return status

    def _in_parts(self, status: RestoreStatus, listing: WorkListing) -> RestoreStatus:
        rows = self._drs.rows_of(status.rid)
        noted = parts_of_rows(rows)
        self._rows |= {(status.rid, part): row for part, row in noted.items()}
        open_yet = [known for known in listing.parts if is_left_open(known, noted.get(known.part.name))]
        seen = {known.part.name: self._glacier.storage(known.address) for known in open_yet}
        parts = part_statuses(status, listing, rows, datetime.now(UTC), seen)
        size = sum(part.size or 0 for part in parts if part.needed)
        return replace(status, parts=parts, foreign=listing.foreign, state=state_of_all(parts), size=size)


def _user() -> str:
    """The user's name; a container's user may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
