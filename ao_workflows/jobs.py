"""Jobs: what a run may consist of. There is one: a work, from its restored message to the archive."""

from __future__ import annotations

import dagster as dg

from ao_workflows.partitions import WORKS

RESTORE_WORK = dg.define_asset_job(
    "restore_work",
    selection=dg.AssetSelection.groups("restore"),
    partitions_def=WORKS,
    description="Brings one restored work from S3 into the archive, and proves it there.",
)
