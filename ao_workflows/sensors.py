"""Sensors: one an intake. Each tick acknowledges, receives and requests; ``domain.intake`` decides.

What belongs here: calling SQS and Dagster's instance for those decisions, and saying what the tick did. What does
not: what a message means, and what a run does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG

from ao_workflows.domain.environments import refuse_other_environment, tagged_environment
from ao_workflows.domain.errors import AoError, StagingError
from ao_workflows.domain.intake import Cursor, Taken, acknowledge, judge, plan
from ao_workflows.jobs import RESTORE_WORK
from ao_workflows.partitions import WORKS
from ao_workflows.resources import rejected_messages
from ao_workflows.resources.sqs import Sqs
from ao_workflows.resources.staging import Staging
from ao_workflows.site import IntakeSection, Site

TICK_SECONDS = 10

TICK_MOST_SECONDS = 18.0
"""A tick ends after so long, whatever the queue holds or does: below a third of Dagster's time limit for it, 60 s."""

RECEIVE_SECONDS = 5.0
"""A tick receives for this long at most."""

REST_SECONDS = 6.0
"""So much of a tick is left for what was received: to find its runs, to keep what cannot be used, to delete."""

BATCH = 100
"""A tick receives this many messages at most, and takes no further one once it has requested as many runs."""


def intake_sensor(name: str, intake: IntakeSection, site: Site) -> dg.SensorDefinition:
    """The sensor of one intake. It starts stopped, save in the demo: a person starts what takes messages."""

    @dg.sensor(
        name=f"{name}_intake",
        job=RESTORE_WORK,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if site.environment == "demo" else dg.DefaultSensorStatus.STOPPED
        ),
        description=f"Starts a run for each work that {intake.queue} ({intake.region}) says is restored.",
    )
    def sensor(context: dg.SensorEvaluationContext, sqs: Sqs, staging: Staging) -> dg.SensorResult:
        until = time.monotonic() + TICK_MOST_SECONDS

        def in_time() -> bool:
            return time.monotonic() < until

        refuse_other_environment(name, intake.environment, site.environment)
        refuse_other_environment(name, tagged_environment(sqs.tags(name, until)), site.environment)
        has_run = _run_finder(context.instance, in_time)

        earlier = acknowledge(Cursor.parse(context.cursor).pending, has_run, time.time())
        # A tick that dies here, or whose deletion fails, deletes again next time: SQS does not mind.
        sqs.delete(name, [message.receipt_handle for message in earlier.deletable], until - REST_SECONDS)

        room = room_in_queue(context.instance, site.max_queued_runs) - len(earlier.waiting)
        received = sqs.receive(name, min(room, BATCH), min(time.monotonic() + RECEIVE_SECONDS, until - REST_SECONDS))
        planned = plan(
            received,
            lambda body: judge(body, intake.bucket, intake.events, intake.keys),
            has_run,
            min(room, BATCH),
            in_time,
        )
        kept = _keep_rejected(context, staging, name, intake.queue, planned.taken)
        ended = [taken.message.receipt_handle for taken in kept if not taken.run_keys]
        # What was received is worth its runs: what fails from here on is told, and comes again.
        _told(context, lambda: sqs.delete(name, ended, until))
        _told(context, lambda: sqs.give_back(name, [message.receipt_handle for message in planned.left], until))

        rejected = sum(taken.rejected is not None for taken in planned.taken)
        said = (
            f"{len(received)} messages received, {len(planned.requests)} runs requested, "
            f"{len(earlier.deletable)} messages acknowledged, {len(earlier.waiting)} waiting for their runs"
            + (f", {len(ended)} needing none" if ended else "")
            + (f"; {rejected} cannot be used: see `ao intake rejected`" if rejected else "")
            + ("" if room > 0 else f"; the run queue is full ({site.max_queued_runs}), the rest waits in SQS")
        )
        context.log.info(said)
        rids = sorted({wanted.rid for wanted in planned.requests})
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=wanted.event.identity,
                    partition_key=wanted.rid,
                    run_config=run_config(name, wanted.event),
                    tags={"ao/intake": name},
                )
                for wanted in planned.requests
            ],
            skip_reason=None if planned.requests else dg.SkipReason(said),
            dynamic_partitions_requests=[WORKS.build_add_request(rids)] if rids else [],
            cursor=Cursor(earlier.waiting + tuple(taken.pending for taken in kept if taken.run_keys)).dump(),
        )

    return sensor


def room_in_queue(instance: dg.DagsterInstance, most: int) -> int:
    """How many more runs may be requested before ``most`` are waiting."""
    return most - instance.get_runs_count(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED])
    )


def _run_finder(instance: dg.DagsterInstance, in_time: Callable[[], bool]) -> Callable[[str], bool]:
    """Whether there is a run for a run key, as far as there is time to ask; each is looked for by its own tag.

    Dagster keeps run keys apart by the sensor's name. Here a run of any sensor counts: an intake that was renamed, and
    two intakes that one event reaches, must not do a work twice.
    """

    def has_run(run_key: str) -> bool:
        return in_time() and bool(instance.get_run_ids(dg.RunsFilter(tags={RUN_KEY_TAG: run_key}), limit=1))

    return has_run


def _keep_rejected(
    context: dg.SensorEvaluationContext, staging: Staging, name: str, queue: str, taken: Sequence[Taken]
) -> list[Taken]:
    """Keeps on disk each message that cannot be used, and returns those that may be deleted, now or later.

    One that cannot be kept stays in the queue, and ends the tick only where there is nothing else to do in it.
    """
    safe: list[Taken] = []
    failure: StagingError | None = None
    for each in taken:
        if each.rejected is not None:
            try:
                path = rejected_messages.keep(
                    staging, name, queue, each.message.message_id, each.message.body, each.rejected
                )
            except StagingError as error:
                failure = error
                context.log.error(f"a message of {queue} cannot be used and cannot be kept; it stays there: {error}")  # noqa: TRY400
                continue
            context.log.error(f"a message of {queue} cannot be used: {each.rejected}. It is kept in {path}")
        safe.append(each)
    if failure and not safe:
        raise failure
    return safe


def _told(context: dg.SensorEvaluationContext, call: Callable[[], list[str]]) -> None:
    try:
        if refused := call():
            context.log.warning(f"SQS left {len(refused)} messages as they were; they come again")
    except AoError as error:
        context.log.warning(f"{error}; the messages come again")


def run_config(intake: str, event: object) -> dict[str, object]:
    """The run config that gives ``restored_message`` its event."""
    return {"ops": {"restored_message": {"config": {"intake": intake, **vars(event)}}}}
