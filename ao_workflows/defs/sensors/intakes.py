"""What the sensors of all intakes have in common: when they tick, whose they are, and how they request runs.

What belongs here: that, for queues and folders alike. What does not: what a tick looks at, and what it takes
(``queues``, ``folders``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import dagster as dg

from ao_workflows.defs.restore.job import RESTORE_WORK
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.site.environments import refuse_other_environment
from ao_workflows.site.sections import FolderIntakeSection, IntakeSection, Site
from ao_workflows.works import run_tags
from ao_workflows.works.stages import Stage

TICK_SECONDS = 10

BATCH = 100
"""A tick takes this many messages or files, and requests as many runs, at most."""


class Event(Protocol):
    """What a run is requested for: a restored object, or a file that was put into a folder."""

    @property
    def identity(self) -> str:
        """The run key: the same event again has the same, and gets no second run."""


def sensor_of(
    name: str, intake: IntakeSection | FolderIntakeSection, site: Site, description: str
) -> Callable[[Callable[..., dg.SensorResult]], dg.SensorDefinition]:
    """Makes the sensor of an intake from the function that is its tick.

    It starts stopped, save in the demo: a person starts what takes messages or files. A tick of an intake that belongs
    to another environment than the site does is refused before it looks at anything.
    """

    def make(tick: Callable[..., dg.SensorResult]) -> dg.SensorDefinition:
        @functools.wraps(tick)
        def guarded(*args: Any, **resources: Any) -> dg.SensorResult:
            refuse_other_environment(name, intake.environment, site.environment)
            return tick(*args, **resources)

        return dg.sensor(
            name=f"{name}_intake",
            job=RESTORE_WORK,
            minimum_interval_seconds=TICK_SECONDS,
            default_status=(
                dg.DefaultSensorStatus.RUNNING if site.environment == "demo" else dg.DefaultSensorStatus.STOPPED
            ),
            description=description,
        )(guarded)

    return make


def has_run(instance: dg.DagsterInstance, run_key: str) -> bool:
    """Whether a run has been made for the run key, by any sensor.

    Dagster keeps run keys apart by the sensor's name. Here a run of any sensor counts: an intake that was renamed, and
    two intakes that one event reaches, must not do a work twice.
    """
    return bool(instance.get_run_ids(dg.RunsFilter(tags={run_tags.RUN_KEY: run_key}), limit=1))


def room_in_queue(instance: dg.DagsterInstance, most: int) -> int:
    """How many more runs may be requested before ``most`` are waiting."""
    return most - instance.get_runs_count(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED])
    )


def requested(intake: str, wanted: Sequence[tuple[str, Event]], summary: str, cursor: str) -> dg.SensorResult:
    """The result of a tick that requests a run for each event, and adds the works that are new.

    :param wanted: the work of each event, by its RID, and the event.
    :param summary: what the tick did, which is shown where it requests no run.
    """
    rids = sorted({rid for rid, _ in wanted})
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=event.identity,
                partition_key=rid,
                run_config=run_config(intake, event),
                tags={"ao/intake": intake},
            )
            for rid, event in wanted
        ],
        skip_reason=None if wanted else dg.SkipReason(summary),
        dynamic_partitions_requests=[WORKS.build_add_request(rids)] if rids else [],
        cursor=cursor,
    )


def run_config(intake: str, event: object) -> dict[str, object]:
    """The run config that gives ``restored_message`` its event."""
    return {"ops": {Stage.RESTORED_MESSAGE.value: {"config": {"intake": intake, **vars(event)}}}}
