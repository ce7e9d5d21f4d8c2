"""The job of a work: what a run of it is, and how it is run again."""

from __future__ import annotations

from ao_workflows.defs.restore.job import RESTORE_WORK


def test_a_run_that_died_is_run_again_from_its_first_stage() -> None:
    """Dagster finds nothing to do again for one that died after its last step, and leaves it failed."""
    assert RESTORE_WORK.tags["dagster/retry_strategy"] == "ALL_STEPS"
