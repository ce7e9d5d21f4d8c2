"""Trying a stage again: for hours where it may mend itself, and not at all where somebody has cancelled the run."""

from __future__ import annotations

import dagster as dg
import pytest

from ao_workflows.defs.restore.retries import TRY_AGAIN


def test_the_waits_grow_from_a_quarter_of_a_minute_to_two_hours_in_all() -> None:
    """A database may be down for an hour; asked each second, it would not come up."""
    waits = [TRY_AGAIN.calculate_delay(number) for number in range(1, TRY_AGAIN.max_retries + 1)]
    assert 0 <= waits[0] <= 30
    assert 1800 < sum(15 * 2**number for number in range(TRY_AGAIN.max_retries)) < 3 * 3600
    assert all(wait <= 15 * 2 ** (number + 1) for number, wait in enumerate(waits))


@pytest.mark.parametrize("asked", [dg.DagsterExecutionInterruptedError("cancelled"), KeyboardInterrupt()])
def test_a_run_that_was_asked_to_end_is_not_tried_again(asked: BaseException) -> None:
    """Dagster would take the interrupt for a failure, and go on for hours."""
    with pytest.raises(type(asked)):
        try:
            raise asked  # noqa: TRY301 - Dagster asks for the delay while the error is being handled
        except BaseException:  # noqa: BLE001
            TRY_AGAIN.calculate_delay(1)
