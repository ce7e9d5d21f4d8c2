"""Sensors: one an intake. Each tick acknowledges, receives and requests; ``domain.intake`` decides.

What belongs here: calling SQS and Dagster's instance for those decisions, and saying what the tick did. What does
not: what a message means, and what a run does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG

from ao_workflows.domain.environments import refuse_other_environment
from ao_workflows.domain.intake import Cursor, Pending, Received, Verdict, acknowledge, judge
from ao_workflows.jobs import RESTORE_WORK
from ao_workflows.partitions import WORKS
from ao_workflows.resources.sqs import Sqs
from ao_workflows.resources.staging import Staging
from ao_workflows.site import IntakeSection, Site

RECEIVE_SECONDS = 5.0
"""A tick receives for this long at most: far below the sensor's time limit of 60 s."""

TICK_SECONDS = 10
BATCH = 100
"""A tick requests runs for this many messages at most."""


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
        refuse_other_environment(name, intake.environment, site.environment)
        refuse_other_environment(name, sqs.tags(name).get("environment"), site.environment)
        pending = acknowledge(Cursor.parse(context.cursor).pending, _has_run(context), time.time())
        # A tick that dies here, or whose deletion fails, deletes again next time: SQS does not mind.
        sqs.delete(name, [message.receipt_handle for message in pending.deletable])
        room = room_in_queue(context.instance, site.max_queued_runs) - len(pending.waiting)
        received = list(sqs.receive(name, min(room, BATCH), RECEIVE_SECONDS)) if room > 0 else []
        judged = [(message, judge(message.body, intake.bucket, intake.events, intake.keys)) for message in received]
        _set_aside(context, sqs, staging, name, intake.queue, judged)
        requests = [
            dg.RunRequest(
                run_key=wanted.event.identity,
                partition_key=wanted.rid,
                run_config=run_config(name, wanted.event),
                tags={"ao/intake": name},
            )
            for _, verdict in judged
            for wanted in verdict.wanted
        ]
        rids = sorted({wanted.rid for _, verdict in judged for wanted in verdict.wanted})
        requested = tuple(
            Pending(message.receipt_handle, tuple(w.event.identity for w in verdict.wanted), message.hidden_until)
            for message, verdict in judged
            if verdict.wanted
        )
        said = (
            f"{len(received)} messages received, {len(requests)} runs requested, "
            f"{len(pending.deletable)} messages acknowledged, {len(pending.waiting)} waiting for their runs"
            + ("" if room > 0 else f"; the run queue is full ({site.max_queued_runs}), the rest waits in SQS")
        )
        context.log.info(said)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(said),
            dynamic_partitions_requests=[WORKS.build_add_request(rids)] if rids else [],
            cursor=Cursor(pending.waiting + requested).dump(),
        )

    return sensor


def room_in_queue(instance: dg.DagsterInstance, most: int) -> int:
    """How many more runs may be requested before ``most`` are waiting."""
    return most - instance.get_runs_count(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED])
    )


def _has_run(context: dg.SensorEvaluationContext) -> Callable[[str], bool]:
    """Whether this sensor has a run for a run key, as the daemon itself asks before it makes one."""

    def has_run(run_key: str) -> bool:
        runs = context.instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: run_key}))
        return any(run.tags.get(SENSOR_NAME_TAG) == context.sensor_name for run in runs)

    return has_run


def _set_aside(
    context: dg.SensorEvaluationContext,
    sqs: Sqs,
    staging: Staging,
    name: str,
    queue: str,
    judged: Sequence[tuple[Received, Verdict]],
) -> None:
    """Deletes the messages that ask for no run; one that cannot be used is kept on disk first."""
    for message, verdict in judged:
        if verdict.rejected:
            kept = staging.keep_message(queue, message.message_id, message.body, verdict.rejected)
            context.log.error(f"a message of {queue} cannot be used: {verdict.rejected}. It is kept in {kept}")
    sqs.delete(name, [message.receipt_handle for message, verdict in judged if not verdict.wanted])


def run_config(intake: str, event: object) -> dict[str, object]:
    """The run config that gives ``restored_message`` its event."""
    return {"ops": {"restored_message": {"config": {"intake": intake, **vars(event)}}}}
