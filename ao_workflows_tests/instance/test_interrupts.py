"""A step's retries, in a real job: a failure is tried again, an interrupt ends the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pytest

from ao_workflows.instance.interrupts import RetryUnlessInterrupted


def attempts_of(error: BaseException) -> int:
    """How often a step that always raises the error is executed, with two retries allowed."""
    attempts = []

    @dg.op(retry_policy=RetryUnlessInterrupted(max_retries=2, delay=0))
    def fails() -> None:
        attempts.append(error)
        raise error

    @dg.job
    def job() -> None:
        fails()

    with dg.DagsterInstance.ephemeral() as instance:
        try:
            job.execute_in_process(instance=instance, raise_on_error=False)
        except dg.DagsterExecutionInterruptedError:
            assert isinstance(error, dg.DagsterExecutionInterruptedError)
    return len(attempts)


def test_a_failure_is_tried_again() -> None:
    """Without its retries, one answer of S3's that is late fails a work for good."""
    assert attempts_of(RuntimeError("the line is down")) == 3


def test_an_interrupt_is_no_failure() -> None:
    """A cancelled run that is tried again goes on for hours, from retry to retry."""
    assert attempts_of(dg.DagsterExecutionInterruptedError()) == 1


@contextmanager
def policy_is_asked_while_handled(policy: RetryUnlessInterrupted) -> Iterator[None]:
    """Asks the policy for its delay where Dagster does: while the error is being handled, which would end here."""
    try:
        yield
    except BaseException as error:
        policy.calculate_delay(1)
        raise AssertionError from error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), dg.DagsterExecutionInterruptedError()])
def test_the_delay_that_is_asked_for_while_an_interrupt_is_handled_is_the_interrupt(error: BaseException) -> None:
    """This is where Dagster learns that the step is not to be tried again."""
    policy = RetryUnlessInterrupted(max_retries=2, delay=7)
    assert policy.calculate_delay(1) == 7
    with pytest.raises(type(error)) as raised, policy_is_asked_while_handled(policy):
        raise error
    assert raised.value is error
