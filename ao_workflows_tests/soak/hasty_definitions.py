"""The platform's definitions, whose sensor looks for lost runs more often than a site's.

So that a short soak need not wait a minute and more for each run whose process was killed with the code server.
"""

from __future__ import annotations

from datetime import timedelta

from ao_workflows.definitions import defs
from ao_workflows.defs.sensors import lost_runs

__all__ = ["defs"]

lost_runs.lost_runs._min_interval = 10
lost_runs.NOT_RETRIED_FOR = timedelta(seconds=20)  # four times as often as Dagster's own daemon looks
