"""What ends a command early on its way through a list."""

from __future__ import annotations

import os
import signal
from threading import Event

import pytest

from ao_workflows.cli.way_through_list import OUTAGE, Way
from ao_workflows.errors import DatabaseError, ObjectError, ServiceError
from ao_workflows.glacier.rules import RestoreStatus

AWAY, DENIED, DRS = ServiceError("asking", "s3", "away"), ObjectError("s3", "no"), DatabaseError("drs", "no")


def gone(way: Way, *errors: Exception | None) -> int:
    """How far it came through a list whose items have these errors."""
    items = [RestoreStatus(str(n), error=error) for n, error in enumerate(errors)]  # type: ignore[arg-type]
    return len(way.go(items, lambda item, _stopped: item, lambda _status: None))


def test_an_s3_that_is_away_ends_it_and_one_that_refuses_does_not() -> None:
    """A thousand time-outs one after the other are a night."""
    way = Way()
    assert gone(way, *[AWAY] * (OUTAGE - 1), DENIED, *[AWAY] * 9) == 2 * OUTAGE
    assert way.ended == f"S3 failed {OUTAGE} times in a row"


def test_a_database_that_fails_ends_it_at_once() -> None:
    """What Glacier is asked for after that nobody would know of."""
    way = Way()
    assert gone(way, None, DRS, None) == 2
    assert way.ended == "DRS failed"


def test_a_signal_ends_it_after_the_item_that_is_under_way(capfd: pytest.CaptureFixture[str]) -> None:
    """The answer that is on its way must still be noted; a second one ends it at once."""
    before = signal.getsignal(signal.SIGTERM)
    for often, done in ((1, 1), (2, 0)):
        way = Way()

        def act(item: RestoreStatus, stopped: Event, often: int = often) -> RestoreStatus:
            for _ in range(often):
                os.kill(os.getpid(), signal.SIGTERM)
            assert stopped.is_set()
            return item

        found = way.go([RestoreStatus("1"), RestoreStatus("2")], act, lambda _status: None)
        assert (len(found), way.ended, way.signals) == (done, "SIGTERM came", [signal.SIGTERM])
        assert "ending after the work that is under way" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
