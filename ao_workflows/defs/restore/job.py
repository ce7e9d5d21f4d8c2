"""The job that restores one work, from its restored message to the archive."""

from __future__ import annotations

import dagster as dg

from ao_workflows.defs.restore.partitions import WORKS

RESTORE_WORK = dg.define_asset_job(
    "restore_work",
    selection=dg.AssetSelection.groups("restore"),
    partitions_def=WORKS,
    # A run that died is run again from its first stage, which costs nothing if there is a receipt. Dagster's default,
    # from the first failed step, is not enough: a run that died after its last step has none, and would stay failed.
    tags={"dagster/retry_strategy": "ALL_STEPS"},
    description="Brings one restored work from S3 into the archive, and proves it there.",
)
