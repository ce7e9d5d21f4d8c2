"""What a queue's tick keeps on the scratch disk, and what becomes of a message where that, or SQS, fails.

What belongs here: calling the scratch disk and SQS for a tick, and logging what failed. What does not: which messages
are kept, and why (``ao_workflows.intake.queue_rules``), and the files
(``ao_workflows.intake.messages_in_parts``, ``ao_workflows.staging.rejected_messages``).

If something fails here, its message stays in the queue: SQS hides it for some minutes, and then delivers it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import dagster as dg

from ao_workflows.errors import AoError, StagingError
from ao_workflows.events.message_parts import MessageInParts, WantedRun, after_hiding
from ao_workflows.intake import messages_in_parts
from ao_workflows.intake.queue_rules import HandledMessage
from ao_workflows.intake.sqs import HIDDEN_SECONDS, Sqs
from ao_workflows.site.sections import IntakeSection
from ao_workflows.staging import rejected_messages
from ao_workflows.staging.staging import Staging
from ao_workflows.status import noted_events


def keep_rejected(
    context: dg.SensorEvaluationContext,
    staging: Staging,
    name: str,
    queue: str,
    taken: Sequence[HandledMessage],
    *,
    goes_on: bool = False,
) -> list[HandledMessage]:
    """Writes each message that cannot be used to the scratch disk, where a person can find it.

    Returns the messages that may be deleted, now or once their runs are there. One that cannot be written to the disk
    stays in the queue.

    :param name: the intake's name, and ``queue`` that of its queue.
    :param taken: all messages that the tick dealt with, the usable ones among them.
    :param goes_on: whether the tick has runs to request that are of none of these messages.
    :raises StagingError: if a message cannot be written, and none is left that the tick could go on with.
    """
    safe: list[HandledMessage] = []
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
    if failure and not safe and not goes_on:
        raise failure
    return safe


def note_events(
    context: dg.SensorEvaluationContext, staging: Staging, name: str, wanted: Collection[WantedRun]
) -> frozenset[str]:
    """Notes each event on the scratch disk before its run is requested.

    Returns the identities of those that could not be noted. Their runs must not be requested; SQS delivers their
    messages again.

    :raises StagingError: if none of the events could be noted.
    """
    failures = noted_events.note(staging, name, wanted)
    for error in set(map(str, failures.values())):
        context.log.error(f"an event cannot be noted, and its message is left in the queue: {error}")
    if failures and len(failures) == len(wanted):
        raise next(iter(failures.values()))
    return frozenset(failures)


def kept_parts(
    context: dg.SensorEvaluationContext, staging: Staging, intake: IntakeSection
) -> Mapping[str, Sequence[WantedRun]]:
    """Returns the kept events of each message that is handled in parts, by the message's id.

    If they cannot be read, that is logged and nothing is returned, since SQS delivers the messages again.
    """
    try:
        return messages_in_parts.of_queue(staging, intake.queue, intake.region)
    except StagingError as error:
        context.log.error(f"{error}; the messages come again")  # noqa: TRY400
        return {}


def keep_parts(
    context: dg.SensorEvaluationContext, staging: Staging, intake: IntakeSection, taken: Iterable[HandledMessage]
) -> list[MessageInParts]:
    """Keeps the events of each message that is handled in parts, and returns the messages whose events are kept.

    If the events of one cannot be kept, that is logged, and SQS delivers the message again.
    """
    kept = []
    for each in taken:
        if each.rest:
            try:
                messages_in_parts.keep(staging, intake.queue, intake.region, each.message.message_id, each.rest)
            except StagingError as error:
                context.log.error(f"{error}; the message comes again")  # noqa: TRY400
            else:
                kept.append(each.part)
    return kept


def forget_parts(
    context: dg.SensorEvaluationContext, staging: Staging, intake: IntakeSection, ended: Iterable[MessageInParts]
) -> None:
    """Removes the kept events of messages whose events all have runs; what cannot be removed is logged."""
    for part in ended:
        try:
            messages_in_parts.remove(staging, intake.queue, intake.region, part.message_id)
        except StagingError as error:
            context.log.warning(str(error))


def hide_parts(
    context: dg.SensorEvaluationContext, sqs: Sqs, name: str, parts: Sequence[MessageInParts], until: float
) -> list[MessageInParts]:
    """Keeps the messages that are handled in parts hidden in SQS, and returns them as they are then.

    Each further delivery of a message would bring it nearer to the dead-letter queue.

    :param until: when SQS must have answered, by ``time.monotonic``.
    """
    now = time.time()
    due = [
        part.receipt_handle for part in parts if part.receipt_handle and part.hidden_until - now < HIDDEN_SECONDS / 2
    ]
    refused: Collection[str] = ()
    try:
        refused = sqs.hide(name, due, until) if due else ()
    except AoError as error:
        context.log.warning(str(error))
        return list(parts)
    return [after_hiding(part, due, refused, now + HIDDEN_SECONDS) for part in parts]


def log_refused(context: dg.SensorEvaluationContext, call: Callable[[], list[str]]) -> None:
    """Makes a call to SQS, and logs what SQS did not do. A failure does no harm, since the messages come again.

    :param call: returns the messages that SQS left as they were.
    """
    try:
        if refused := call():
            context.log.warning(f"SQS left {len(refused)} messages as they were; they come again")
    except AoError as error:
        context.log.warning(f"{error}; the messages come again")
