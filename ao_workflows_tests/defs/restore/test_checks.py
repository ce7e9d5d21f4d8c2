"""What proves a stage, as the web page shows it."""

from __future__ import annotations

import dagster as dg
import pytest

from ao_workflows.defs.restore.checks import (
    IS_A_VALID_BAG,
    IS_IN_THE_ARCHIVE,
    IS_WHAT_S3_HOLDS,
    SHOWN,
    failed,
    passed,
    problem_table,
    unproven,
)
from ao_workflows.errors import Problem


@pytest.mark.parametrize("check", [IS_WHAT_S3_HOLDS, IS_A_VALID_BAG, IS_IN_THE_ARCHIVE])
def test_each_check_stops_what_failed_it(check: dg.AssetCheckSpec) -> None:
    """A work whose proof failed would be synced."""
    assert check.blocking
    result = failed(check, "a byte is wrong")
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert passed(check, "all is right").passed


def test_what_nothing_could_prove_is_a_warning() -> None:
    """It stops nobody, and is not green."""
    result = unproven(IS_A_VALID_BAG, "no manifest came with it")
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_of_many_problems_the_first_are_shown_and_all_are_counted() -> None:
    """A page with a million rows does not come up; one that shows a hundred must not say that there are no more."""
    problems = [Problem("checksum", f"data/{number}", "its digest is another") for number in range(SHOWN + 1)]
    result = failed(IS_A_VALID_BAG, "it is wrong", problems)
    assert result.metadata["how many"].value == f"{SHOWN + 1} problems"
    assert len(problem_table(problems).records) == SHOWN
    assert "problems" not in failed(IS_A_VALID_BAG, "it is wrong").metadata


def test_a_name_from_outside_is_shown_without_its_control_characters() -> None:
    """It stands on a page that staff read."""
    (record,) = problem_table([Problem("missing", "data/a\x1b[2J", "is missing")]).records
    assert "\x1b" not in str(record.data)
