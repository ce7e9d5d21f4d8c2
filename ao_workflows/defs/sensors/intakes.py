"""What the sensors of all intakes have in common: when they tick, whose they are, and how they request runs.

What belongs here: what is the same for queues and folders. What does not: which messages or files a tick looks at, and
which it takes (``queues``, ``folders``).
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
from ao_workflows.works.part_tags import tags_of
from ao_workflows.works.parts import Part
from ao_workflows.works.stages import Stage

TICK_SECONDS = 10

BATCH = 100
"""How many messages or files a tick takes at most, and how many runs it requests for them."""


class Event(Protocol):
    """The event for which a run is requested: an object was restored, or a file was put into a folder."""

    @property
    def identity(self) -> str:
        """The run key. If the same event comes again, it has the same run key, and gets no second run."""


def sensor_of(
    name: str, intake: IntakeSection | FolderIntakeSection, site: Site, description: str
) -> Callable[[Callable[..., dg.SensorResult]], dg.SensorDefinition]:
    """Returns a decorator that makes the sensor of the intake ``name`` from the function that does one tick.

    Except in the demo the sensor is stopped at first: it takes messages or files, so a person must decide to start it.

    :raises WrongEnvironment: in each tick, before it looks at anything, if only one of site and intake is production's.
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

    Dagster itself only looks at the runs of the same sensor. Here the runs of every sensor count, so that a work is not
    done twice if its intake was renamed, or if one event reaches two intakes.
    """
    return bool(instance.get_run_ids(dg.RunsFilter(tags={run_tags.RUN_KEY: run_key}), limit=1))


def room_in_queue(instance: dg.DagsterInstance, most: int) -> int:
    """Returns how many more runs may be requested until ``most`` runs are waiting; negative if more are waiting now."""
    return most - instance.get_runs_count(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED])
    )


def requested(intake: str, wanted: Sequence[tuple[Part, Event]], summary: str, cursor: str) -> dg.SensorResult:
    """Returns the result of a tick: it requests a run for each event, and adds the works as partitions.

    :param intake: the intake's name.
    :param wanted: pairs of a work, or a part of one, and its event.
    :param summary: what the tick did; the web page shows it if no run is requested.
    :param cursor: what the tick passes to the next one.
    """
    rids = sorted({part.rid for part, _ in wanted})
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=event.identity,
                partition_key=part.rid,
                run_config=run_config(intake, event),
                tags={"ao/intake": intake, **tags_of(part)},
            )
            for part, event in wanted
        ],
        skip_reason=None if wanted else dg.SkipReason(summary),
        dynamic_partitions_requests=[WORKS.build_add_request(rids)] if rids else [],
        cursor=cursor,
    )


def run_config(intake: str, event: object) -> dict[str, object]:
    """Returns the run config that gives the asset ``restored_message`` its event."""
    return {"ops": {Stage.RESTORED_MESSAGE.value: {"config": {"intake": intake, **vars(event)}}}}
