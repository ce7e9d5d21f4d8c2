"""Checks: what proves a stage, shown beside its asset in the web page.

What belongs here: each check's name and description, and its result, made from what the stage found. What does not: the
proving itself, which each stage does. The checks are blocking: a work that fails one does not reach the next stage.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg

from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.errors import Problem
from ao_workflows.shown_names import shown
from ao_workflows.works.stages import Stage

SHOWN = 100
"""How many problems a table shows at most; the report has all of them."""


NOT_RUN = " 'Execution failed' says that an earlier stage stopped the work before this check."

# A check's partitions are new in Dagster. Without them the page shows a work's failed check as "not evaluated".
warnings.filterwarnings("ignore", "Specifying a partitions_def on an AssetCheckSpec", dg.PreviewWarning)


def _check(name: str, stage: Stage, description: str) -> dg.AssetCheckSpec:
    description += NOT_RUN
    return dg.AssetCheckSpec(name, asset=stage.value, description=description, blocking=True, partitions_def=WORKS)


IS_WHAT_S3_HOLDS = _check(
    "is_what_s3_holds",
    Stage.DOWNLOADED_BAG,
    "The zip on the scratch disk has the size and the checksum that S3 gives.",
)
IS_A_VALID_BAG = _check(
    "is_a_valid_bag",
    Stage.DEBAGGED_WORK,
    "Every file has the digest that the bag's manifests give; none is missing, none is extra.",
)
IS_IN_THE_ARCHIVE = _check(
    "is_in_the_archive",
    Stage.SYNCED_ARCHIVE,
    "Every file was read back from the archive and is what was bagged; so is every image that went to the web.",
)
IS_IN_DEEP_ARCHIVE = dg.AssetCheckSpec(
    "is_in_deep_archive",
    asset="deep_copied",
    description=f"Each part of the work has the checksum that S3 computed of it, and proven files.{NOT_RUN}",
    blocking=True,
    partitions_def=WORKS,
)


def passed(check: dg.AssetCheckSpec, description: str, **metadata: dg.MetadataValue) -> dg.AssetCheckResult:
    """Returns the check's result if everything is as it should be.

    :param metadata: shown beside the result in the web page.
    """
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=check.asset_key,
        passed=True,
        description=description,
        metadata=metadata,
    )


def unproven(check: dg.AssetCheckSpec, description: str) -> dg.AssetCheckResult:
    """Returns the check's result if there was nothing to compare with: a warning, which does not block."""
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=check.asset_key,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
    )


def failed(
    check: dg.AssetCheckSpec, description: str, problems: Sequence[Problem] = (), **metadata: dg.MetadataValue
) -> dg.AssetCheckResult:
    """Returns the check's result if something is wrong, with a table of the first hundred problems."""
    told: dict[str, Any] = dict(metadata)
    if problems:
        told |= {"how many": f"{len(problems)} problems", "problems": problem_table(problems)}
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=check.asset_key,
        passed=False,
        description=description,
        metadata=told,
    )


def problem_table(problems: Sequence[Problem]) -> dg.TableMetadataValue:
    """Returns the first hundred problems as a table for the web page.

    The page is too narrow for the digests that were expected and found; the report has them.
    """
    return dg.MetadataValue.table(
        [
            dg.TableRecord({"kind": problem.kind, "file": shown(problem.path), "what is wrong": shown(problem.reason)})
            for problem in problems[:SHOWN]
        ]
    )
