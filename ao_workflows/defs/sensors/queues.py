"""Queue sensors: one an SQS intake. Each tick acknowledges, receives and requests, as ``intake.queue_rules`` decides.

What belongs here: calling SQS and Dagster's instance, and saying what the tick did. What does not: the decisions
(``ao_workflows.intake.queue_rules``), what a message means, and what a run does.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG

from ao_workflows.defs.restore.job import RESTORE_WORK
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.defs.sensors import tick_keeping
from ao_workflows.events.message_parts import go_on, newest_of_each
from ao_workflows.intake.queue_rules import Cursor, Received, Verdict, acknowledge, judge, plan, received_again
from ao_workflows.intake.sqs import Sqs
from ao_workflows.site.environments import refuse_other_environment, tagged_environment
from ao_workflows.site.sections import IntakeSection, Site
from ao_workflows.staging.staging import Staging
from ao_workflows.status import noted_events

TICK_SECONDS = 10

TICK_MOST_SECONDS = 18.0
"""A tick ends after so long, whatever the queue holds or does: below a third of Dagster's time limit for it, 60 s."""

RECEIVE_SECONDS = 5.0
"""A tick receives for this long at most."""

REST_SECONDS = 6.0
"""So much of a tick is left for what was received: to find its runs, to keep what cannot be used, to delete."""

BATCH = 100
"""A tick receives this many messages, and requests as many runs, at most."""


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

        def in_time(rest: float = 0.0) -> bool:
            return time.monotonic() < until - rest

        refuse_other_environment(name, intake.environment, site.environment)
        refuse_other_environment(name, tagged_environment(sqs.tags(name, until)), site.environment)
        has_run = _run_finder(context.instance, in_time)

        cursor = Cursor.parse(context.cursor)
        earlier = acknowledge(cursor.pending, has_run, time.time())
        # A tick that dies here, or whose deletion fails, deletes again next time: SQS does not mind.
        sqs.delete(name, [message.receipt_handle for message in earlier.deletable], until - REST_SECONDS)

        room = room_in_queue(context.instance, site.max_queued_runs) - len(earlier.waiting)
        most = min(room, BATCH)
        further = go_on(
            tick_keeping.kept_parts(context, staging, intake),
            cursor.parts,
            has_run,
            most,
            functools.partial(in_time, RECEIVE_SECONDS + REST_SECONDS),
        )
        handles = [part.receipt_handle for part in further.ended if part.receipt_handle]
        tick_keeping.told(context, lambda: sqs.delete(name, handles, until - REST_SECONDS))
        tick_keeping.forget_parts(context, staging, intake, further.ended)
        parts = tick_keeping.hide_parts(context, sqs, name, further.parts, until - REST_SECONDS)

        @functools.cache
        def verdict_on(body: str) -> Verdict:
            return judge(body, intake.bucket, intake.events, intake.keys)

        left = most - len(further.requests)
        received: list[Received] = []
        if left > 0:
            noted_events.check(staging, name)
            received = sqs.receive(
                name,
                left,
                min(time.monotonic() + RECEIVE_SECONDS, until - REST_SECONDS),
                enough=lambda here: sum(len(newest_of_each(verdict_on(one.body).wanted)) for one in here) >= left,
            )
        parts, new = received_again(parts, received)
        planned = plan(new, verdict_on, has_run, left, in_time)
        requests = {each.event.identity: each for each in (*further.requests.values(), *planned.requests)}
        unnoted = tick_keeping.note(context, staging, name, requests.values())
        kept = tick_keeping.keep_rejected(context, staging, name, intake.queue, planned.taken)
        kept = [taken for taken in kept if taken.rest or not unnoted.intersection(taken.run_keys)]
        parts += tick_keeping.keep_parts(context, staging, intake, kept)
        ended = [taken.message.receipt_handle for taken in kept if not taken.run_keys and not taken.rest]
        # What was received is worth its runs: what fails from here on is told, and comes again.
        tick_keeping.told(context, lambda: sqs.delete(name, ended, until))
        back = [message.receipt_handle for message in planned.left]
        tick_keeping.told(context, lambda: sqs.give_back(name, back, until))

        wanted = [each for key, each in requests.items() if key not in unnoted]
        rejected = sum(taken.rejected is not None for taken in planned.taken)
        passed_over = sum(taken.passed_over for taken in planned.taken)
        said = (
            f"{len(received)} messages received, {len(wanted)} runs requested, "
            f"{len(earlier.deletable) + len(further.ended)} messages acknowledged, "
            f"{len(earlier.waiting)} waiting for their runs"
            + (f", {len(parts)} taken in parts" if parts else "")
            + (f", {len(ended)} needing none" if ended else "")
            + (f", {passed_over} records passed over for a newer one of their object" if passed_over else "")
            + (f"; {rejected} cannot be used: see `ao intake rejected`" if rejected else "")
            + ("" if room > 0 else f"; the run queue is full ({site.max_queued_runs}), the rest waits in SQS")
        )
        context.log.info(said)
        rids = sorted({each.rid for each in wanted})
        pending = tuple(taken.pending for taken in kept if taken.run_keys and not taken.rest)
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=each.event.identity,
                    partition_key=each.rid,
                    run_config=run_config(name, each.event),
                    tags={"ao/intake": name},
                )
                for each in wanted
            ],
            skip_reason=None if wanted else dg.SkipReason(said),
            dynamic_partitions_requests=[WORKS.build_add_request(rids)] if rids else [],
            cursor=Cursor(earlier.waiting + pending, tuple(parts)).dump(),
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


def run_config(intake: str, event: object) -> dict[str, object]:
    """The run config that gives ``restored_message`` its event."""
    return {"ops": {"restored_message": {"config": {"intake": intake, **vars(event)}}}}
