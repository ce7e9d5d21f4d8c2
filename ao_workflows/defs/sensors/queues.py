"""Queue sensors: one an SQS intake. Each tick acknowledges, receives and requests, as ``intake.queue_rules`` decides.

What belongs here: calling SQS and Dagster's instance, and reporting what the tick did. What does not: the decisions
(``ao_workflows.intake.queue_rules``), what a message means, and what a run does.
"""

from __future__ import annotations

import functools
import time

import dagster as dg

from ao_workflows.defs.sensors import intakes, tick_keeping
from ao_workflows.defs.sensors.intakes import BATCH
from ao_workflows.events.message_parts import newest_of_each, plan_parts
from ao_workflows.intake.queue_rules import (
    QueueCursor,
    ReceivedMessage,
    Selection,
    acknowledge,
    plan_tick,
    received_again,
    select_events,
)
from ao_workflows.intake.sqs import Sqs
from ao_workflows.site.environments import refuse_other_environment, tagged_environment
from ao_workflows.site.sections import IntakeSection, Site
from ao_workflows.staging.staging import Staging
from ao_workflows.status import noted_events
from ao_workflows.works.parts import part_staged_as

TICK_MOST_SECONDS = 18.0
"""How long a tick lasts at most, whatever the queue holds: less than a third of Dagster's time limit, which is 60 s."""

RECEIVE_SECONDS = 5.0
"""How long a tick receives messages at most."""

REST_SECONDS = 6.0
"""How much of a tick is reserved for the received messages: to find their runs, to keep unusable ones, to delete."""


def intake_sensor(name: str, intake: IntakeSection, site: Site) -> dg.SensorDefinition:
    """Makes the sensor of one queue, which starts a run for each work that a message reports as restored.

    A tick checks as many events as its time allows for whether they have runs already; later ticks check the others.

    :param name: the intake's name.
    """

    @intakes.sensor_of(
        name, intake, site, f"Starts a run for each work that {intake.queue} ({intake.region}) says is restored."
    )
    def sensor(context: dg.SensorEvaluationContext, sqs: Sqs, staging: Staging) -> dg.SensorResult:
        until = time.monotonic() + TICK_MOST_SECONDS

        def in_time(rest: float = 0.0) -> bool:
            return time.monotonic() < until - rest

        refuse_other_environment(name, tagged_environment(sqs.tags(name, until)), site.environment)

        def has_run(run_key: str) -> bool:
            return in_time() and intakes.has_run(context.instance, run_key)

        cursor = QueueCursor.parse(context.cursor)
        earlier = acknowledge(cursor.pending, has_run, time.time())
        # If the tick dies here, or SQS fails, the next tick deletes again; SQS allows that.
        sqs.delete(name, [message.receipt_handle for message in earlier.deletable], until - REST_SECONDS)

        room = intakes.room_in_queue(context.instance, site.max_queued_runs) - len(earlier.waiting)
        most = min(room, BATCH)
        further = plan_parts(
            tick_keeping.kept_parts(context, staging, intake),
            cursor.parts,
            has_run,
            most,
            functools.partial(in_time, RECEIVE_SECONDS + REST_SECONDS),
        )
        handles = [part.receipt_handle for part in further.ended if part.receipt_handle]
        tick_keeping.log_refused(context, lambda: sqs.delete(name, handles, until - REST_SECONDS))
        tick_keeping.forget_parts(context, staging, intake, further.ended)
        parts = tick_keeping.hide_parts(context, sqs, name, further.parts, until - REST_SECONDS)

        @functools.cache
        def select(body: str) -> Selection:
            return select_events(body, intake.bucket, intake.events, intake.keys, intake.layout)

        left = most - len(further.requests)
        received: list[ReceivedMessage] = []
        if left > 0:
            noted_events.check(staging, name)
            received = sqs.receive(
                name,
                left,
                min(time.monotonic() + RECEIVE_SECONDS, until - REST_SECONDS),
                enough=lambda here: sum(len(newest_of_each(select(one.body).wanted)) for one in here) >= left,
            )
        parts, new = received_again(parts, received)
        planned = plan_tick(new, select, has_run, left, in_time)
        requests = {each.event.identity: each for each in (*further.requests.values(), *planned.requests)}
        unnoted = tick_keeping.note_events(context, staging, name, requests.values())
        kept = tick_keeping.keep_rejected(
            context, staging, name, intake.queue, planned.taken, goes_on=bool(further.requests)
        )
        kept = [taken for taken in kept if taken.rest or not unnoted.intersection(taken.run_keys)]
        parts += tick_keeping.keep_parts(context, staging, intake, kept)
        ended = [taken.message.receipt_handle for taken in kept if not taken.run_keys and not taken.rest]
        # From here on a failure is only logged, and its message comes again: the runs must still be requested.
        tick_keeping.log_refused(context, lambda: sqs.delete(name, ended, until))
        back = [message.receipt_handle for message in planned.given_back]
        tick_keeping.log_refused(context, lambda: sqs.give_back(name, back, until))

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
        pending = tuple(taken.pending for taken in kept if taken.run_keys and not taken.rest)
        after = QueueCursor(earlier.waiting + pending, tuple(parts)).dump()
        return intakes.requested(name, [(part_staged_as(each.staged), each.event) for each in wanted], said, after)

    return sensor
